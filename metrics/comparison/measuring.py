"""All metrics of many sub-volumes, in parallel."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrics.comparison.answer import CURVE
from metrics.comparison.cache import keep, recall
from metrics.correlation import two_point_correlation
from metrics.description import METRICS, Row, measure
from metrics.machine.workers import affordable, in_parallel
from metrics.sizes import peak_bytes
from metrics.volume import AXES, Volume

ALL_METRICS = (*METRICS, CURVE)

Floats = NDArray[np.float64]


class Curve(NamedTuple):
    """Two-point correlation of one sub-volume, one phase, one axis (empty: radial)."""

    phase: str
    axis: str
    r: Floats
    value: Floats


class Measured(NamedTuple):
    """All that is measured on one sub-volume."""

    rows: list[Row]
    curves: list[Curve]
    seconds: dict[str, float]
    process: int
    peak_memory: int  # bytes that the process has held at most so far


def measure_all(
    tasks: list[tuple[Volume, bool]],
    names: tuple[str, ...],
    lag: int,
    solver: str,
    device: str | None,
    workers: int,
    progress: bool,
    cache: Path | None = None,
) -> list[Measured]:
    """Measure sub-volumes in parallel processes.

    Parameters
    ----------
    tasks : list of (Volume, bool)
        Sub-volumes, and whether the two-point correlation of each wraps around.
    names : tuple of str
        Among `ALL_METRICS`.
    lag : int
        Longest lag of the two-point correlation, in voxels.
    solver, device, workers, progress
        As in `compare`.
    cache : Path, optional
        Folder that keeps what is measured (`metrics.comparison.cache`): what it holds is not
        measured again.
    """
    from tqdm import tqdm

    largest = max((v for v, _ in tasks), key=lambda v: v.labels.size)
    workers = affordable_workers(largest.shape, len(largest.phases), names, lag, solver, workers)
    scalars = tuple(name for name in names if name != CURVE)
    # Memory maps and views would be copied whole into each worker: send the sub-volume alone.
    calls = (
        (
            replace(v, labels=np.ascontiguousarray(v.labels)),
            scalars, lag if CURVE in names else None, wraps, solver, device, cache,
        )
        for v, wraps in tasks
    )  # fmt: skip
    measured = in_parallel(_measure_block, calls, workers)
    hidden = None if progress else True  # None: hidden in a pipe or a file only
    return list(tqdm(measured, total=len(tasks), unit="sub-volume", disable=hidden))


def affordable_workers(
    shape: tuple[int, ...],
    phases: int,
    names: tuple[str, ...],
    lag: int | None,
    solver: str,
    workers: int,
) -> int:
    """How many of so many processes can measure volumes of such a shape in the free memory.

    Raises
    ------
    InputError
        If not even one can.
    """
    labels = math.prod(shape)  # of one byte
    peak = peak_bytes(names, shape, phases, max_lag=lag, solver=solver)
    return affordable(workers, labels + peak)


def peak_memory() -> int:
    """Bytes that this process has held at most so far."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _measure_block(
    v: Volume,
    scalars: tuple[str, ...],
    lag: int | None,
    wraps: bool,
    solver: str,
    device: str | None,
    cache: Path | None,
) -> Measured:
    question = {
        "metrics": scalars, "max_lag": lag, "periodic": wraps, "solver": solver, "device": device,
    }  # fmt: skip
    if cache is not None and (kept := recall(cache, v, question)) is not None:
        rows = [Row(*row) for row in kept["rows"]]
        curves = [Curve(p, axis, np.array(r), np.array(s2)) for p, axis, r, s2 in kept["curves"]]
        return Measured(rows, curves, kept["seconds"], os.getpid(), peak_memory())
    rows, seconds = measure(v, scalars, solver=solver, device=device)
    curves = []
    if lag is not None:
        start = perf_counter()
        curves = list(_two_point_curves(v, lag, wraps))
        seconds[CURVE] = perf_counter() - start
    if cache is not None:
        plain = [(c.phase, c.axis, c.r.tolist(), c.value.tolist()) for c in curves]
        keep(cache, v, question, {"rows": rows, "curves": plain, "seconds": seconds})
    return Measured(rows, curves, seconds, os.getpid(), peak_memory())


def _two_point_curves(v: Volume, lag: int, wraps: bool) -> Iterator[Curve]:
    # S2 of the second of two phases is 1 - 2 phi + S2 of the first: nothing new.
    phases = v.phases[:1] if len(v.phases) == 2 else v.phases
    for phase in phases:
        s2 = two_point_correlation(v, phase=phase.label, max_lag=lag, periodic=wraps)
        yield Curve(phase.name, "", s2.r, s2.radial)
        for axis, h in zip(AXES, v.spacing, strict=True):
            yield Curve(phase.name, axis, (s2.lags * h).astype(float), s2.axis[axis])
