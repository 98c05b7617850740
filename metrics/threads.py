"""How many threads this process may use."""

from __future__ import annotations

import numba


def thread_count() -> int:
    """Cores, or what NUMBA_NUM_THREADS says: a process pool sets it for its workers.

    Asking ``numba.get_num_threads()`` instead would start numba's threads, and change torch's.
    """
    return int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
