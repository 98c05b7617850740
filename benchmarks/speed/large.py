"""Volumes that stay in their file: generating, measuring and comparing them, in bounded memory.

    python -m benchmarks.speed.large --folder big --side 1024
    python -m benchmarks.speed.large --folder big --side 2048 --measures counting --no-compare

A generator fills OME-Zarr stores (`slicegan generate`), which stay in `--folder` for the next run:
one of the small side, that is measured in memory, and one of the large side, or two to compare.
Measures are those of the whole volume, all phases and axes; two-point correlation of the first
phase to 32 voxels. Each is made in a process of its own, which has compiled what there is to
compile on a corner of 64^3 before; `GiB` is all that the process holds at most, Python and its
libraries included. `ratio` is the time per voxel compared with that of the small volume in memory,
the median of five calls.
The last row compares the two large volumes by 64 sub-volumes of the small side of each, by two
processes; its memory is that of all processes. A run adds its rows to the table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import pandas as pd

import metrics
from benchmarks.script import Script
from benchmarks.speed.turns import Run, measured_in_turn, serve
from benchmarks.tables import write_result
from metrics.description import describe
from metrics.io.volumes import read
from metrics.machine.threads import thread_count
from metrics.volume import Volume
from slicegan.generation import stream

SCRIPT = Script("speed.large", __doc__)

GIB = 2**30
LAG = 32
REPEATS = 5  # of what takes less than a second
COMPARED = (
    *("volume_fraction", "interface_area", "tpb_density", "chord_length"),
    *("percolating_fraction", "two_point_correlation"),
)


def described(*names: str) -> Callable[[Volume], Any]:
    """Measure these metrics; the first value shows that all ways find the same."""
    return lambda v: describe(v, metrics=list(names)).value.iloc[0]


def correlated(v: Volume) -> float:
    return float(metrics.two_point_correlation(v, phase=0, max_lag=LAG).radial[1])


MEASURES: dict[str, Callable[[Volume], Any]] = {
    "counting": described("volume_fraction", "tpb_density"),
    "interface_area": described("interface_area"),
    "chord_length": described("chord_length"),
    "euler_density": described("euler_density"),
    "clusters": described("percolating_fraction", "cluster_density", "largest_cluster"),
    "active_tpb_density": described("active_tpb_density"),
    "two_point_correlation": correlated,
}


class Large(NamedTuple):
    """What is measured: stores by the seed and side of their volumes."""

    folder: Path
    model: str
    side: int
    small: int

    def store(self, side: int, seed: int = 0) -> Path:
        """Store of a volume, generated if it is not there."""
        return self.folder / f"{self.model}_{side}_{seed}.ome.zarr"

    def generated(self, count: int) -> Iterator[dict[str, Any]]:
        """A row for each volume that had to be made: the small one, and so many large ones."""
        for side, seed in ((self.small, 0), *((self.side, seed) for seed in range(count))):
            path = self.store(side, seed)
            if not path.exists():
                yield row("generate", side, in_a_process(self, "generate", path))

    def measured(self, name: str) -> Iterator[dict[str, Any]]:
        """Rows of a measure, of the small volume and of the large one."""
        small = in_a_process(self, name, self.store(self.small), repeats=REPEATS)
        large = in_a_process(self, name, self.store(self.side))
        yield row(name, self.small, small)
        ratio = large.seconds / small.seconds * (self.small / self.side) ** 3
        yield row(name, self.side, large) | {"ratio": ratio}

    def compared(self) -> dict[str, Any]:
        """Row of the comparison of the two large volumes."""
        out = self.folder / "comparison"
        command = [sys.executable, "-m", "slicegan", "compare", "--samples", "64", "--quiet"]
        command += ["--subvolume", str(self.small), "--metrics", ",".join(COMPARED)]
        command += ["--out", str(out), *(str(self.store(self.side, seed)) for seed in (0, 1))]
        start = perf_counter()
        subprocess.run(command, check=True)
        seconds = perf_counter() - start
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        return row("compare", self.side, Run(seconds, 0, summary["peak_memory_bytes"], None))


def row(what: str, side: int, run: Run) -> dict[str, Any]:
    voxels = side**3
    return {
        "what": what,
        "voxels": f"{side}^3",
        "s": run.seconds,
        "ns/voxel": run.seconds / voxels * 1e9,
        "GiB": run.resident / GIB,
        "first value": run.answer,
    }


def in_a_process(large: Large, name: str, path: Path, *, repeats: int = 1) -> Run:
    """The call whose time is the median."""
    command = [sys.executable, "-m", "benchmarks.speed.large", "--folder", str(large.folder)]
    command += ["--model", large.model, "--serve", name, str(path)]
    runs = measured_in_turn({name: command}, repeats)[name]
    return sorted(runs, key=lambda run: run.seconds)[repeats // 2]


def serve_one(model: str, name: str, path: Path) -> None:
    """Child process: generate or measure, after a warm-up."""
    if name == "generate":
        side, seed = (int(number) for number in path.name.split(".")[0].split("_")[-2:])
        serve(lambda: stream(model, path, side, seed=seed, progress=True), tell=lambda _: None)
        return
    measure, volume = MEASURES[name], read(path)
    measure(volume.crop((slice(64),) * 3).loaded())
    serve(lambda: measure(volume))


def main(argv: Sequence[str] | None = None) -> int:
    parser = SCRIPT.parser()
    parser.add_argument("--folder", type=Path, required=True, help="of the stores, which stay")
    parser.add_argument("--model", default="nmc", help="(%(default)s)")
    parser.add_argument("--side", type=int, default=1024, help="(%(default)s)")
    parser.add_argument("--small", type=int, default=256, help="(%(default)s)")
    names = parser.add_argument("--measures", nargs="*", choices=[*MEASURES], default=[*MEASURES])
    names.metavar = "NAME"
    parser.add_argument("--no-compare", action="store_true", help="leave the comparison out")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    return SCRIPT.run(parser, argv, work)


def work(args: argparse.Namespace, command: str) -> int:
    if args.serve:
        name, path = args.serve
        serve_one(args.model, name, Path(path))
        return 0
    args.folder.mkdir(parents=True, exist_ok=True)
    large = Large(args.folder, args.model, args.side, args.small)
    rows = list(large.generated(1 if args.no_compare else 2))
    for name in args.measures:
        rows += large.measured(name)
        print(rows[-1], flush=True)
    if not args.no_compare:
        rows.append(large.compared())
    table, file = pd.DataFrame(rows), args.out / f"large_{args.side}.csv"
    if file.exists():
        kept = pd.read_csv(file)
        table = pd.concat([kept[~kept["what"].isin(table["what"])], table], ignore_index=True)
    notes = {
        "command of the last rows": command,
        "threads": thread_count(),
        "seeds": "0, 1",
        "lag": LAG,
    }
    write_result(
        args.out / f"large_{args.side}", f"Volumes of {args.side}^3", SCRIPT.text, table, notes
    )
    print(table.to_string(index=False, float_format="{:.4g}".format))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
