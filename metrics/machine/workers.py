"""A pool of processes that have one thread each, and end with the process that started them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from typing import Any, TypeVar

from metrics.machine.memory import check_memory, free_memory
from metrics.machine.threads import at_most
from metrics.volume import InputError

T = TypeVar("T")

WATCH_SECONDS = 1.0
SPARE = 0.8  # of the free memory: the rest is for what cannot be known beforehand
PROCESS_BYTES = 2**28  # of Python and its libraries
SMALLER = "measure smaller sub-volumes (--subvolume), or fewer metrics (--metrics)"


def check_workers(count: int) -> None:
    """Raise `InputError` if so many processes cannot be."""
    if count == 0:
        raise InputError("workers must be a number of processes, or -1 for all cores")


def affordable(workers: int, nbytes: int, *, remedy: str = SMALLER) -> int:
    """How many of so many processes, each of which takes `nbytes`, the free memory holds.

    Raises
    ------
    InputError
        If it does not hold one; `remedy` says what would help.
    """
    from joblib import effective_n_jobs

    check_workers(workers)
    free = int(SPARE * free_memory())
    check_memory(nbytes, free=free, remedy=remedy)
    wanted = effective_n_jobs(workers)
    return wanted if wanted == 1 else max(1, min(wanted, free // (nbytes + PROCESS_BYTES)))


def in_parallel(
    function: Callable[..., T], arguments: Iterable[tuple[Any, ...]], workers: int
) -> Iterator[T]:
    """What the function returns for each of the arguments, in their order.

    `workers` is the number of cores in use: that many processes of one thread each (-1: one for
    each core), or for 1 this process. They end within seconds of this process, however it ends.

    Raises
    ------
    InputError
        If a worker was killed.
    """
    from joblib import Parallel, delayed, parallel_config

    check_workers(workers)
    calls = (delayed(_call)(os.getpid(), function, *given) for given in arguments)
    with at_most(1), parallel_config(backend="loky", inner_max_num_threads=1):
        pool = Parallel(n_jobs=workers, return_as="generator", pre_dispatch="2*n_jobs")
        try:
            yield from pool(calls)
        except BrokenProcessPool as error:
            raise InputError(
                "a worker process was killed, most likely for want of memory: use fewer workers, "
                "or smaller sub-volumes"
            ) from error


def _call(starter: int, function: Callable[..., T], *arguments: Any) -> T:
    if os.getpid() != starter:
        _end_with(starter)
    return function(*arguments)


@cache
def _end_with(starter: int) -> None:
    """End this process when the one that started it is gone."""

    def watch() -> None:
        # An orphan has another parent; on Windows it keeps the old one's number.
        while os.getppid() == starter and psutil.pid_exists(starter):
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    import psutil

    threading.Thread(target=watch, daemon=True).start()
