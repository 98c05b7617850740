"""Our time and memory compared with the peers', on one volume, in one run.

Every row runs ours and the peer, unmodified, each in a process of its own, after a warm-up on a
small volume (imports, compilation), and repeats them in turn. A ratio above 1 means that ours is
faster, or takes less memory. Memory is what the process takes at most beyond the loaded volume.
The floor of any count is one reading of the volume, 1 byte a voxel, by one core: the page says how
long that takes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks import datasets
from benchmarks.script import Script
from benchmarks.speed.turns import measured_in_turn, serve
from benchmarks.tables import write_result
from metrics.command.arguments import Parser
from metrics.io.volumes import read

SCRIPT = Script("speed.counting", __doc__)

Labels = NDArray[np.uint8]
LAG = 64
WARM_UP = 32  # voxels a side
MEMORY_FLOOR = 0.1  # bytes a voxel: less is not told apart from what Python itself moves about


@dataclass(frozen=True)
class Row:
    """The same work done by us and by a peer.

    `ours` and `peer` return the number that both should agree on; `agreement` says how well they
    can.
    """

    work: str
    peer_name: str
    ours: Callable[[Labels], float]
    peer: Callable[[Labels], float]
    agreement: str


def our_counts(labels: Labels) -> float:
    from metrics import interface_areas, specific_surface_area, tpb_density, volume_fraction

    volume_fraction(labels)
    for phase in range(3):
        specific_surface_area(labels, phase=phase, estimator="faces")
    tpb_density(labels)
    return interface_areas(labels, estimator="faces")[0, 1]


def taufactor_counts(labels: Labels) -> float:
    from taufactor import metrics as taufactor

    # Its TPB refuses uint8.
    wide = labels.astype(np.int32)
    taufactor.volume_fraction(wide)
    taufactor.specific_surface_area(wide, method="face_counting", device="cpu")
    taufactor.triple_phase_boundary(wide)
    return taufactor.interfacial_areas(wide, device="cpu")[0, 1]


def our_two_point(labels: Labels) -> float:
    from metrics import two_point_correlation

    return float(two_point_correlation(labels, phase=0, max_lag=_lag(labels)).radial[10])


def porespy_two_point(labels: Labels) -> float:
    import porespy

    bins = np.append(0, np.arange(0.5, _lag(labels) + 1))
    result = porespy.metrics.two_point_correlation(labels == 0, bins=bins)
    return float(result.probability_scaled[10])


def _lag(labels: Labels) -> int:
    return min(LAG, min(labels.shape) // 2)


def our_crofton(labels: Labels) -> float:
    from metrics import interface_areas

    areas = interface_areas(labels, estimator="crofton")
    return sum(area for pair, area in areas.items() if 1 in pair)


def taufactor_marching_cubes(labels: Labels) -> float:
    from taufactor.metrics import specific_surface_area

    return specific_surface_area(labels, method="marching_cubes", device="cpu")["1"]


def our_chords(labels: Labels) -> float:
    from metrics import chord_length

    chords = chord_length(labels, phase=0, axis="x")
    return float(chords.counts @ chords.lengths / chords.count)


def porespy_chords(labels: Labels) -> float:
    import porespy

    chords = porespy.filters.apply_chords(labels == 0, spacing=0, axis=2)
    # Its chord_length_distribution would take chords side by side for one.
    lengths = np.bincount(chords.ravel())[1:]
    return float(lengths[lengths > 0].mean())


def our_lineal_path(labels: Labels) -> float:
    from metrics import lineal_path

    return float(lineal_path(labels, phase=0, max_lag=_lag(labels)).axis["x"][10])


def porespy_lineal_path(labels: Labels) -> float:
    import porespy

    phase = labels == 0
    bins = np.arange(0.5, max(labels.shape) + 1)
    for axis in range(3):
        ahead = porespy.filters.distance_transform_lin(phase, axis=axis, mode="forward")
        found = porespy.metrics.lineal_path_distribution(ahead, bins=bins, log=False)
    # Of the voxels of the phase that have 10 more of it before them.
    return float(found.relfreq[10:].sum() * phase.mean())


def our_percolation(labels: Labels) -> float:
    from metrics import percolation

    return percolation(labels, phase=0, axis="x").percolating_fraction


def taufactor_percolation(labels: Labels) -> float:
    from taufactor.metrics import extract_through_feature

    return float(extract_through_feature(labels, 0, "z")[1][0])  # its z is our x


ROWS = {
    "counts": Row(
        "volume fractions, surfaces, interface areas, TPB",
        "TauFactor: its four functions",
        our_counts,
        taufactor_counts,
        "area of phases 0-1: equal",
    ),
    "two_point": Row(
        f"S2 of one phase, axes and radial to lag {LAG}",
        "PoreSpy: two_point_correlation (radial)",
        our_two_point,
        porespy_two_point,
        "S2 at 10 voxels: equal weights for pairs (ours) or for lags (PoreSpy)",
    ),
    "crofton": Row(
        "surface of all phases, curved estimator",
        "TauFactor: marching cubes",
        our_crofton,
        taufactor_marching_cubes,
        "surface of phase 1: another estimator, smoothed first",
    ),
    "chords": Row(
        "chord lengths of one phase along one axis",
        "PoreSpy: apply_chords, voxels of each",
        our_chords,
        porespy_chords,
        "mean of uncut chords: PoreSpy also leaves out those on the volume's sides",
    ),
    "lineal_path": Row(
        "lineal path of one phase along three axes",
        "PoreSpy: distance_transform_lin and lineal_path_distribution",
        our_lineal_path,
        porespy_lineal_path,
        "L at 10 voxels: segments that end outside count in PoreSpy's denominator",
    ),
    "percolation": Row(
        "through-connected fraction of one phase along one axis",
        "TauFactor: extract_through_feature",
        our_percolation,
        taufactor_percolation,
        "fraction: equal",
    ),
}


def load(volume: Path, size: int) -> Labels:
    labels = read(volume).labels
    return np.ascontiguousarray(labels[:size, :size, :size])


def serve_side(name: str, side: str, labels: Labels) -> None:
    """Child process: one side of a row, after a warm-up."""
    call = getattr(ROWS[name], side)
    with contextlib.redirect_stdout(io.StringIO()):
        call(np.ascontiguousarray(labels[:WARM_UP, :WARM_UP, :WARM_UP]))
    serve(partial(call, labels), tell=float)


def row_of(name: str, volume: Path, size: int, repeats: int) -> dict[str, object]:
    """Ours and the peer in turn, each in its own process."""
    command = [sys.executable, "-m", "benchmarks.speed.counting", "--serve", name]
    options = ["--volume", str(volume), "--size", str(size)]
    sides = {side: [*command, side, *options] for side in ("ours", "peer")}
    runs = measured_in_turn(sides, repeats)
    seconds = {side: median(run.seconds for run in runs[side]) for side in sides}
    memory = {side: median(run.memory for run in runs[side]) / size**3 for side in sides}
    row = ROWS[name]
    return {
        "work": row.work,
        "peer": row.peer_name,
        "voxels": f"{size}^3",
        "ours, s": seconds["ours"],
        "peer, s": seconds["peer"],
        "time ratio": seconds["peer"] / seconds["ours"],
        "ours, B/voxel": memory["ours"],
        "peer, B/voxel": memory["peer"],
        "memory ratio": memory["peer"] / max(memory["ours"], MEMORY_FLOOR),
        "ours / peer": runs["ours"][0].answer / runs["peer"][0].answer,
        "agreement": row.agreement,
    }


def read_seconds(labels: Labels) -> float:
    """Shortest time in which one core reads the volume, as eight voxels a word."""
    words = labels.reshape(-1)[: labels.size // 8 * 8].view(np.uint64)

    def read_once() -> float:
        start = perf_counter()
        np.bitwise_or.reduce(words)
        return perf_counter() - start

    return min(read_once() for _ in range(9))


def import_seconds(repeats: int) -> float:
    """Wall time of `import metrics` beyond that of starting Python."""

    def start(code: str) -> float:
        begin = perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return perf_counter() - begin

    return median(start("import metrics") - start("pass") for _ in range(repeats))


def _parser() -> Parser:
    parser = SCRIPT.parser()
    parser.add_argument("--volume", type=Path, help="of three phases (the data set nmc)")
    parser.add_argument("--size", type=int, default=256, help="side of the volume (256, whole)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=tuple(ROWS), help="one row")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    return SCRIPT.run(_parser(), argv, work)


def work(args: argparse.Namespace, command: str) -> int:
    if args.serve:
        name, side = args.serve
        serve_side(name, side, load(args.volume, args.size))
        return 0

    volume = args.volume or datasets.path("nmc")
    names = [args.only] if args.only else list(ROWS)
    table = pd.DataFrame([row_of(name, volume, args.size, args.repeats) for name in names])
    write_result(
        args.out / "speed",
        "Speed and memory compared with the peers",
        SCRIPT.text,
        table,
        {
            "command": command,
            "volume": f"{volume.name}, {args.size}^3 of it",
            "repeats": f"{args.repeats}, median",
            "threads": os.cpu_count(),
            "reading the volume once": f"{read_seconds(load(volume, args.size)):.2g} s",
            "import metrics": f"{import_seconds(args.repeats):.2f} s",
        },
    )
    print(table.to_string(index=False, float_format="{:.4g}".format))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
