"""Progress bars."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

SECONDS_IN_A_FILE = 30.0


def progress_bar(
    iterable: Iterable[Any] | None = None, *, shown: bool, **options: Any
) -> tqdm[Any]:
    """A bar of tqdm: ten lines a second on a terminal, one every half minute in a file."""
    seconds = 0.1 if sys.stderr.isatty() else SECONDS_IN_A_FILE
    longest = max(seconds, tqdm.monitor_interval)  # after which tqdm would write unasked
    return tqdm(iterable, disable=not shown, mininterval=seconds, maxinterval=longest, **options)
