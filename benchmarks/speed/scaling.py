"""Sub-volumes measured by Dask: with one and two processes here, and what more would take.

    python -m benchmarks.speed.scaling big/nmc_1024_0.ome.zarr

Tasks read their window of a store and measure the metrics of a comparison, diffusivity included.
The first rows are measured, after a task for each process has compiled what there is to compile;
`efficiency` is that compared with one process. The others are computed from what was measured,

    s = max(n t / w, n d) + t

with n tasks of t seconds, w processes and d seconds of the scheduler for a task that does nothing.
What a shared disk, a network or a slower node would cost is not in it; `MB/s` is what all
processes together would read from the store, compressed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import islice, product
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd

from benchmarks.script import Script
from benchmarks.tables import write_result
from metrics.comparison.measuring import Measured, Question, measure_all
from metrics.description import COMPARED_METRICS
from metrics.io.volumes import read
from metrics.machine.scheduler import connected, on_workers
from metrics.volume import Volume

SCRIPT = Script("speed.scaling", __doc__)

PROCESSES = (1, 2)
COMPUTED = (16, 64, 256)
EMPTY = 1000  # tasks that do nothing


def windows(volume: Volume, side: int) -> list[Volume]:
    """Disjoint cubes of a volume."""
    starts = product(*(range(0, n - side + 1, side) for n in volume.shape))
    return [
        volume.crop((slice(z, z + side), slice(y, y + side), slice(x, x + side)))
        for z, y, x in starts
    ]


def nothing(_: int) -> None:
    """A task that costs the scheduler alone."""


def measured(tasks: Sequence[tuple[Volume, Question]], client: Any) -> tuple[float, list[Measured]]:
    """Seconds of all tasks, and what they found."""
    start = perf_counter()
    found = measure_all(tasks, client=client)
    return perf_counter() - start, found


def overhead(client: Any) -> float:
    """Seconds of the scheduler for a task."""
    start = perf_counter()
    list(on_workers(client, nothing, ((k,) for k in range(EMPTY))))
    return (perf_counter() - start) / EMPTY


def main(argv: Sequence[str] | None = None) -> int:
    parser = SCRIPT.parser()
    parser.add_argument("store", type=Path, metavar="STORE", help="a Zarr store")
    parser.add_argument("--side", type=int, default=128, help="of sub-volumes (%(default)s)")
    parser.add_argument("--tasks", type=int, default=24, help="measured (%(default)s)")
    return SCRIPT.run(parser, argv, work)


def work(args: argparse.Namespace, command: str) -> int:
    volume = read(args.store, lazy=True)
    every, question = windows(volume, args.side), Question(COMPARED_METRICS)
    tasks = [(window, question) for window in islice(every, args.tasks)]
    rows: list[dict[str, Any]] = []
    for count in PROCESSES:
        with connected("local", count) as client:
            measure_all(tasks[:count], client=client)
            seconds, _ = measured(tasks, client)
            idle = overhead(client)
        rows.append({"processes": count, "tasks": len(tasks), "s": seconds, "how": "measured"})
    each = rows[0]["s"] / len(tasks)
    for count in COMPUTED:
        seconds = max(len(every) * each / count, len(every) * idle) + each
        rows.append({"processes": count, "tasks": len(every), "s": seconds, "how": "computed"})
    table = pd.DataFrame(rows)
    table["efficiency"] = table["tasks"] * each / (table["processes"] * table["s"])
    size = sum(file.stat().st_size for file in args.store.rglob("*") if file.is_file())
    of_task = size * args.side**3 / volume.labels.size
    table["MB/s"] = table["tasks"] * of_task / table["s"] / 1e6
    facts = {
        "command": command,
        "seconds of a task": f"{each:.3g}",
        "seconds of the scheduler for a task": f"{idle:.2g}",
        "bytes of a window in the store": f"{of_task:.3g}",
        "sub-volumes": f"{args.side}^3 of {'x'.join(map(str, volume.shape))}",
        "metrics": ", ".join(COMPARED_METRICS),
    }
    write_result(args.out / "scaling", "Sub-volumes by many processes", SCRIPT.text, table, facts)
    print(table.to_string(index=False, float_format="{:.4g}".format))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
