"""Tasks that end well, in a refusal, or with their process; each worker imports them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from metrics.volume import InputError


def dies_once(mark: Path, number: int) -> int:
    """The number; the process that tries first is lost."""
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return number
    os.kill(os.getpid(), signal.SIGKILL)
    return -1


def dies(_: int) -> None:
    """Lose the process, however often it is tried."""
    os.kill(os.getpid(), signal.SIGKILL)


def refuses(number: int) -> int:
    """An error of ours."""
    raise InputError(f"number {number}: give another")
