"""How long ``compare.py`` takes as a whole: wall time, memory, and where the time goes.

    python -m benchmarks.speed.comparing --label "after ..."
    python -m benchmarks.speed.comparing --label "before ..." --checkout OLDER_CHECKOUT

It compares 256^3 voxels of a shipped generator with the electrode that it was learnt from: every
metric, every axis, 8 sub-volumes of each, in a process of its own, from a cold start after a first
run on small corners has compiled what there is to compile. `s wall` is that of the whole command;
metrics are in core seconds, summed over the processes; memory is that of all of them. A run adds
its row to the table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import datasets
from benchmarks.script import Script
from benchmarks.tables import write_result
from metrics.description import ALL_METRICS
from metrics.io.volumes import write
from metrics.volume import Volume
from slicegan.generation import generate

SCRIPT = Script("speed.comparing", __doc__)

ROOT = Path(__file__).parents[2]
SIDE = 256
SMALL = np.s_[:64, :64, :64]
GIB = 2**30


def compare(checkout: Path, folder: Path, names: Sequence[str]) -> tuple[float, dict[str, Any]]:
    """Wall seconds of the command, and its summary."""
    command = [sys.executable, str(checkout / "benchmarks" / "compare.py"), *names]
    command += ["--metrics", ",".join(ALL_METRICS), "--out", "out"]
    environment = os.environ | {"PYTHONPATH": str(checkout)}  # before what is installed
    start = perf_counter()
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.PIPE, env=environment)
    seconds = perf_counter() - start
    return seconds, json.loads((folder / "out" / "summary.json").read_text())


def row(label: str, checkout: Path, gen: Volume, real: Volume) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, volume in (("gen.tif", gen), ("real.tif", real)):
            write(volume, folder / file)
            write(volume.crop(SMALL), folder / f"small_{file}")
        compare(checkout, folder, ["small_gen.tif", "small_real.tif"])
        seconds, summary = compare(checkout, folder, ["gen.tif", "real.tif"])
    (estimate,) = (line for line in summary["preflight"] if line.startswith("estimated"))
    return {
        "version": label,
        "s wall": seconds,
        "GiB": summary["peak_memory_bytes"] / GIB,
        "said before": estimate.partition(": ")[2].partition(" on ")[0],
        **summary["seconds_per_metric"],
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = SCRIPT.parser()
    parser.add_argument("--label", required=True, help="of the row")
    parser.add_argument("--checkout", type=Path, default=ROOT, help="whose compare.py (this one)")
    parser.add_argument("--size", type=int, default=SIDE, help="side of the volumes (%(default)s)")
    return SCRIPT.run(parser, argv, work)


def work(args: argparse.Namespace, command: str) -> int:
    corner = (slice(args.size),) * 3
    real = datasets.load("nmc").crop(corner)
    new = row(args.label, args.checkout.resolve(), generate("nmc", args.size), real)
    file = args.out / "speed_compare.csv"
    table = pd.DataFrame([new])
    if file.exists():
        kept = pd.read_csv(file)
        table = pd.concat([kept[kept["version"] != args.label], table], ignore_index=True)
    write_result(
        args.out / "speed_compare",
        "The whole comparison",
        SCRIPT.text,
        table,
        {"command of the last row": command, "seed": 0},
    )
    print(table.T.to_string(header=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
