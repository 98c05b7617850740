"""All metrics of many sub-volumes, in parallel."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from metrics.arrays import Float64
from metrics.comparison.cache import keep, recall
from metrics.comparison.subvolumes import SMALLEST
from metrics.correlation import two_point_correlation
from metrics.description import CURVE, Row, across, measure
from metrics.machine.memory import free_memory
from metrics.machine.scheduler import on_workers
from metrics.machine.workers import SMALLER, SPARE, affordable, in_parallel
from metrics.section import normals
from metrics.sizes import label_bytes, peak_bytes
from metrics.volume import AXES, LARGE, Volume


class Curve(NamedTuple):
    """Two-point correlation of one sub-volume, one phase, one axis (empty: radial)."""

    phase: str
    axis: str
    r: Float64
    value: Float64


class Measured(NamedTuple):
    """All that is measured on one sub-volume."""

    rows: list[Row]
    curves: list[Curve]
    seconds: dict[str, float]
    process: int
    peak_memory: int  # bytes that the process has held at most so far


@dataclass(frozen=True)
class Question:
    """What is measured on a volume, and how.

    Attributes
    ----------
    metrics : tuple of str
        Among `ALL_METRICS`.
    max_lag : int, optional
        Longest lag of the two-point correlation in voxels; half the shortest side if left out.
    periodic : bool
        Whether the two-point correlation wraps around.
    solver, device : str
        As in `describe`.
    """

    metrics: tuple[str, ...]
    max_lag: int | None = None
    periodic: bool = False
    solver: str = "multigrid"
    device: str | None = None

    @property
    def scalars(self) -> tuple[str, ...]:
        """Metrics that are one number."""
        return tuple(name for name in self.metrics if name != CURVE)


def measure_all(
    tasks: Iterable[tuple[Volume, Question]],
    *,
    workers: int = 1,
    progress: bool = False,
    total: int | None = None,
    unit: str = "sub-volume",
    cache: Path | None = None,
    client: Any = None,
) -> list[Measured]:
    """Measure volumes in parallel processes.

    Parameters
    ----------
    tasks : iterable of (Volume, Question)
        Taken a few at a time.
    workers : int
        Processes, as many as `affordable_workers` says.
    progress : bool
        Show a progress bar on a terminal.
    total : int, optional
        Number of tasks, if they have no length.
    unit : str
        What the progress bar counts.
    cache : Path, optional
        Folder that keeps what is measured (`metrics.comparison.cache`): what it holds is not
        measured again.
    client : dask.distributed.Client, optional
        Measure on its workers instead, which must see the files of volumes that stay in them.
    """
    from tqdm import tqdm

    # Memory maps and views would be copied whole into each worker: send the sub-volume alone. What
    # stays in a file is read there.
    calls = ((v if v.stored else v.loaded(), question, cache) for v, question in tasks)
    if total is None and isinstance(tasks, Sized):
        total = len(tasks)
    hidden = None if progress else True  # None: hidden in a pipe or a file only
    if client is None:
        measured = in_parallel(measure_volume, calls, workers)
    else:
        measured = on_workers(client, measure_volume, calls)
    return list(tqdm(measured, total=total, unit=unit, disable=hidden))


def affordable_workers(
    shape: Sequence[int],
    phases: int,
    question: Question,
    workers: int,
    *,
    remedy: str = SMALLER,
) -> int:
    """How many of so many processes can measure volumes of such a shape in the free memory.

    One on a GPU, which every process would fill with a context of its own.

    Raises
    ------
    InputError
        If not even one can; `remedy` says what would help.
    """
    labels = label_bytes(shape)
    peak = peak_bytes(
        question.metrics, shape, phases, max_lag=question.max_lag, solver=question.solver
    )
    found = affordable(workers, labels + peak, remedy=remedy)
    return 1 if (question.device or "cpu").startswith("cuda") else found


def largest_affordable(limit: Sequence[int], phases: int, question: Question) -> int:
    """Largest side of sub-volumes, at most as thick as `limit`, that the free memory holds.

    Less than the smallest if it holds none: `affordable_workers` says what is missing.
    """
    free = int(SPARE * free_memory())

    def needed(side: int) -> int:
        shape = [min(side, n) for n in limit]
        return label_bytes(shape) + peak_bytes(
            question.metrics, shape, phases, max_lag=question.max_lag, solver=question.solver
        )

    # Beyond 512^3 some measures need less again: every smaller side shall fit as well.
    sides = range(SMALLEST, max(limit) + 1)
    return next((side - 1 for side in sides if needed(side) > free), max(limit))


def peak_memory() -> int:
    """Bytes that this process has held at most so far."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure_volume(v: Volume, question: Question, cache: Path | None = None) -> Measured:
    """Measure a volume in this process, with all its threads."""
    if v.labels.size <= LARGE:
        v = v.loaded()
    asked = asdict(question)
    if cache is not None and (kept := recall(cache, v, asked)) is not None:
        rows = [Row(*row) for row in kept["rows"]]
        curves = [Curve(p, axis, np.array(r), np.array(s2)) for p, axis, r, s2 in kept["curves"]]
        return Measured(rows, curves, kept["seconds"], os.getpid(), peak_memory())
    rows, seconds = measure(v, question.scalars, solver=question.solver, device=question.device)
    curves = []
    if CURVE in question.metrics:
        start = perf_counter()
        curves = list(_two_point_curves(v, question))
        seconds[CURVE] = perf_counter() - start
    if cache is not None:
        plain = [(c.phase, c.axis, c.r.tolist(), c.value.tolist()) for c in curves]
        keep(cache, v, asked, {"rows": rows, "curves": plain, "seconds": seconds})
    return Measured(rows, curves, seconds, os.getpid(), peak_memory())


def _two_point_curves(v: Volume, question: Question) -> Iterator[Curve]:
    # S2 of the second of two phases is 1 - 2 phi + S2 of the first.
    for phase in v.independent_phases:
        s2 = two_point_correlation(
            v, phase=phase.label, max_lag=question.max_lag, periodic=question.periodic
        )
        thin = normals(v) if 1 in v.shape else ()
        yield Curve(phase.name, across(thin[0]) if thin else "", s2.r, s2.radial)
        for axis, h in zip(AXES, v.spacing, strict=True):
            if axis not in thin:
                known = np.isfinite(s2.axis[axis])  # lags that fit into it
                r = (s2.lags[known] * h).astype(float)
                yield Curve(phase.name, axis, r, s2.axis[axis][known])
