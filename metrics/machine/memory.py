"""Memory that this process may still take, and arrays that lie on the disk where it is short."""

from __future__ import annotations

import math
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from metrics.volume import InputError

CGROUPS = Path("/sys/fs/cgroup")
_limits: list[int] = []

SMALLER_FILE = "crop it, or save it uncompressed as .npy, which is mapped and not loaded"


def check_memory(nbytes: int, *, free: int | None = None, remedy: str = SMALLER_FILE) -> None:
    """Raise `InputError` if so many bytes do not fit into the free memory, by default our own."""
    free = free_memory() if free is None else free
    if nbytes > free:
        raise InputError(
            f"needs {nbytes / 2**30:.3g} GiB of memory, {free / 2**30:.3g} GiB are free: {remedy}"
        )


def allocate(shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """Array to be filled: in memory if it takes half of what is free at most, else on the disk.

    On the disk it is a map of a temporary file (in ``TMPDIR``), which goes with the array: what is
    measured slab by slab, and windows of it, then need memory for themselves alone.

    Raises
    ------
    InputError
        If neither has room.
    """
    size = np.dtype(dtype).itemsize * math.prod(shape)
    if size <= free_memory() // 2:
        return np.empty(shape, dtype)
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if size > free:
        raise InputError(
            f"needs {size / 2**30:.3g} GiB: more than half of the {free_memory() / 2**30:.3g} GiB "
            f"of memory that are free, and {folder} has {free / 2**30:.3g} GiB: set TMPDIR to a "
            f"folder on a larger disk, or {SMALLER_FILE}"
        )
    with tempfile.TemporaryFile() as file:
        # As a plain array: others would look for a file of its name.
        return np.memmap(file, dtype, "w+", shape=tuple(shape)).view(np.ndarray)


def free_memory() -> int:
    """Bytes that are free: of the machine, of a container (cgroup), and of the limit of a shell.

    Within `memory_limit` of what that leaves.
    """
    import psutil

    left = [most - psutil.Process().memory_info().rss for most in _limits]
    return max(0, min(psutil.virtual_memory().available, *_of_container(), *_of_shell(), *left))


@contextmanager
def memory_limit(nbytes: int) -> Iterator[None]:
    """Plan as if this process and its workers had so many bytes in all."""
    _limits.append(nbytes)
    try:
        yield
    finally:
        _limits.remove(nbytes)


def _of_container() -> list[int]:
    """What a control group leaves, of version 2 or 1, here and above."""
    try:
        own = Path("/proc/self/cgroup").read_text(encoding="utf-8").rpartition("::")[2].strip()
    except OSError:
        return []
    group = CGROUPS / own.lstrip("/")
    folders = [folder for folder in (group, *group.parents) if folder.is_relative_to(CGROUPS)]
    pairs = [(folder / "memory.max", folder / "memory.current") for folder in folders]
    old = CGROUPS / "memory"
    pairs.append((old / "memory.limit_in_bytes", old / "memory.usage_in_bytes"))
    left = []
    for most, used in pairs:
        try:
            left.append(int(most.read_text()) - int(used.read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return left


def _of_shell() -> list[int]:
    """What ``ulimit -v`` leaves."""
    if sys.platform == "win32":
        return []
    import resource

    import psutil

    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY:
        return []
    return [most - psutil.Process().memory_info().vms]
