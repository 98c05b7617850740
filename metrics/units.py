"""Units of length: one spelling for each, and their ratios."""

from __future__ import annotations

NO_UNIT = {"", "voxel", "px", "pixel"}
METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "nm": 1e-9, "Å": 1e-10, "pm": 1e-12}
# The micro sign and the Greek mu look alike, and so do the angstrom sign and the letter.
SPELLINGS = {
    "um": "um", "\u00b5m": "um", "\u03bcm": "um", "micron": "um",
    "micrometer": "um", "micrometre": "um",
    "nanometer": "nm", "nanometre": "nm", "millimeter": "mm", "millimetre": "mm",
    "centimeter": "cm", "centimetre": "cm", "meter": "m", "metre": "m",
    "picometer": "pm", "picometre": "pm", "\u212b": "Å", "å": "Å", "angstrom": "Å", "ångström": "Å",
}  # fmt: skip


def normal_unit(unit: str) -> str:
    """One spelling of a unit; ``"voxel"`` for none, and what is not known as it is.

    Examples
    --------
    >>> normal_unit("Microns"), normal_unit("nm"), normal_unit("pixels"), normal_unit("furlong")
    ('um', 'nm', 'voxel', 'furlong')
    """
    unit = unit.strip()
    if unit in METRES:
        return unit
    name = unit.lower().removesuffix("s")
    return "voxel" if name in NO_UNIT else SPELLINGS.get(name, unit)


def factor(unit: str, to: str) -> float | None:
    """Length of one unit in another, 1000 for ``factor("um", "nm")``; None if one is not known."""
    if unit == to:
        return 1.0
    if unit not in METRES or to not in METRES:
        return None
    return METRES[unit] / METRES[to]
