"""Is the generated volume the same material as the real one, and how sure are we?

    slicegan compare gen.tif real.tif           (in a checkout: python benchmarks/compare.py ...)
    slicegan compare gen.tif micrograph.png                         (where there is no 3D image)

measures both, sub-volume by sub-volume or section by section, prints a verdict for each quantity
and one answer, and writes table.csv, distances.csv, curves.csv, summary.json and report.html. Exit
status: 0 computed, 2 bad input, 3 --fail-on is met.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from metrics.command.arguments import Parser, axis_files, phase_table
from metrics.command.ending import LESS_TO_COMPARE, UNWRITTEN, exit_status
from metrics.command.inputs import (
    DEFAULT_SOLVER,
    add_measuring,
    add_reading,
    check_raw,
    cluster,
    files,
    load,
    within_memory,
)
from metrics.command.preflight import preflight
from metrics.comparison.comparing import Comparison, carry_out
from metrics.comparison.plan import (
    Plan,
    check_metrics,
    check_section_metrics,
    plan_comparison,
    plan_section_comparison,
)
from metrics.intervals import VERDICTS
from metrics.io.images import is_volume
from metrics.io.sections import read_sections
from metrics.machine.provenance import machine, versions
from metrics.report.page import check_folder, terminal_table, write_report
from metrics.volume import InputError, Volume

FAIL_ANSWERS = {"never": (), "differs": ("differs",), "unsure": ("differs", "undecided")}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; its exit status."""
    parser = _parser()
    args = parser.parse_args(argv)
    words = sys.argv[1:] if argv is None else argv
    command = shlex.join(["python", "benchmarks/compare.py", *words])
    return exit_status(
        parser.prog,
        lambda: run(args, command),
        less=LESS_TO_COMPARE,
        interrupted=UNWRITTEN,
    )


def run(args: argparse.Namespace, command: str) -> int:
    """Read, compare and report; `command` is what the summary says was run."""
    with within_memory(args):
        return _run(args, command)


def _run(args: argparse.Namespace, command: str) -> int:
    start = perf_counter()
    check_folder(args.out)
    images = images_of(args)
    if images:
        check_section_metrics(args.metrics)
        check_raw(args, (args.gen,))
    else:
        check_metrics(args.metrics)
        check_raw(args, (args.gen, *args.real))
    phases = [args.gen_phases or args.phases, args.real_phases or args.phases]
    names = [files(args.gen), []]
    gen = [load(path, phases[0], args) for path in names[0]]
    against = " ".join(args.real or args.axis)
    try:
        if images:
            names[1] = [path for paths in images.values() for path in paths]
            real, plan = _plan_sections(gen, images, phases[1], args)
        else:
            names[1] = files(args.real[0])
            real = [load(path, phases[1], args) for path in names[1]]
            plan = _plan_volumes(gen, real, args)
        values = [[phase.value for phase in volumes[0].phases] for volumes in (gen, real)]
        lines = preflight(plan, names, values, periodic_gen=args.periodic_gen)
        if not args.quiet:
            print("\n".join(lines), flush=True)
        with cluster(args, plan.workers) as client:
            comparison = carry_out(plan, progress=not args.quiet, cache=args.cache, client=client)
    except InputError as error:
        raise InputError(f"{args.gen} against {against}: {error}") from error

    write_report(
        args.out,
        comparison,
        gen=plan.gen,
        real=plan.real,
        gen_names=names[0],
        real_names=names[1],
        summary=summarise(comparison, command, lines, perf_counter() - start),
    )
    if not args.quiet:
        print(f"\n{terminal_table(comparison)}")
        print("\n".join(left_out(comparison)))
        print(f"report: {args.out / 'report.html'}")
    return 3 if comparison.answer.verdict in FAIL_ANSWERS[args.fail_on] else 0


def images_of(args: argparse.Namespace) -> dict[str, tuple[str, ...]]:
    """Files of 2D images by the axis normal to them, ``""`` for any; none if real is a volume.

    Raises
    ------
    InputError
        If neither or both of REAL and --axis are given, or volumes and images are mixed.
    """
    if bool(args.real) == bool(args.axis):
        raise InputError("give REAL, or --axis z=a.png y=b.png x=c.png")
    if args.axis:
        return axis_files(args.axis)
    paths = [path for spec in args.real for path in files(spec)]
    kinds = {is_volume(path) for path in paths}
    if kinds == {False}:
        return {"": tuple(paths)}
    if len(kinds) > 1 or len(args.real) > 1:
        raise InputError(
            f"{' '.join(args.real)}: give one volume (a file, a folder of slices or a quoted "
            "glob), or 2D images"
        )
    return {}


def _plan_volumes(gen: list[Volume], real: list[Volume], args: argparse.Namespace) -> Plan:
    return plan_comparison(
        gen,
        real,
        metrics=args.metrics,
        subvolume=args.subvolume,
        samples=args.samples,
        max_lag=args.max_lag,
        margin=args.margin,
        isotropic=args.isotropic,
        periodic_gen=args.periodic_gen,
        solver=args.solver,
        device=args.device,
        seed=args.seed,
        workers=args.workers,
    )


def _plan_sections(
    gen: list[Volume],
    images: Mapping[str, tuple[str, ...]],
    phases: Mapping[str, int] | None,
    args: argparse.Namespace,
) -> tuple[list[Volume], Plan]:
    """Images as they are in their files, and how volumes are compared with them."""
    if args.isotropic or args.periodic_gen:
        raise InputError("--isotropic and --periodic-gen are of volumes: leave them out")
    if args.device or args.solver != DEFAULT_SOLVER:
        raise InputError("--solver and --device are of transport, which no image shows: leave out")
    # A picture seldom says how large its pixels are: those of the volumes that it was learnt for.
    known = gen[0].unit != "voxel"
    size = args.spacing or (gen[0].spacing if known else None)
    unit = args.unit or (gen[0].unit if known else None)
    every = {axis or "z": paths for axis, paths in images.items()}
    read = read_sections(every, phases=phases, spacing=size, unit=unit)
    plan = plan_section_comparison(
        gen,
        read["z"] if "" in images else read,
        metrics=args.metrics,
        window=args.subvolume,
        samples=args.samples,
        max_lag=args.max_lag,
        margin=args.margin,
        seed=args.seed,
        workers=args.workers,
    )
    return [image for some in read.values() for image in some], plan


def left_out(comparison: Comparison) -> list[str]:
    """What could not be measured on some sub-volumes and does not count in the table."""
    by_metric = comparison.values.groupby("metric", sort=False)["value"]
    return [
        f"{metric}: {values.isna().sum()} of {len(values)} values undefined or not converged"
        for metric, values in by_metric
        if values.isna().any()
    ]


def summarise(
    comparison: Comparison, command: str, lines: list[str], seconds: float
) -> dict[str, Any]:
    """Everything that the tables do not say."""
    verdicts = [*comparison.table["verdict"], *comparison.distances["verdict"]]
    return {
        "verdicts": {v: verdicts.count(v) for v in VERDICTS},
        "command": command,
        "preflight": lines,
        "left_out": left_out(comparison),
        "settings": comparison.settings,
        "seconds": seconds,
        "seconds_per_metric": comparison.seconds,
        "peak_memory_bytes": comparison.peak_memory,
        "versions": versions(),
        "machine": machine(),
    }


def _parser() -> Parser:
    parser = Parser(
        prog="compare.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    return parser


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    add = parser.add_argument
    add("gen", metavar="GEN", help="generated: a file, a folder of slices or a quoted glob")
    real = "real: likewise, or 2D images of an isotropic material"
    add("real", metavar="REAL", nargs="*", help=real)
    several: dict[str, Any] = {"nargs": "+", "action": "extend", "default": []}
    add("--axis", **several, metavar="AXIS=IMAGE", help="instead: z=a.png y=b.png x=c.png")
    add("--out", type=Path, default=Path("comparison"), help="folder to write (%(default)s)")
    add_reading(parser)
    add_measuring(parser)
    for side in ("gen", "real"):
        help_ = f"of {side.upper()} alone, where the files have other values"
        add(f"--{side}-phases", type=phase_table, metavar="PHASES", help=help_)
    add(
        "--subvolume",
        type=int,
        metavar="N",
        help="side of sub-volumes and windows (so that there are 8)",
    )
    add("--samples", type=int, default=16, help="most sub-volumes of each (%(default)s)")
    add("--max-lag", type=int, metavar="N", help="of the two-point correlation, in voxels")
    add("--margin", type=float, default=0.05, help="still the same material (%(default)s)")
    add("--isotropic", action="store_true", help="all axes are alike: average over them")
    add("--periodic-gen", action="store_true", help="GEN repeats along all axes")
    add("--seed", type=int, default=0, help="of the sampling (%(default)s)")
    add("--fail-on", choices=tuple(FAIL_ANSWERS), default="never", help="answer to exit with 3 on")
