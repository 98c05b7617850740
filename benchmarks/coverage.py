"""How often the intervals hold the truth, and how often the verdicts are wrong.

Pairs of samples are drawn from one law (Gaussian random fields cut at a level), so that every
true ratio is 1: the 95 % interval should hold 1 in 95 % of the pairs, and `differs` should be rare.
Then the generated values are scaled by 1.15, which makes the true ratio 1.15 with the same relative
spread: `same` should be rare.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.tables import module_command, write_result
from metrics.comparison import TABLE_COLUMNS, compare, scalar_rows
from metrics.measuring import CURVE
from metrics.shapes import gaussian_random_field

METRICS = (
    "volume_fraction", "specific_surface_area", "chord_length", "euler_density",
    "percolating_fraction", "effective_diffusivity", CURVE,
)  # fmt: skip
DIFFERENCE = 1.15
MARGIN = 0.05

# How a sample of 8 sub-volumes comes about: 8 volumes, or one volume cut in 8.
SAMPLES = {"8 volumes": (8, 1), "1 volume cut in 8": (1, 2)}


def judge_pair(pair: int, sample: str, side: int, length: float, seed: int) -> pd.DataFrame:
    """Verdicts on two samples of one law, as they are and with a true difference."""
    count, cells = SAMPLES[sample]
    draws = np.random.default_rng([seed, pair]).integers(2**31, size=(2, count)).tolist()
    gen, real = (
        [
            gaussian_random_field((side * cells,) * 3, correlation_length=length, seed=s).volume
            for s in seeds
        ]
        for seeds in draws
    )
    same = compare(gen, real, metrics=METRICS, subvolume=side, margin=MARGIN, workers=1)
    values = same.values.copy()
    values.loc[values["sample"] == "gen", "value"] *= DIFFERENCE
    other = pd.DataFrame(scalar_rows(values, MARGIN), columns=TABLE_COLUMNS)
    return pd.concat(
        [same.table.assign(truth=1.0, pair=pair), other.assign(truth=DIFFERENCE, pair=pair)]
    ).assign(sample=sample)


def summarise(tables: pd.DataFrame) -> pd.DataFrame:
    """Rates per metric, over pairs, phases and axes."""
    return pd.DataFrame(
        _rates(sample, metric, rows)
        for (sample, metric), rows in tables.groupby(["sample", "metric"], sort=False)
    )


def _rates(sample: str, metric: str, rows: pd.DataFrame) -> dict[str, object]:
    equal, other = rows[rows.truth == 1], rows[rows.truth != 1]
    ratio = equal.dropna(subset="ratio_low")
    covered = ((ratio.ratio_low <= 1) & (ratio.ratio_high >= 1)).mean()
    return {
        "sample": sample,
        "metric": metric,
        "rows": len(equal),
        "covers 1, %": 100 * covered,
        "differs, %": 100 * (equal.verdict == "differs").mean(),
        "cannot tell, %": 100 * (equal.verdict == "cannot tell").mean(),
        "same at ratio 1.15, %": 100 * (other.verdict == "same").mean(),
        "differs at ratio 1.15, %": 100 * (other.verdict == "differs").mean(),
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--side", type=int, default=32, help="voxels of a sub-volume (32)")
    parser.add_argument("--length", type=float, default=2.5, help="correlation length, voxels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args(argv)

    from joblib import Parallel, delayed
    from tqdm import tqdm

    jobs = [(pair, sample) for sample in SAMPLES for pair in range(args.pairs)]
    pool = Parallel(n_jobs=-1, return_as="generator")
    tables = pool(delayed(judge_pair)(*job, args.side, args.length, args.seed) for job in jobs)
    summary = summarise(pd.concat(list(tqdm(tables, total=len(jobs), unit="pair"))))
    write_result(
        args.out / "coverage",
        "Coverage of the intervals, error rates of the verdicts",
        f"{args.pairs} pairs of samples of 8 sub-volumes of {args.side}^3 voxels, Gaussian random "
        f"field of fraction 0.5 and correlation length {args.length} voxels, margin {MARGIN:.0%}. "
        "Rows pool pairs, phases and axes. Where the law is one, 95 % should cover 1.",
        summary,
        {"command": module_command("coverage", argv), "seed": args.seed},
    )
    print(summary.round(1).to_string(index=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
