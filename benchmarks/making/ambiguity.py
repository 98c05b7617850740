"""How much one slice says: generators of several training seeds, compared with the real volume.

Generators that learnt the same image alike well may still make different materials: what planes do
not show, each has settled in its own way. The interval over volumes of one generator knows nothing
of that. Here the training of a shipped generator is repeated with other seeds, and the same
quantities are measured on volumes of each. `of one` is half the 95 % interval over the volumes of
one generator, mean over generators; `over generators` the 95 % interval of the mean over
generators, by Student's t; `share` the part of a volume's variance that is between generators.
`real` is measured on disjoint parts of the real volume, as large as the generated ones. Axes are
averaged.

``python -m benchmarks.making.ambiguity nmc-slice`` trains (a run that was stopped goes on),
measures and writes ``results/ambiguity_nmc-slice.csv`` and a page.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks import datasets
from benchmarks.making.train_pretrained import start
from benchmarks.script import Script
from benchmarks.tables import write_result
from benchmarks.validation.cases import CASES, STUDIES
from metrics.comparison.subvolumes import plan_subvolumes
from metrics.description import describe
from metrics.intervals import mean
from metrics.volume import InputError, Volume
from slicegan.generation import generate

SCRIPT = Script("making.ambiguity", __doc__)

KEYS = ["metric", "phase"]


def values(volumes: Sequence[Volume]) -> pd.DataFrame:
    """Each quantity of each volume, means over axes: one column a volume."""
    rows = [describe(volume).groupby(KEYS, sort=False)["value"].mean() for volume in volumes]
    return pd.DataFrame(dict(enumerate(rows)))


def summary(of_generators: Sequence[pd.DataFrame], real: pd.DataFrame) -> pd.DataFrame:
    """Rows of quantities: the real value, the generators, and the two kinds of interval.

    Examples
    --------
    >>> index = pd.MultiIndex.from_tuples([("volume_fraction", "pore")], names=KEYS)
    >>> one, other, real = (
    ...     pd.DataFrame([numbers], index=index) for numbers in ([1.0, 3.0], [5.0, 7.0], [4.0, 4.0])
    ... )
    >>> row = summary([one, other], real).iloc[0]
    >>> row[["generators", "lowest", "highest", "share"]].astype(float).round(2).tolist()
    [4.0, 2.0, 6.0, 0.78]
    """
    rows = []
    for key in real.index:
        each = np.array([frame.loc[key].to_numpy(float) for frame in of_generators])
        means = each.mean(axis=1)
        within = each.var(axis=1, ddof=1).mean()
        between = max(means.var(ddof=1) - within / each.shape[1], 0.0)
        over = mean(means).interval()
        rows.append(
            {
                **dict(zip(KEYS, key, strict=True)),
                "real": real.loc[key].mean(),
                "generators": means.mean(),
                "lowest": means.min(),
                "highest": means.max(),
                "of one": np.mean([mean(of_one).half_width() for of_one in each]),
                "over generators low": over.low,
                "over generators high": over.high,
                "share": between / (between + within) if between + within else 0.0,
            }
        )
    return pd.DataFrame(rows)


def measured(args: argparse.Namespace) -> pd.DataFrame:
    """Train what is not trained yet, and measure all."""
    dataset, found = CASES[args.name].dataset, []
    side = STUDIES[dataset].window
    for seed in range(args.seeds):
        folder = args.runs / f"{args.name}_{seed}"
        run = start(args.name, folder, seed=seed, device=torch.device(args.device))
        if not run.train(progress=True):
            raise InputError(f"{folder}: stopped, the same command goes on")
        found.append(
            values([generate(str(folder), side, seed=index) for index in range(args.volumes)])
        )
    real = [datasets.load(dataset)]
    parts = plan_subvolumes(real, real, side=side)
    return summary(found, values(parts.real))


def main(argv: Sequence[str] | None = None) -> int:
    parser = SCRIPT.parser()
    parser.add_argument("name", choices=tuple(CASES))
    parser.add_argument("--seeds", type=int, default=4, help="training seeds 0, 1, ... (4)")
    parser.add_argument("--volumes", type=int, default=4, help="of each generator (4)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs (runs)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    return SCRIPT.run(parser, argv, work)


def work(args: argparse.Namespace, command: str) -> int:
    if min(args.seeds, args.volumes) < 2:
        raise InputError("--seeds and --volumes must be 2 or more to have a spread")
    table = measured(args)
    facts = {
        "command": command,
        "training": CASES[args.name].slices(datasets.load(CASES[args.name].dataset)),
        "seeds": f"of training 0 to {args.seeds - 1}; of volumes 0 to {args.volumes - 1}",
    }
    stem = args.out / f"ambiguity_{args.name}"
    write_result(
        stem,
        f"How much one slice says: {args.name}",
        SCRIPT.text,
        table,
        facts,
    )
    print(table.to_string(index=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
