"""Command-line arguments that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from metrics.volume import AXES, InputError


class Parser(argparse.ArgumentParser):
    """Parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2 and this line."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def phase_table(text: str) -> dict[str, int]:
    """Names and values of phases from ``pore=0,ni=127``."""
    pairs = [item.partition("=") for item in text.split(",")]
    try:
        return {name.strip(): int(value) for name, _, value in pairs}
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected name=value,..., got {text!r}") from None


def memory(text: str) -> int:
    """Bytes from a size such as ``8G`` or ``500M``."""
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "B")
    try:
        nbytes = int(float(number) * 1024 ** "BKMGT".index(unit))
    except (ValueError, OverflowError):
        nbytes = 0
    if nbytes < 1:
        raise argparse.ArgumentTypeError(f"expected a size such as 8G or 500M, got {text!r}")
    return nbytes


def spacing(text: str) -> tuple[float, ...]:
    """Voxel size from one number or ``z,y,x``."""
    try:
        return tuple(float(item) for item in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number or z,y,x, got {text!r}") from None


def shape(text: str) -> tuple[int, int, int]:
    """Voxels along each axis from ``z,y,x``."""
    try:
        z, y, x = (int(item) for item in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected z,y,x, got {text!r}") from None
    return z, y, x


def axis_files(items: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Files of each axis from items ``z=a.png``.

    Raises
    ------
    InputError
        If an item is none.
    """
    pairs = [item.partition("=") for item in items]
    if not all(path for _, _, path in pairs):
        raise InputError(f"--axis takes {'=FILE '.join(AXES)}=FILE, got {' '.join(items)}")
    return {
        axis: tuple(path for name, _, path in pairs if name == axis)
        for axis in dict.fromkeys(name for name, _, _ in pairs)
    }


def names(text: str) -> list[str]:
    """Names from ``a,b,c``."""
    return [name.strip() for name in text.split(",")]
