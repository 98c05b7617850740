"""Whether an image and a volume of the same material give the same answer, where an image can know.

Each half of a real volume is compared with the other half: once with the middle slice of it (three
slices where the axes differ), once with all of it, by the quantities that follow from sections. So
are volumes of the shipped generators with the whole real volume, and halves with another material,
lengths in voxels, as negative controls. `differ` counts the quantities that differ jointly (Holm),
`of` those that the answer rests on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmarks import datasets
from benchmarks.script import Script
from benchmarks.tables import write_result
from benchmarks.validation.cases import CASES, STUDIES, middle_slice
from metrics.comparison.comparing import Comparison, compare, compare_sections
from metrics.description import CURVE
from metrics.volume import AXES, Volume
from slicegan.checkpoint import PRETRAINED
from slicegan.generation import generate

SCRIPT = Script("trust.sections_against_volumes", __doc__)

# What sections of an isotropic material tell, measured in 3D.
KNOWN = (
    "volume_fraction",
    "specific_surface_area",
    "interface_area",
    "tpb_density",
    "chord_length",
    CURVE,
)
VOLUMES, SIDE, SEED = 4, 128, 2000  # of a shipped generator


class Pair(NamedTuple):
    """A comparison: what is called generated, and what real."""

    gen: str
    real: str
    volumes: list[Volume]
    against: Volume
    isotropic: bool


def pairs() -> Iterator[Pair]:
    """All comparisons, one material after the other; negative controls last."""
    halves = {name: halves_of(in_voxels(datasets.load(name))) for name in STUDIES}
    for name, (lower, upper) in halves.items():
        isotropic = CASES[STUDIES[name].models[0]].isotropic
        yield Pair(f"{name}, lower half", "upper half", [lower], upper, isotropic)
        yield Pair(f"{name}, upper half", "lower half", [upper], lower, isotropic)
        whole = in_voxels(datasets.load(name))
        for model in STUDIES[name].models:
            if (PRETRAINED / f"{model}.safetensors").is_file():
                volumes = generate(model, SIDE, seed=SEED, count=VOLUMES)
                made = [in_voxels(volume) for volume in volumes]
                yield Pair(f"generator `{model}`", f"{name}, whole", made, whole, isotropic)
    for gen, real in (("berea", "snow"), ("snow", "berea"), ("nmc", "stack"), ("stack", "nmc")):
        isotropic = CASES[STUDIES[real].models[0]].isotropic
        yield Pair(f"{gen}, lower half", f"{real}, upper half", [halves[gen][0]], halves[real][1],
                   isotropic)  # fmt: skip


def in_voxels(volume: Volume) -> Volume:
    """Labels alone: other materials have other voxels and phases of other names."""
    ranks = np.searchsorted(volume.phase_labels, volume.labels)
    return Volume(ranks.astype(np.uint8))


def halves_of(volume: Volume) -> tuple[Volume, Volume]:
    """Below and above the middle layer."""
    middle = volume.shape[0] // 2
    whole = slice(None)
    return (
        volume.crop((slice(middle), whole, whole)),
        volume.crop((slice(middle, None), whole, whole)),
    )


def judged(pair: Pair, *, workers: int) -> dict[str, Any]:
    """Both answers of a pair."""
    images: Any = middle_slice(pair.against, "z")
    if not pair.isotropic:
        images = {axis: middle_slice(pair.against, axis) for axis in AXES}
    found = {
        "image": compare_sections(pair.volumes, images, workers=workers),
        "volume": compare(pair.volumes, pair.against, metrics=KNOWN, workers=workers),
    }
    row: dict[str, Any] = {"generated": pair.gen, "real": pair.real}
    for name, comparison in found.items():
        row |= _answer(name, comparison)
    return row


def _answer(name: str, comparison: Comparison) -> dict[str, Any]:
    tests = comparison.answer.tests
    differ = int(tests.differs.sum())
    return {
        f"answer by {name}": comparison.answer.verdict,
        f"differ by {name}": f"{differ} of {len(tests)}",
        f"all within, by {name}": tests.margin_needed.max(skipna=False),
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = SCRIPT.parser()
    parser.add_argument("--workers", type=int, default=-1, help="processes (all cores)")
    return SCRIPT.run(parser, argv, work)


def work(args: argparse.Namespace, command: str) -> int:
    rows = []
    for pair in pairs():
        rows.append(judged(pair, workers=args.workers))
        print(rows[-1], flush=True)
    facts = {
        "command": command,
        "generated": f"{VOLUMES} volumes of {SIDE}^3, seeds from {SEED}",
        "margin": 0.05,
    }
    write_result(
        args.out / "sections_against_volumes",
        "Compared with an image, and with the volume it is of",
        SCRIPT.text,
        pd.DataFrame(rows),
        facts,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
