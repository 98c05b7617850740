"""Every quantity of one or several volumes, as one tidy table.

    slicegan measure gen.tif real.tif --out table.csv

measures each file by itself: a row for each file, metric, phase and axis.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from metrics.command.inputs import (
    add_measuring,
    add_reading,
    check_raw,
    cluster,
    files,
    load,
    summary,
    within_memory,
)
from metrics.comparison.measuring import (
    Measured,
    Question,
    affordable_workers,
    measure_all,
    measure_volume,
)
from metrics.description import DEFAULT_METRICS, METRICS, known_metrics
from metrics.files import one_line, replacing
from metrics.machine.provenance import machine, versions
from metrics.machine.workers import check_workers
from metrics.solver.methods import check_solver
from metrics.volume import InputError, Volume

if TYPE_CHECKING:
    import pandas as pd

SMALLER = "measure fewer metrics (--metrics), or parts of the volume"
SIDE_BY_SIDE = 4  # files that a terminal has room for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    add = parser.add_argument
    volumes = "a file, a folder of slices, or a quoted glob"
    add("volumes", nargs="+", metavar="VOLUME", help=volumes)
    add("--out", type=Path, metavar="TABLE.csv", help="file to write (prints the table alone)")
    add("--json", action="store_true", help="print rows, versions and machine as JSON")
    add_reading(parser)
    add_measuring(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print and write; 0."""
    with within_memory(args):
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    metrics = DEFAULT_METRICS if args.metrics is None else known_metrics(args.metrics, [*METRICS])
    check_solver(args.solver, args.device)
    check_workers(args.workers)
    if args.out and args.out.suffix != ".csv":
        raise InputError(f"--out must end in .csv, got {args.out}")
    if args.out and not args.out.parent.is_dir():
        raise InputError(f"{args.out}: no such folder: make it first")
    paths = [path for spec in args.volumes for path in files(spec)]
    if twice := sorted({path for path in paths if paths.count(path) > 1}):
        raise InputError(f"{twice[0]} is named twice: name it once")
    check_raw(args, paths)
    if args.quiet and not (args.out or args.json or args.cache):
        raise InputError("--quiet would leave nothing of the work: give --out, --json or --cache")
    talks = not (args.quiet or args.json)
    question = Question(metrics, solver=args.solver, device=args.device)

    def look(path: str) -> Volume:
        volume = load(path, args.phases, args)
        if talks:
            print(summary(path, volume), flush=True)
        return volume

    def workers_for(shape: tuple[int, ...], phases: int) -> int:
        return affordable_workers(shape, phases, question, args.workers, remedy=SMALLER)

    if len(paths) == 1 and not args.dask:
        volume = look(paths[0])
        workers_for(volume.shape, len(volume.phases))
        measured = [measure_volume(volume, question, args.cache)]
    else:
        # All are read before one is measured: a file that cannot be stops no work half done.
        sizes = [(volume.shape, len(volume.phases)) for volume in map(look, paths)]
        largest = max((shape for shape, _ in sizes), key=math.prod)
        workers = min(workers_for(largest, max(n for _, n in sizes)), len(paths))
        with cluster(args, workers) as client:
            measured = measure_all(
                ((load(path, args.phases, args), question) for path in paths),
                workers=workers,
                progress=talks,
                total=len(paths),
                unit="volume",
                cache=args.cache,
                client=client,
            )
    rows = table(paths, measured)
    if args.out:
        with (
            one_line(args.out, "written", "choose another folder"),
            replacing(args.out) as temporary,
        ):
            rows.to_csv(temporary, index=False)
    if args.json:
        records = rows.astype(object).where(rows.notna(), None).to_dict("records")
        known = {"rows": records, "versions": versions(), "machine": machine()}
        print(json.dumps(known, indent=2))
    elif not args.quiet:
        print(f"\n{as_text(rows)}")
        if missing := int(rows["value"].isna().sum()):
            print(f"{missing} of {len(rows)} values undefined or not converged")
        if args.out:
            print(f"table: {args.out}")
    return 0


def table(paths: Sequence[str], measured: Sequence[Measured]) -> pd.DataFrame:
    """Rows of all files: file, metric, phase, axis, value, unit, definition."""
    import pandas as pd

    rows = [
        {"file": path, **row._asdict()}
        for path, of_file in zip(paths, measured, strict=True)
        for row in of_file.rows
    ]
    if not rows:
        raise InputError("no metric gives a row: they need three phases")
    return pd.DataFrame(rows)


def as_text(rows: pd.DataFrame) -> str:
    """Rows for a terminal: files in columns where there is room, else one below the other."""
    keys = ["metric", "phase", "axis", "unit"]
    if rows["file"].nunique() <= SIDE_BY_SIDE:
        wide = rows.pivot(index=keys, columns="file", values="value")
        wide = wide.loc[rows.set_index(keys).index.unique(), rows["file"].unique()]
        short = [Path(path).name for path in wide.columns]
        if len(set(short)) == len(short):
            wide = wide.set_axis(short, axis=1)
        rows = wide.reset_index()
    else:
        rows = rows[["file", *keys, "value"]]
    return rows.to_string(index=False, float_format=lambda x: f"{x:.4g}", na_rep="-")
