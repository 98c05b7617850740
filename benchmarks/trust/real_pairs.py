"""Real volumes compared where the answer is of interest: the tables in ``results/``.

``berea_halves``: one rock against itself, its lower half (z < 200) against its upper half.
``pores4thought``: periodic against non-periodic volumes of one published generator.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks import datasets
from benchmarks.script import Script
from benchmarks.tables import write_result
from metrics.comparison.comparing import compare
from metrics.report.page import terminal_table
from metrics.volume import InputError, Volume

SCRIPT = Script("trust.real_pairs", __doc__)

Samples = tuple[list[Volume], list[Volume]]


def berea_halves() -> Samples:
    berea = datasets.load("berea")
    middle = berea.shape[0] // 2
    return [berea.crop(np.s_[:middle, :, :])], [berea.crop(np.s_[middle:, :, :])]


def pores4thought() -> Samples:
    periodic, open_ended = (
        [datasets.load(f"pores4thought_{kind}_{k}") for k in range(5)]
        for kind in ("periodic", "non_periodic")
    )
    return periodic, open_ended


@dataclass(frozen=True)
class Case:
    """Two samples, and how to cut them."""

    title: str
    text: str
    samples: Callable[[], Samples]
    subvolume: int | None = None
    periodic_gen: bool = False


CASES = {
    "berea_halves": Case(
        "Berea sandstone: lower half against upper half",
        "X-ray micro-CT (Mosser, Dubrule, Blunt 2017, doi 10.1103/PhysRevE.96.043309). "
        "gen: z < 200, real: z >= 200, of 400 layers. One rock, so a row that differs would be a "
        "false alarm or a gradient along z.",
        berea_halves,
    ),
    "pores4thought": Case(
        "NMC cathode of a 3D GAN: periodic against non-periodic volumes",
        "Volumes published with Gayon-Lombardo et al. 2020, doi 10.1038/s41524-020-0340-7; not "
        "tomography. gen: five periodic, real: five non-periodic volumes, each whole (64^3).",
        pores4thought,
        subvolume=64,
        periodic_gen=True,
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = SCRIPT.parser()
    parser.add_argument("cases", nargs="*", default=list(CASES), help="of the two above (both)")
    parser.add_argument("--seed", type=int, default=0)
    return SCRIPT.run(parser, argv, work)


def work(args: argparse.Namespace, command: str) -> int:
    if unknown := sorted(set(args.cases) - set(CASES)):
        raise InputError(f"no case {unknown[0]}: there are {', '.join(CASES)}")
    for name in args.cases:
        case = CASES[name]
        gen, real = case.samples()
        comparison = compare(
            gen,
            real,
            subvolume=case.subvolume,
            periodic_gen=case.periodic_gen,
            seed=args.seed,
            progress=True,
        )
        settings = comparison.settings
        shape = "x".join(map(str, settings["subvolume"]))
        facts = {
            "command": command,
            "seed": args.seed,
            "sub-volumes": f"{settings['n_gen']} and {settings['n_real']} of {shape} voxels",
            "margin": settings["margin"],
            "seconds of processor time": round(sum(comparison.seconds.values())),
        }
        plain = terminal_table(comparison)
        write_result(args.out / name, case.title, case.text, comparison.table, facts, plain=plain)
        distances = args.out / f"{name}_distances.csv"
        comparison.distances.to_csv(distances, index=False, float_format="%.6g")
        print(plain)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
