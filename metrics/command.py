"""Is the generated volume the same material as the real one, and how sure are we?

    python benchmarks/compare.py gen.tif real.tif

measures both, sub-volume by sub-volume, prints a verdict for each quantity and one answer, and
writes table.csv, distances.csv, curves.csv, summary.json and report.html. Exit status: 0 computed,
2 bad input, 3 --fail-on is met.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from glob import glob, has_magic
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from metrics.arguments import Parser, names, phase_table, shape, spacing
from metrics.commands import exit_status
from metrics.comparison.answer import CURVE
from metrics.comparison.comparing import Comparison, check_metrics, compare
from metrics.comparison.measuring import ALL_METRICS, affordable_workers
from metrics.comparison.samples import absent, match
from metrics.comparison.subvolumes import Sampling, plan_subvolumes
from metrics.fraction import volume_fraction
from metrics.io.volumes import RAW, read
from metrics.machine.provenance import machine, versions
from metrics.report.page import check_folder, terminal_table, write_report
from metrics.volume import InputError, Volume

FAIL_ANSWERS = {"never": (), "differs": ("differs",), "unsure": ("differs", "undecided")}

# Measured on two cores of a 2.3 GHz Xeon, for a guess before the work starts: core seconds for each
# voxel and phase (diffusivity by TauFactor: and layer along each axis), and what each comparison
# takes beside.
SECONDS = {"effective_diffusivity": 5e-7, "local_thickness": 2.4e-7, CURVE: 1.2e-7}
SECONDS_OTHER = 1.5e-8
SECONDS_TAUFACTOR = 6e-8
SECONDS_ALWAYS = 5


class Sample(NamedTuple):
    """Volumes of one material, and the files that hold them."""

    names: list[str]
    volumes: list[Volume]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; its exit status."""
    parser = _parser()
    args = parser.parse_args(argv)
    words = sys.argv[1:] if argv is None else argv
    command = shlex.join(["python", "benchmarks/compare.py", *words])
    return exit_status(
        parser.prog,
        lambda: run(args, command),
        less="ask for smaller sub-volumes (--subvolume) or fewer at a time (--workers)",
        interrupted="interrupted, nothing was written",
    )


def run(args: argparse.Namespace, command: str) -> int:
    """Read, compare and report; `command` is what the summary says was run."""
    start = perf_counter()
    check_folder(args.out)
    metrics = check_metrics(args.metrics)
    if (args.shape or args.dtype) and not any(map(_is_raw, (args.gen, args.real))):
        raise InputError("--shape and --dtype are of raw files: leave them out")
    gen = load(args.gen, args.gen_phases or args.phases, args)
    real = load(args.real, args.real_phases or args.phases, args)
    values = [[phase.value for phase in sample.volumes[0].phases] for sample in (gen, real)]
    try:
        gen, real = map(Sample, (gen.names, real.names), match(gen.volumes, real.volumes))
        sampling = plan_subvolumes(
            gen.volumes, real.volumes, side=args.subvolume, samples=args.samples, seed=args.seed
        )
        plan = preflight(gen, real, values, sampling, metrics, args)
        if not args.quiet:
            print("\n".join(plan), flush=True)
        comparison = compare(
            gen.volumes,
            real.volumes,
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
            progress=not args.quiet,
            cache=args.cache,
        )
    except InputError as error:
        raise InputError(f"{args.gen} against {args.real}: {error}") from error

    write_report(
        args.out,
        comparison,
        gen=gen.volumes,
        real=real.volumes,
        gen_names=gen.names,
        real_names=real.names,
        summary=summarise(comparison, command, plan, perf_counter() - start),
    )
    if not args.quiet:
        print(f"\n{terminal_table(comparison)}")
        print("\n".join(left_out(comparison)))
        print(f"report: {args.out / 'report.html'}")
    return 3 if comparison.answer.verdict in FAIL_ANSWERS[args.fail_on] else 0


def load(spec: str, phases: Mapping[str, int] | None, args: argparse.Namespace) -> Sample:
    """Volumes of a file, a folder of slices, or a glob."""
    paths = sorted(glob(spec)) if has_magic(spec) and not Path(spec).exists() else [spec]
    if not paths:
        raise InputError(f"no file matches {spec}: check the pattern, and quote it")
    options = {"phases": phases, "spacing": args.spacing, "unit": args.unit}
    raw = {"shape": args.shape, "dtype": args.dtype}
    return Sample(
        paths, [read(path, **options, **(raw if _is_raw(path) else {})) for path in paths]
    )


def _is_raw(path: str) -> bool:
    return Path(path).suffix.lower() in RAW


def preflight(
    gen: Sample,
    real: Sample,
    values: Sequence[Sequence[int]],
    sampling: Sampling,
    metrics: Sequence[str],
    args: argparse.Namespace,
) -> list[str]:
    """What is going to be compared, how, and about how long it takes; `values` in the files."""
    lines = [
        f"{which} {name}: {_size(v)}, {_phases(v, of_file)}"
        for which, sample, of_file in (("gen ", gen, values[0]), ("real", real, values[1]))
        for name, v in zip(*sample, strict=True)
    ]
    if real.volumes[0].unit == "voxel":
        lines.append("voxel size unknown: lengths are in voxels (--spacing and --unit set it)")
    shape = "x".join(map(str, sampling.shape))
    lines.append(
        f"sub-volumes of {shape} voxels: {len(sampling.gen)} of {sampling.available[0]} in gen, "
        f"{len(sampling.real)} of {sampling.available[1]} in real"
    )
    if min(len(sampling.gen), len(sampling.real)) < 2:
        lines.append("one sub-volume has no spread: no interval, no verdict (--subvolume, or more)")
    for name, sample in (("gen", gen), ("real", real)):
        lines += [f"{name} has no voxel of phase {phase}" for phase in absent(sample.volumes)]
    if sampling.same_volumes:
        lines.append("gen and real hold the same data: intervals are of paired differences")
    if args.periodic_gen and any(v.shape != sampling.shape for v in gen.volumes):
        lines.append("gen is cut into sub-volumes: --periodic-gen has no effect")
    phases = len(real.volumes[0].phases)
    workers = affordable_workers(
        sampling.shape, phases, tuple(metrics), args.max_lag, args.solver, args.workers
    )
    seconds = _estimate(sampling, phases, metrics, args.solver, workers)
    lines.append(f"estimated time: {_duration(seconds)} on {workers} cores")
    return lines


def left_out(comparison: Comparison) -> list[str]:
    """What could not be measured on some sub-volumes and does not count in the table."""
    by_metric = comparison.values.groupby("metric", sort=False)["value"]
    return [
        f"{metric}: {values.isna().sum()} of {len(values)} values undefined or not converged"
        for metric, values in by_metric
        if values.isna().any()
    ]


def summarise(
    comparison: Comparison, command: str, plan: list[str], seconds: float
) -> dict[str, Any]:
    """Everything that the tables do not say."""
    verdicts = [*comparison.table["verdict"], *comparison.distances["verdict"]]
    return {
        "verdicts": {v: verdicts.count(v) for v in ("same", "differs", "cannot tell")},
        "command": command,
        "preflight": plan,
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
    add = parser.add_argument
    add("gen", metavar="GEN", help="generated: a file, a folder of slices, or a quoted glob")
    add("real", metavar="REAL", help="real: likewise")
    add("--out", type=Path, default=Path("comparison"), help="folder to write (%(default)s)")
    add("--phases", type=phase_table, help="names and file values, e.g. pore=0,ni=127,ysz=254")
    for side in ("gen", "real"):
        help_ = f"of {side.upper()} alone, where the files have other values"
        add(f"--{side}-phases", type=phase_table, metavar="PHASES", help=help_)
    add("--shape", type=shape, metavar="Z,Y,X", help="voxels of raw files")
    add("--dtype", help="type of raw files, e.g. uint8 or >u2")
    add("--spacing", type=spacing, help="voxel size, one number or z,y,x; overrides the files")
    add("--unit", help="unit of the spacing, e.g. um; overrides the files")
    add(
        "--subvolume",
        type=int,
        metavar="N",
        help="side of the sub-volumes, voxels (so that there are 8)",
    )
    add("--samples", type=int, default=16, help="most sub-volumes of each (%(default)s)")
    add("--metrics", type=names, help=f"among {', '.join(ALL_METRICS)}")
    add("--max-lag", type=int, metavar="N", help="of the two-point correlation, in voxels")
    add("--margin", type=float, default=0.05, help="still the same material (%(default)s)")
    add("--solver", default="multigrid", help="of the effective diffusivity (%(default)s)")
    add("--device", help="of the solver, e.g. cuda (cpu)")
    add("--isotropic", action="store_true", help="all axes are alike: average over them")
    add("--periodic-gen", action="store_true", help="GEN repeats along all axes")
    add("--seed", type=int, default=0, help="of the sampling (%(default)s)")
    add("--workers", type=int, default=-1, help="processes (all cores)")
    add("--cache", type=Path, metavar="DIR", help="keep what is measured, and use what is kept")
    add("--fail-on", choices=tuple(FAIL_ANSWERS), default="never", help="answer to exit with 3 on")
    add("--quiet", action="store_true", help="print nothing but errors")
    return parser


def _size(v: Volume) -> str:
    voxel = "" if v.unit == "voxel" else f" of {' x '.join(f'{h:g}' for h in v.spacing)} {v.unit}"
    return f"{'x'.join(map(str, v.shape))} voxels{voxel}"


def _phases(v: Volume, values: Sequence[int]) -> str:
    fractions = volume_fraction(v)
    return ", ".join(
        f"{phase.name} = value {value} ({fractions[phase.label]:.1%})"
        for phase, value in zip(v.phases, values, strict=True)
    )


def _estimate(
    sampling: Sampling, phases: int, metrics: Sequence[str], solver: str, workers: int
) -> float:
    z, y, x = sampling.shape
    seconds = {name: SECONDS.get(name, SECONDS_OTHER) for name in metrics}
    if solver == "taufactor" and "effective_diffusivity" in metrics:
        seconds["effective_diffusivity"] = SECONDS_TAUFACTOR * (z + y + x)
    blocks = len(sampling.gen) + len(sampling.real)
    work = sum(seconds.values()) * phases * z * y * x * blocks
    return SECONDS_ALWAYS + work / min(workers, blocks)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    return f"about {round(seconds / 60)} min"
