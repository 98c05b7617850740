"""How often the intervals hold the truth, and how often verdicts and answers are wrong.

Pairs of samples are drawn from one law (Gaussian random fields cut at levels), so that every true
ratio is 1: a 95 % interval should hold 1 in 95 % of the pairs, and the answer `differs` should come
in at most 5 % of them. Then the same pairs with generated surfaces and diffusivities scaled by 1.1
and 1.2, or with a generated field of 1.6 times the correlation length: `same` should never come,
and `differs` often.

Writes ``coverage.md`` (answers, and verdicts on the two-point correlation) and
``coverage_rows.md`` (intervals and verdicts of single quantities).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.script import Script
from benchmarks.tables import write_result
from metrics.command.arguments import Parser
from metrics.comparison.measuring import Measured, Question, measure_all
from metrics.comparison.verdicts import Tables, tabulate
from metrics.description import COMPARED_METRICS, CURVE
from metrics.intervals import VERDICTS
from metrics.machine.workers import in_parallel
from metrics.shapes import gaussian_random_field, plurigaussian
from metrics.volume import Volume

SCRIPT = Script("trust.coverage", __doc__)

SIDE = 32  # voxels of a sub-volume
MARGIN = 0.05
SCALES = (1.1, 1.2)
SCALED = ("specific_surface_area", "interface_area", "effective_diffusivity")
LONGER = 1.6  # times the correlation length


@dataclass(frozen=True)
class Law:
    """How the sub-volumes of one sample come about.

    Parameters
    ----------
    length : float
        Correlation length in voxels.
    cut : bool
        Whether they are the octants of one volume, or volumes of their own.
    counts : tuple of int
        Numbers of sub-volumes, from the largest sample on: smaller ones are its first.
    fractions : tuple of float
        Of the phases. Three phases meet in lines.
    """

    length: float
    cut: bool
    counts: tuple[int, ...] = (8,)
    fractions: tuple[float, ...] = (0.4, 0.6)

    def name(self, count: int) -> str:
        """Law and sample in words."""
        kind = "1 volume cut in" if self.cut else "volumes:"
        return f"{len(self.fractions)} phases, length {self.length:g}, {kind} {count}"

    def sample(self, seeds: Iterator[int]) -> list[Volume]:
        """Sub-volumes of one sample. A field wraps around: what is used is a window of it."""
        if self.cut:
            whole = self._field(3 * SIDE, next(seeds))
            halves = slice(0, SIDE), slice(SIDE, 2 * SIDE)
            return [whole.crop((z, y, x)) for z, y, x in product(halves, repeat=3)]
        window = slice(SIDE), slice(SIDE), slice(SIDE)
        return [self._field(2 * SIDE, next(seeds)).crop(window) for _ in range(max(self.counts))]

    def _field(self, side: int, seed: int) -> Volume:
        make = gaussian_random_field if len(self.fractions) == 2 else plurigaussian
        shape = (side,) * 3
        return make(
            shape, correlation_length=self.length, fractions=self.fractions, seed=seed
        ).volume


LAWS = (
    Law(2.5, cut=False, counts=(16, 8, 4, 2)),
    Law(2.5, cut=True),
    Law(5.0, cut=True),
    Law(8.0, cut=True),
    Law(2.5, cut=False, counts=(8, 4), fractions=(0.4, 0.3, 0.3)),
    Law(5.0, cut=True, fractions=(0.4, 0.3, 0.3)),
)


Judged = tuple[list[dict[str, Any]], pd.DataFrame]  # answers, and rows of two samples of one law


def judge_pair(pair: int, law: Law, seed: int) -> Judged:
    """Answers on two samples of one law and of different ones; rows of those of one law."""
    seeds = iter(np.random.default_rng([seed, pair]).integers(2**31, size=4 * 16).tolist())
    gen, real = (_measured(law.sample(seeds), COMPARED_METRICS) for _ in range(2))
    longer = _measured(replace(law, length=LONGER * law.length).sample(seeds), (CURVE,))
    phases = [str(k) for k in range(len(law.fractions))]
    answers, rows = [], []
    for count in law.counts:

        def against_real(of: list[Measured], isotropic: bool = False, count: int = count) -> Tables:
            return tabulate(
                of[:count], real[:count], unit="voxel", phases=phases, margin=MARGIN,
                isotropic=isotropic, seed=pair,
            )  # fmt: skip

        one = against_real(gen)
        found = {
            "one law": one,
            "one law, isotropic": against_real(gen, isotropic=True),
            **{f"x {by:g}": against_real(_scaled(gen, by)) for by in SCALES},
            f"length x {LONGER:g}": against_real(longer),
        }
        name = law.name(count)
        for case, tables in found.items():
            answers.append(answered(name, case, tables))
        rows.append(one.table.assign(law=name))
    return answers, pd.concat(rows)


def answered(law: str, case: str, tables: Tables) -> dict[str, Any]:
    """The answer on a pair, and how often S2 of a phase and axis is the same, and differs."""
    s2 = tables.distances.verdict
    return {
        "law": law,
        "case": case,
        "answer": tables.answer.verdict,
        "quantities": len(tables.answer.tests),
        "s2 same": (s2 == "same").mean(),
        "s2 differs": (s2 == "differs").mean(),
    }


def _measured(volumes: list[Volume], names: tuple[str, ...]) -> list[Measured]:
    question = Question(names, SIDE // 2)
    return measure_all([(volume, question) for volume in volumes])


def _scaled(sample: list[Measured], by: float) -> list[Measured]:
    """The same sample with larger surfaces and diffusivities."""
    return [
        of._replace(
            rows=[
                row._replace(value=row.value * by) if row.metric in SCALED else row
                for row in of.rows
            ]
        )
        for of in sample
    ]


def summarise_answers(answers: pd.DataFrame) -> pd.DataFrame:
    """How often each answer, and each verdict on two-point correlations, comes; in %."""
    lines = []
    for (law, case), of in answers.groupby(["law", "case"], sort=False):
        line: dict[str, Any] = {
            "samples": law,
            "case": case,
            "quantities": of.quantities.max(),
        }
        for verdict in ("differs", "same"):
            line[f"answer {verdict}"] = 100 * (of.answer == verdict).mean()
        for verdict in ("differs", "same"):
            line[f"S2 {verdict}"] = 100 * of[f"s2 {verdict}"].mean()
        lines.append(line)
    return pd.DataFrame(lines)


def summarise_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Coverage and verdicts of each quantity, in % of pairs, phases and axes; one law."""
    lines = []
    for (law, metric), of in rows.groupby(["law", "metric"], sort=False):
        ratio = of.dropna(subset="ratio_low")
        apart = of.dropna(subset="difference_low")
        inside = {
            "ratio covers 1": (ratio.ratio_low <= 1) & (ratio.ratio_high >= 1),
            "difference covers 0": (apart.difference_low <= 0) & (apart.difference_high >= 0),
        }
        lines.append(
            {"samples": law, "metric": metric, "rows": len(of)}
            | {name: 100 * held.mean() for name, held in inside.items()}
            | {verdict: 100 * (of.verdict == verdict).mean() for verdict in VERDICTS}
        )
    return pd.DataFrame(lines)


def parser_of(script: Script, *, pairs: int) -> Parser:
    """Parser of a script that judges so many pairs of each law, unless told otherwise."""
    parser = script.parser()
    parser.add_argument("--pairs", type=int, default=pairs, help="of each law (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=-1, help="processes (all cores)")
    return parser


def judged(
    judge: Callable[..., Judged], laws: Sequence[Any], args: argparse.Namespace
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Summaries of the answers and of the rows of all pairs of each law."""
    from tqdm import tqdm

    jobs = [(pair, law, args.seed) for law in laws for pair in range(args.pairs)]
    found = in_parallel(judge, jobs, args.workers)
    answers, rows = zip(*tqdm(found, total=len(jobs), unit="pair"), strict=True)
    every = pd.DataFrame([answer for of in answers for answer in of])
    return summarise_answers(every), summarise_rows(pd.concat(rows))


def main(argv: Sequence[str] | None = None) -> int:
    return SCRIPT.run(parser_of(SCRIPT, pairs=200), argv, work)


def work(args: argparse.Namespace, command: str) -> int:
    answers, rows = judged(judge_pair, LAWS, args)
    text = (
        f"{args.pairs} pairs of samples of sub-volumes of {SIDE}^3 voxels, windows of Gaussian "
        f"random fields, all metrics of `compare`, margin {MARGIN:.0%}; in % of the pairs"
    )
    facts = {"command": command, "seed": args.seed}
    write_result(
        args.out / "coverage",
        "How often the answer is right",
        f"{text} (`S2 rows`: of pairs, phases and axes). Of one law the answer may be `differs` in "
        "5 % of the pairs; `x 1.1` and `x 1.2` scale its surfaces and diffusivities.",
        answers,
        facts,
    )
    write_result(
        args.out / "coverage_rows",
        "Coverage of the intervals, verdicts of single quantities",
        f"{text}, phases and axes. Both samples are of one law: 95 % should cover.",
        rows,
        facts,
    )
    print((args.out / "coverage.md").read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
