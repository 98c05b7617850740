"""Memory that this process may still take."""

from __future__ import annotations

import sys
from pathlib import Path

from metrics.volume import InputError

CGROUPS = Path("/sys/fs/cgroup")
SMALLER_FILE = "crop it, or save it uncompressed as .npy, which is mapped and not loaded"


def check_memory(nbytes: int, *, free: int | None = None, remedy: str = SMALLER_FILE) -> None:
    """Raise `InputError` if so many bytes do not fit into the free memory, by default our own."""
    free = free_memory() if free is None else free
    if nbytes > free:
        raise InputError(
            f"needs {nbytes / 2**30:.3g} GiB of memory, {free / 2**30:.3g} GiB are free: {remedy}"
        )


def free_memory() -> int:
    """Bytes that are free: of the machine, of a container (cgroup), and of the limit of a shell."""
    import psutil

    return max(0, min(psutil.virtual_memory().available, *_of_container(), *_of_shell()))


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
