"""Volumes named on a command line: which files they are, and how those are read."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from glob import glob, has_magic
from pathlib import Path
from typing import Any

from metrics.command.arguments import memory, names, phase_table, shape, spacing
from metrics.fraction import volume_fraction
from metrics.io.volumes import RAW, read
from metrics.machine.memory import memory_limit
from metrics.machine.scheduler import connected
from metrics.volume import InputError, Volume

DEFAULT_SOLVER = "multigrid"


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Options that say what files hold."""
    add = parser.add_argument
    add("--phases", type=phase_table, help="names and file values, e.g. pore=0,ni=127,ysz=254")
    add("--shape", type=shape, metavar="Z,Y,X", help="voxels of raw files")
    add("--dtype", help="type of raw files, e.g. uint8 or >u2")
    add("--spacing", type=spacing, help="voxel size, one number or z,y,x; overrides the files")
    add("--unit", help="unit of the spacing, e.g. um; overrides the files")


def add_measuring(parser: argparse.ArgumentParser) -> None:
    """Options that say what is measured, and by what."""
    add = parser.add_argument
    metrics = "e.g. chord_length,tpb_density (all but local_thickness and those of sections)"
    add("--metrics", type=names, metavar="NAMES", help=metrics)
    add("--solver", default=DEFAULT_SOLVER, help="of the effective diffusivity (%(default)s)")
    add("--device", help="of the solver, e.g. cuda (cpu)")
    add("--workers", type=int, default=-1, help="processes (all cores)")
    dask = "by Dask: local, tcp://HOST:PORT or scheduler.json"
    add("--dask", metavar="WHERE", help=dask)
    most = "of all processes here, e.g. 8G (80 %% of what is free)"
    add("--max-memory", type=memory, metavar="SIZE", help=most)
    add("--cache", type=Path, metavar="DIR", help="keep what is measured, and use what is kept")
    add("--quiet", action="store_true", help="print nothing but errors")


def cluster(args: argparse.Namespace, workers: int) -> AbstractContextManager[Any]:
    """Client of the scheduler that ``--dask`` names, or None; `workers` on this machine."""
    return connected(args.dask, workers) if args.dask else nullcontext()


def within_memory(args: argparse.Namespace) -> AbstractContextManager[None]:
    """Plan with what ``--max-memory`` allows, or with all that is free."""
    return memory_limit(args.max_memory) if args.max_memory else nullcontext()


def files(spec: str) -> list[str]:
    """Paths of a file, a folder of slices, or a glob, in the order of their names.

    Raises
    ------
    InputError
        If a glob matches nothing.
    """
    if not has_magic(spec) or Path(spec).exists():
        return [spec]
    if paths := sorted(glob(spec)):
        return paths
    raise InputError(f"no file matches {spec}: check the pattern, and quote it")


def check_raw(args: argparse.Namespace, paths: Sequence[str]) -> None:
    """Raise `InputError` if options of raw files are given where none is."""
    if (args.shape or args.dtype) and not any(map(_is_raw, paths)):
        raise InputError("--shape and --dtype are of raw files: leave them out")


def load(path: str, phases: Mapping[str, int] | None, args: argparse.Namespace) -> Volume:
    """Read a volume by the options of `add_reading`."""
    raw = {"shape": args.shape, "dtype": args.dtype} if _is_raw(path) else {}
    # Workers on other machines read what they need themselves.
    lazy = True if args.dask else None
    return read(path, phases=phases, spacing=args.spacing, unit=args.unit, lazy=lazy, **raw)


def summary(name: str, v: Volume, values: Sequence[int] | None = None) -> str:
    """Size, voxels and phases in a line; `values` are those in the file, if others than now."""
    voxel = "" if v.unit == "voxel" else f" of {' x '.join(f'{h:g}' for h in v.spacing)} {v.unit}"
    fractions = volume_fraction(v)
    phases = ", ".join(
        f"{phase.name} = value {value} ({fractions[phase.label]:.1%})"
        for phase, value in zip(v.phases, values or [p.value for p in v.phases], strict=True)
    )
    return f"{name}: {'x'.join(map(str, v.shape))} voxels{voxel}, {phases}"


def _is_raw(path: str) -> bool:
    return Path(path).suffix.lower() in RAW
