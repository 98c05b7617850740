"""Is what the shipped generator makes the same material as the snow it learnt from?

The real volume is an X-ray tomogram of snow. It is compared with four volumes of the generator
`snow`, and for contrast with a Gaussian field cut at a level, drawn by PoreSpy with the air
fraction of the snow: equal porosity is not equal microstructure. Run with ``make demo`` or
``python -m benchmarks.demo``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import datasets
from benchmarks.script import Script
from metrics.command.comparing import main as compare
from metrics.fraction import volume_fraction
from metrics.io.volumes import write
from metrics.volume import Volume
from slicegan.generation import generate

SCRIPT = Script("demo", __doc__)
SEED = 0
COUNT = 4
# PoreSpy's default. The field's autocovariance then falls to 1/e at 3.9 voxels, the snow's at 3.0.
BLOBINESS = 1
REAL, GENERATED, RANDOM = "real", "generated", "random_field"


def random_twin(real: Volume, *, seed: int = SEED) -> Volume:
    """Random field with the shape, spacing, phases and first phase's fraction of a real volume."""
    import porespy

    first, second = real.phase_labels
    pore = porespy.generators.blobs(
        list(real.shape),
        porosity=volume_fraction(real)[first],
        blobiness=BLOBINESS,
        seed=seed,
    )
    labels = np.where(pore, first, second).astype(real.labels.dtype)
    return Volume(labels, spacing=real.spacing, unit=real.unit, phases=real.phases)


def main(argv: Sequence[str] | None = None) -> int:
    return SCRIPT.run(SCRIPT.parser(out=Path("demo")), argv, work)


def work(args: argparse.Namespace, command: str) -> int:
    real = datasets.load("snow")
    others = {
        RANDOM: [random_twin(real)],
        GENERATED: generate("snow", real.shape, seed=SEED, count=COUNT),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    write(real, args.out / f"{REAL}.tif")
    for name, volumes in others.items():
        print(f"\n{name.replace('_', ' ')} against the tomogram", flush=True)
        for index, volume in enumerate(volumes):
            write(volume, args.out / f"{name}_{index}.tif")
        files = [str(args.out / f"{name}_*.tif"), str(args.out / f"{REAL}.tif")]
        if status := compare([*files, "--out", str(args.out / name)]):
            return status
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
