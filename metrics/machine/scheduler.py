"""Tasks on the workers of a Dask scheduler: of this machine, of a cluster, of a cloud."""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from metrics.machine.libraries import library
from metrics.machine.threads import at_most
from metrics.machine.workers import check_workers
from metrics.volume import InputError

T = TypeVar("T")

LOCAL = "local"
TIMEOUT = "30s"  # to find the scheduler
EXTRA = "pip install 'slicegan[large]'"
LOST = (
    "workers were lost again and again, most likely for want of memory: give them more, or measure "
    "smaller sub-volumes"
)
PATIENCE = "15s"
AHEAD = 2  # tasks for each worker that wait at the scheduler, so that none is idle


@contextmanager
def connected(where: str, workers: int = -1) -> Iterator[Any]:
    """Client of a Dask scheduler; what was started for it ends with it.

    Parameters
    ----------
    where : str
        ``"local"``: processes on this machine, one thread each; the address of a scheduler,
        ``tcp://host:8786``; or the file that a scheduler wrote, ``scheduler.json``.
    workers : int
        How many processes on this machine; -1 for one on each core.

    Raises
    ------
    InputError
        If Dask's distributed is not installed, or no scheduler answers.
    """
    from joblib import effective_n_jobs

    distributed = library("distributed", "--dask", EXTRA)
    check_workers(workers)
    with ExitStack() as stack:
        if where == LOCAL:
            cluster = distributed.LocalCluster(
                n_workers=effective_n_jobs(workers),
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
            stack.enter_context(cluster)
            options = {"address": cluster}
        elif where.endswith(".json"):
            if not Path(where).exists():  # which a client would wait for
                raise InputError(f"--dask {where}: no such file: start the scheduler first")
            options = {"scheduler_file": where}
        else:
            options = {"address": where}
        try:
            client = distributed.Client(**options, timeout=TIMEOUT)
        except (OSError, ValueError) as error:
            raise InputError(
                f"--dask {where}: no scheduler answers ({error}): give local, its address "
                "(tcp://host:8786) or the file that it wrote (scheduler.json)"
            ) from None
        yield stack.enter_context(client)


def on_workers(
    client: Any, function: Callable[..., T], arguments: Iterable[tuple[Any, ...]]
) -> Iterator[T]:
    """What the function returns for each of the arguments, in their order, by the client's workers.

    A few tasks for each worker are under way at a time. Those of a worker that is lost are done
    again by another; each counts once.

    Raises
    ------
    InputError
        If one task has lost several workers, or no process is left of those on this machine.
    """
    distributed = library("distributed", "--dask", EXTRA)
    running: deque[Any] = deque()

    def first() -> T:
        future = running.popleft()
        try:
            _wait(client, future)
            result: T = future.result()
        except distributed.KilledWorker as error:
            raise InputError(LOST) from error
        except distributed.client.FutureCancelledError as error:
            raise InputError("the scheduler has ended: start it, and the command, again") from error
        return result

    try:
        for given in arguments:
            running.append(client.submit(_alone, function, *given, pure=False))
            if len(running) > AHEAD * max(1, len(client.ncores())):
                yield first()
        while running:
            yield first()
    finally:
        client.cancel(list(running))


def _wait(client: Any, future: Any) -> None:
    """Wait for a result, as long as there is hope of one.

    A cluster may have to wait for workers. On this machine they begin anew where they are lost,
    unless that happens while they begin.
    """
    distributed = library("distributed", "--dask", EXTRA)
    without = 0
    while not future.done():
        with suppress(TimeoutError):
            distributed.wait(future, timeout=PATIENCE)
        without = 0 if future.done() or client.ncores() else without + 1
        if without == 2:
            if isinstance(client.cluster, distributed.LocalCluster):
                raise InputError(LOST)
            print("waiting for workers of the scheduler", file=sys.stderr, flush=True)


def _alone(function: Callable[..., T], *arguments: Any) -> T:
    """A task on one thread: the others of its worker have tasks of their own."""
    with at_most(1):
        return function(*arguments)
