"""What tests of bad input share: the one line that refuses it, and a file that would do harm."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metrics.volume import InputError


def refusal(call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """The one line of an `InputError`."""
    with pytest.raises(InputError) as caught:
        call(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


class Payload:
    """Pickles as a call that creates a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)
