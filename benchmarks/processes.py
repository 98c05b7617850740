"""Programs measured side by side: each in a process of its own, at work only in its turn."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from metrics.volume import InputError


def in_turn(commands: Mapping[str, Sequence[str]], repeats: int) -> dict[str, list[str]]:
    """Lines that each process prints: the first one when it is ready, then one in every turn.

    A process is started when the one before is ready, and gets a line when it is its turn: no two
    are at work at once.
    """
    lines: dict[str, list[str]] = {name: [] for name in commands}
    children: dict[str, Any] = {}
    with ExitStack() as stack:
        for name, command in commands.items():
            child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            children[name] = stack.enter_context(child)
            lines[name].append(_answer(name, child))
        for _ in range(repeats):
            for name, child in children.items():
                child.stdin.write("\n")
                child.stdin.flush()
                lines[name].append(_answer(name, child))
    return lines


def _answer(name: str, child: Any) -> str:
    line = child.stdout.readline()
    if not line:
        raise InputError(f"the process of {name} stopped (exit {child.wait()}): see above")
    return line


def reset_peak() -> None:
    """Let the peak memory of this process start again from what it holds now (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def resident() -> int:
    """Bytes of memory that this process holds (Linux)."""
    return _status("VmRSS")


def peak() -> int:
    """Bytes of memory that this process has held at most since `reset_peak` (Linux)."""
    return _status("VmHWM")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])
