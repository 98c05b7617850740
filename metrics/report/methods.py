"""Text of a comparison to paste: how it was made, for a paper, and all of it as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from metrics.wording import readable

if TYPE_CHECKING:
    from metrics.comparison.comparing import Comparison
    from metrics.volume import Volume

# Papers behind the quantities, as in CITATION.cff.
TORQUATO = "Torquato, Random Heterogeneous Materials, Springer 2002, doi:10.1007/978-1-4757-6355-3"
CROFTON = "Legland et al., Image Anal. Stereol. 26, 83 (2007), doi:10.5566/ias.v26.p83-92"
TAUFACTOR = "Cooper et al., SoftwareX 5, 203 (2016), doi:10.1016/j.softx.2016.09.002"
THICKNESS = (
    "Hildebrand and Rüegsegger, J. Microsc. 185, 67 (1997), doi:10.1046/j.1365-2818.1997.1340694.x"
)
JORGENSEN = "Jørgensen et al., J. Power Sources 261, 198 (2014)"
WELCH = "Welch, Biometrika 34, 28 (1947), doi:10.1093/biomet/34.1-2.28"
REFERENCES = {
    "two_point_correlation": TORQUATO,
    "chord_length": TORQUATO,
    "specific_surface_area": CROFTON,
    "interface_area": CROFTON,
    "boundary_length": CROFTON,
    "interface_length": CROFTON,
    "euler_density": CROFTON,
    "section_euler_density": CROFTON,
    "tpb_density": JORGENSEN,
    "active_tpb_density": JORGENSEN,
    "effective_diffusivity": TAUFACTOR,
    "local_thickness": THICKNESS,
    "section_thickness": THICKNESS,
}


def methods(comparison: Comparison, real: Volume, versions: Mapping[str, str]) -> str:
    """How the comparison was made, in sentences with numbers, definitions and references.

    Parameters
    ----------
    comparison : Comparison
    real : Volume
        One of the real ones, for the size of a voxel.
    versions : mapping of str to str
        Of the software; empty if they are not known.
    """
    return " ".join(_sentences(comparison, real, versions))


def _sentences(comparison: Comparison, real: Volume, versions: Mapping[str, str]) -> Iterator[str]:
    settings, numbers = comparison.settings, _numbers(comparison)
    edges = " x ".join(f"{edge:g}" for edge in real.spacing)
    size = "" if real.unit == "voxel" else f" of {edges} {real.unit}"
    shape = " x ".join(map(str, settings["subvolume"]))
    names = ("slicegan", "numpy", "scipy")
    software = ", ".join(f"{name} {versions[name]}" for name in names if name in versions)
    kinds = ("cube", "window") if settings["sections"] else ("sub-volume", "sub-volume")
    of_gen, of_real = (
        f"{settings[f'n_{sample}']} {kind}{'s' * (settings[f'n_{sample}'] != 1)}"
        for sample, kind in zip(("gen", "real"), kinds, strict=True)
    )
    seen = (
        ", the cubes on planes normal to z, y and x, the windows cut from 2D images"
        if settings["sections"]
        else ""
    )
    yield (
        f"The generated material was compared with the real one{f' ({software})' * bool(software)} "
        f"on {of_gen} of the generated and {of_real} of the real sample, of {shape} voxels{size} "
        f"(z, y, x), chosen with seed {settings['seed']}{seen}."
    )
    if min(settings["n_gen"], settings["n_real"]) > 1:
        yield (
            "Values are means over these, with 95 % confidence intervals from the spread between "
            f"them [{numbers[WELCH]}]. Two values count as the same if the whole interval of their "
            f"ratio lies within {100 * settings['margin']:g} %, or, where a value may be 0, that "
            "of their difference within this share of the real mean; two correlation functions if "
            f"they differ by less than {settings['margin']:g} at every lag."
        )
    if count := len(comparison.answer.tests):
        yield (
            f"The answer rests on {count} quantities of which none says the same thing twice, "
            "tested together at a level of 5 % by Holm's method."
        )
    for definition, metrics in _definitions(comparison).items():
        known = sorted({numbers[REFERENCES[name]] for name in metrics if name in REFERENCES})
        cited = f" [{', '.join(map(str, known))}]" if known else ""
        names_of = ", ".join(map(readable, metrics))
        yield f"{names_of[0].upper()}{names_of[1:]}: {definition}{cited}."


def references(comparison: Comparison) -> list[str]:
    """Papers that `methods` cites, in the order of their numbers."""
    return list(_numbers(comparison))


def _numbers(comparison: Comparison) -> dict[str, int]:
    """Number of each paper, in the order in which they are cited."""
    metrics = [name for names in _definitions(comparison).values() for name in names]
    cited = [WELCH, *(REFERENCES[name] for name in metrics if name in REFERENCES)]
    return {paper: number for number, paper in enumerate(dict.fromkeys(cited), 1)}


def _definitions(comparison: Comparison) -> dict[str, list[str]]:
    """Metrics of each definition; of a metric the first one, without what is of its row alone."""
    first: dict[str, str] = {}
    for frame in (comparison.table, comparison.distances):
        for metric, definition in zip(frame["metric"], frame["definition"], strict=True):
            first.setdefault(metric, definition.partition("; interval of")[0])
    found: dict[str, list[str]] = {}
    for metric, definition in first.items():
        found.setdefault(definition, []).append(metric)
    return found


def markdown(
    comparison: Comparison,
    rows: Sequence[Mapping[str, str]],
    *,
    titles: tuple[str, str],
    text: str,
    command: str,
) -> str:
    """The answer, the table, methods and references as Markdown.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of the table as text: metric, phase, axis, gen, real, ratio, unit and verdict.
    titles : (str, str)
        Of the generated and the real sample.
    text : str
        What `methods` says.
    command : str
        What was run; empty if that is not known.
    """
    lines = [
        f"# {_plain(titles[0])} against {_plain(titles[1])}",
        "",
        f"**{_plain(comparison.answer.sentence)}**",
        "",
        "| metric | phase | axis | generated | real | ratio or difference | unit | verdict |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [
            readable(row["metric"]), row["phase"], row["axis"],
            *(f"{row[key]} {row[f'{key}_interval']}".rstrip() for key in ("gen", "real", "ratio")),
            row["unit"], row["verdict"],
        ]  # fmt: skip
        lines.append(f"| {' | '.join(map(_plain, cells))} |")
    lines += ["", "## Methods", "", _plain(text), ""]
    lines += [f"{number}. {paper}" for number, paper in enumerate(references(comparison), start=1)]
    if command:
        lines += ["", f"    {' '.join(command.split())}"]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Text that Markdown and HTML within it show as it is."""
    escaped = text.replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;")
    for sign in "|*_`[]$~":
        escaped = escaped.replace(sign, f"\\{sign}")
    return " ".join(escaped.split())
