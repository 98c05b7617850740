"""How often a comparison of volumes with one image is right.

Two volumes of 64^3 voxels and an image of another body, all windows of Gaussian random fields,
compared as `slicegan compare GEN IMAGE` does: 16 cubes of 32 voxels against 16 windows. Of one law
the intervals should hold the true ratio 1 in 95 % of pairs, and the answer `differs` should come in
at most 5 % of them; then the same volumes against an image whose correlation length is 1.15 or 1.3
times as long, or whose first phase is .04 more frequent.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.script import Script
from benchmarks.tables import write_result
from benchmarks.trust.coverage import Judged, answered, judged, parser_of
from metrics.comparison.measuring import Measured, measure_volume
from metrics.comparison.plan import plan_section_comparison
from metrics.comparison.sections import in_every_direction
from metrics.comparison.verdicts import tabulate
from metrics.shapes import gaussian_random_field, plurigaussian
from metrics.volume import Volume

SCRIPT = Script("trust.coverage_sections", __doc__)

SIDE = 64  # voxels of a volume
IMAGE = 128  # pixels of an image: 16 windows of 32
VOLUMES = 2
MARGIN = 0.05
LONGER = (1.15, 1.3)  # times the correlation length
MORE = 0.04  # of the first phase


@dataclass(frozen=True)
class Law:
    """A random field.

    Parameters
    ----------
    length : float
        Correlation length in voxels.
    fractions : tuple of float
        Of the phases.
    """

    length: float
    fractions: tuple[float, ...] = (0.4, 0.6)

    def window(self, shape: tuple[int, int, int], seed: int) -> Volume:
        """Part of a field, which wraps around, as far as its opposite sides do not meet."""
        make = gaussian_random_field if len(self.fractions) == 2 else plurigaussian
        z, y, x = (n + int(8 * self.length) for n in shape)
        whole = make(
            (z, y, x),
            correlation_length=self.length,
            fractions=self.fractions,
            seed=seed,
        ).volume
        return whole.crop((slice(shape[0]), slice(shape[1]), slice(shape[2])))

    def image(self, seed: int) -> NDArray[np.integer]:
        """A section."""
        return self.window((1, IMAGE, IMAGE), seed).labels[0]

    @property
    def name(self) -> str:
        """The law in words."""
        return f"{len(self.fractions)} phases, length {self.length:g}"


LAWS = (Law(2.5), Law(5.0), Law(2.5, (0.4, 0.3, 0.3)))


def judge_pair(pair: int, law: Law, seed: int) -> Judged:
    """Answers on volumes against images of their law and of others; rows of those of one law."""
    seeds = np.random.default_rng([seed, pair]).integers(2**31, size=VOLUMES + 1).tolist()
    volumes = [law.window((SIDE,) * 3, of) for of in seeds[:VOLUMES]]
    first, *others = law.fractions
    more = (first + MORE, *(share * (1 - first - MORE) / (1 - first) for share in others))
    laws = {
        "one law": law,
        **{f"length x {by:g}": replace(law, length=by * law.length) for by in LONGER},
        f"fraction + {MORE:g}": replace(law, fractions=more),
    }
    measured: list[Measured] = []
    answers, rows = [], pd.DataFrame()
    for case, of_image in laws.items():
        plan = plan_section_comparison(
            volumes, of_image.image(seeds[-1]), metrics=None, window=None, samples=16,
            max_lag=None, margin=MARGIN, seed=pair, workers=1,
        )  # fmt: skip
        measured = measured or [measure_volume(v, plan.question) for v in plan.sampling.gen]
        of_windows = [measure_volume(v, plan.question) for v in plan.sampling.real]
        tables = tabulate(
            measured,
            [in_every_direction(one) for one in of_windows],
            unit="voxel",
            phases=[str(k) for k in range(len(law.fractions))],
            margin=MARGIN,
            seed=pair,
            groups=plan.sampling.groups,
        )
        answers.append(answered(law.name, case, tables))
        if case == "one law":
            rows = tables.table.assign(law=law.name)
    return answers, rows


def main(argv: Sequence[str] | None = None) -> int:
    return SCRIPT.run(parser_of(SCRIPT, pairs=100), argv, work)


def work(args: argparse.Namespace, command: str) -> int:
    answers, rows = judged(judge_pair, LAWS, args)
    facts = {"command": command, "seed": args.seed, "pairs": args.pairs}
    write_result(
        args.out / "coverage_sections",
        "How often volumes against one image get the right answer",
        f"{SCRIPT.text}\n\nIn % of the pairs (S2: of pairs, phases and axes), margin {MARGIN:.0%}.",
        answers,
        facts,
    )
    write_result(
        args.out / "coverage_sections_rows",
        "Volumes against one image: coverage of the intervals",
        f"{SCRIPT.text}\n\nBoth samples are of one law: 95 % should cover.",
        rows,
        facts,
    )
    print((args.out / "coverage_sections.md").read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
