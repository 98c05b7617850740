"""What the shipped generators make, to hold later versions to it: ``results/regression.csv``.

Four volumes of 96^3 voxels of fixed seeds of each generator are measured: fractions, surfaces, TPB,
two-point correlation at a few lags along z and x, effective diffusivity of the first phase along z.
The table holds the mean over seeds and the deviation from seed to seed; tests/fidelity allow a mean
of the same seeds a five-hundredth of that deviation: more than rounding, far less than what makes
another material. `labels` is the SHA-256 of the labels of seed 0, its first 16 digits.

``python -m benchmarks.validation.regression`` writes it anew, after a generator or a definition has
changed on purpose.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from benchmarks.script import Script
from benchmarks.tables import write_result
from metrics.correlation import two_point_correlation
from metrics.description import describe
from metrics.diffusivity import effective_diffusivity
from metrics.volume import Volume
from slicegan.checkpoint import Model, load_model, pretrained
from slicegan.generation import generate

SCRIPT = Script("validation.regression", __doc__)

SEEDS, SIDE = range(4), 96
CHECKED_SIDE = 48
COUNTED = ("volume_fraction", "specific_surface_area", "interface_area", "tpb_density")
LAGS = (1, 2, 4, 8, 16)
KEYS = ["metric", "phase", "axis"]


def volumes_of(model: Model) -> list[Volume]:
    """The volumes that are measured."""
    return [generate(model, SIDE, seed=seed) for seed in SEEDS]


def quantities(volumes: Sequence[Volume], *, transport: bool = True) -> pd.DataFrame:
    """Mean and deviation of each quantity over volumes, indexed by metric, phase, axis."""
    rows = [row for volume in volumes for row in _measure(volume, transport)]
    table = pd.DataFrame(rows, columns=[*KEYS, "value"]).groupby(KEYS, sort=False)["value"]
    return pd.DataFrame({"mean": table.mean(), "deviation": table.std(ddof=1)})


def _measure(volume: Volume, transport: bool) -> Iterator[tuple[str, str, str, float]]:
    counted = describe(volume, metrics=COUNTED)
    yield from counted[[*KEYS, "value"]].itertuples(index=False, name=None)
    for phase in volume.phases[:-1]:  # those of the last follow, of two phases exactly
        s2 = two_point_correlation(volume, phase=phase.label, max_lag=LAGS[-1])
        for axis in "zx":
            for lag in LAGS:
                yield f"S2 at {lag} voxels", phase.name, axis, float(s2.axis[axis][lag])
    if transport:
        first = volume.phases[0]
        found = effective_diffusivity(volume, phase=first.label, axis="z", solver="multigrid")
        yield "effective_diffusivity", first.name, "z", found.value


def checksum(model: Model) -> str:
    """Of the labels of seed 0, generated in float64: rounding then leaves no label in doubt."""
    exact = Model(copy.deepcopy(model.generator).double(), model.material, {})
    labels = generate(exact, CHECKED_SIDE, seed=0, device="cpu").labels
    return hashlib.sha256(np.ascontiguousarray(labels).data).hexdigest()[:16]


def main(argv: Sequence[str] | None = None) -> int:
    parser = SCRIPT.parser()
    parser.add_argument("names", nargs="*", help="shipped generators (all)")
    return SCRIPT.run(parser, argv, work)


def work(args: argparse.Namespace, command: str) -> int:
    models = {name: load_model(name) for name in args.names or pretrained()}
    tables = [
        quantities(volumes_of(model)).reset_index().assign(model=name, labels=checksum(model))
        for name, model in models.items()
    ]
    table = pd.concat(tables)[["model", "labels", *KEYS, "mean", "deviation"]]
    facts = {"command": command, "seeds": list(SEEDS), "device": "cpu"}
    write_result(
        args.out / "regression",
        "What the shipped generators make",
        SCRIPT.text,
        table,
        facts,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
