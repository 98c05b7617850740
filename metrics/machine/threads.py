"""How many threads this process may use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numba

_limits: list[int] = []


def thread_count() -> int:
    """Cores, or what NUMBA_NUM_THREADS says; the limit of `at_most` within it.

    Asking ``numba.get_num_threads()`` instead would start numba's threads, and change torch's.
    """
    return min([int(numba.config.NUMBA_NUM_THREADS), *_limits])  # type: ignore[attr-defined]


@contextmanager
def at_most(count: int) -> Iterator[None]:
    """Keep numba's loops and the Fourier transforms within to so many threads.

    Threads that wait for each other spin. Where other work shares the cores, two of them took 20
    times the processor time of one for sub-volumes of 32^3.
    """
    before = numba.get_num_threads()
    numba.set_num_threads(min(count, before))
    _limits.append(count)
    try:
        yield
    finally:
        _limits.remove(count)
        numba.set_num_threads(before)
