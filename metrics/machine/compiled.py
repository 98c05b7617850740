"""Loops over voxels, compiled by numba and kept for the next time where a folder can be written."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numba


def compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`numba.njit` with these options, and with a cache if there is a folder for it.

    numba keeps what it compiles beside the source, or else in the user's cache folder. Where it can
    write to neither, or the disk is full, it would raise an error; the loop is then compiled anew
    by each process, and one line says so.
    """
    if function is None:
        return partial(compiled, **options)
    try:
        loop = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder
        say_once("no folder can be written")
        return numba.njit(**options)(function)
    kept: Any = loop._cache
    keep = kept.save_overload

    def save(*overload: Any) -> None:
        try:
            keep(*overload)
        except OSError as error:
            say_once(str(error.strerror))

    kept.save_overload = save
    return loop


@cache
def say_once(reason: str) -> None:
    """Say on stderr that nothing is kept: once, and not by each worker."""
    if multiprocessing.current_process().name == "MainProcess":
        print(
            f"compiled loops are not kept ({reason}): every start takes some seconds more; "
            "set NUMBA_CACHE_DIR to a folder with room",
            file=sys.stderr,
        )
