"""Libraries that only some files need: imported when they are, missed in one line."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from metrics.volume import InputError


def library(name: str, purpose: str, remedy: str) -> Any:
    """A library by its name, for a purpose that the message names if it cannot be imported.

    Raises
    ------
    InputError
        If it is not installed, or does not work here.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(f"{purpose} needs {name} ({remedy}): {error}") from None
