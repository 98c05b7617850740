"""Units: equal lengths are equal, however they are spelt and scaled."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from comparing import field

from metrics import Volume, compare, read, write
from metrics.comparison.samples import match
from metrics.units import METRES, factor, normal_unit
from metrics.volume import InputError, Phase

CELL = np.random.default_rng(0).integers(0, 2, (4, 6, 8)).astype(np.uint8)


@pytest.mark.parametrize(
    ("unit", "normal"),
    [
        *((micro, "um") for micro in ("um", "UM", "\u00b5m", "\u03bcm", "Micron", "microns")),
        *((name, "um") for name in ("micrometer", "micrometres", " um ")),
        *((name, "nm") for name in ("nm", "nanometers", "Nanometre")),
        *((name, "Å") for name in ("\u00c5", "\u212b", "angstrom", "Angstroms")),
        *((name, "voxel") for name in ("", "px", "pixels", "Voxel", "pixel")),
        *((name, name) for name in ("mm", "cm", "m", "Mm", "inch", "furlong")),
    ],
)
def test_spellings(unit: str, normal: str) -> None:
    assert normal_unit(unit) == normal
    assert normal_unit(normal) == normal
    assert Volume(CELL, unit=unit).unit == normal


def test_factors() -> None:
    assert factor("um", "nm") == pytest.approx(1000)
    assert factor("voxel", "um") is factor("um", "furlong") is None
    assert factor("furlong", "furlong") == 1
    for unit in METRES:
        for other in METRES:
            there, back = factor(unit, other), factor(other, unit)
            assert there is not None and back is not None
            assert there * back == pytest.approx(1)


def test_nanometres_and_micrometres_of_two_files(tmp_path: Path) -> None:
    write(Volume(CELL, spacing=(400.0, 400.0, 400.0), unit="nm"), tmp_path / "nm.tif")
    write(Volume(CELL, spacing=(0.4, 0.4, 0.4), unit="\u03bcm"), tmp_path / "um.tif")
    (gen,), (real,) = match(read(tmp_path / "nm.tif"), read(tmp_path / "um.tif"))
    assert gen.unit == real.unit == "um"
    assert gen.spacing == pytest.approx((0.4, 0.4, 0.4))


def test_numbers_are_those_of_one_unit() -> None:
    gen, real = field(0), field(1)
    options = {"workers": 1, "metrics": ["specific_surface_area", "two_point_correlation"]}
    kinds = [
        (Volume(gen.labels, spacing=size, unit=unit), Volume(real.labels, spacing=0.4, unit="um"))
        for size, unit in (((400.0,) * 3, "nm"), ((0.4,) * 3, "um"))
    ]
    first, second = (compare(*pair, **options) for pair in kinds)
    np.testing.assert_allclose(first.table["gen"], second.table["gen"])
    assert set(first.table["unit"].dropna()) == set(second.table["unit"].dropna())


@pytest.mark.parametrize(("size", "unit"), [(500.0, "nm"), (0.4, "nm"), (0.4, "voxel")])
def test_other_lengths_are_refused(size: float, unit: str) -> None:
    gen = Volume(CELL, spacing=(size,) * 3, unit=unit)
    with pytest.raises(InputError, match="resample one"):
        match(gen, Volume(CELL, spacing=(0.4,) * 3, unit="um"))


@pytest.mark.parametrize("zunit", ["micron", "\\u00B5m", "um"])
def test_one_file_with_two_spellings(tmp_path: Path, zunit: str) -> None:
    path = tmp_path / "v.tif"
    metadata = {"axes": "ZYX", "spacing": 1.5, "unit": "um", "zunit": zunit}
    tifffile.imwrite(path, CELL, imagej=True, resolution=(4, 4), metadata=metadata)
    volume = read(path)
    assert (volume.spacing, volume.unit) == ((1.5, 0.25, 0.25), "um")


def test_ome_with_two_spellings(tmp_path: Path) -> None:
    path = tmp_path / "v.ome.tif"
    metadata = {"axes": "ZYX"}
    for axis, unit in (("Z", "\u00b5m"), ("Y", "\u03bcm"), ("X", "\u00b5m")):
        metadata |= {f"PhysicalSize{axis}": 2.0, f"PhysicalSize{axis}Unit": unit}  # type: ignore[dict-item]
    tifffile.imwrite(path, CELL, metadata=metadata)
    assert (read(path).spacing, read(path).unit) == ((2.0, 2.0, 2.0), "um")


def test_names_that_contradict_the_file_are_refused(tmp_path: Path) -> None:
    phases = (Phase("pore", 0, 0), Phase("ni", 1, 127))
    write(Volume(CELL, phases=phases), tmp_path / "v.tif")
    with pytest.raises(InputError, match=r"contradicts the file, where pore is 0"):
        read(tmp_path / "v.tif", phases={"ni": 0, "pore": 127})
    renamed = read(tmp_path / "v.tif", phases={"void": 0, "nickel": 127})
    assert [phase.name for phase in renamed.phases] == ["void", "nickel"]


def test_names_in_a_file_whose_values_another_program_changed_are_void(tmp_path: Path) -> None:
    phases = (Phase("pore", 0, 0), Phase("ni", 1, 127))
    write(Volume(CELL, phases=phases), tmp_path / "v.h5")
    with h5py.File(tmp_path / "v.h5", "a") as file:
        file["volume"][...] = file["volume"][...] + 1
    volume = read(tmp_path / "v.h5", phases={"ni": 1, "pore": 128})
    assert [phase.value for phase in volume.phases] == [1, 128]
