"""Programs measured side by side: each in a process of its own, at work only in its turn."""

from __future__ import annotations

import contextlib
import io
import json
import math
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from metrics.volume import InputError


class Run(NamedTuple):
    """One measured call.

    Attributes
    ----------
    seconds : float
    memory : float
        Bytes taken at most beyond what was held before; on a GPU held there.
    resident : float
        Bytes that the process held at most; nan where the system does not say.
    answer : any
        What is told of the result, in the types of JSON.
    """

    seconds: float
    memory: float
    resident: float
    answer: Any


def serve(
    call: Callable[[], Any],
    *,
    tell: Callable[[Any], Any] = lambda result: result,
    device: str = "cpu",
) -> None:
    """Child process: say that it is ready, then measure once for each line that comes in."""
    print("ready", flush=True)
    for _ in sys.stdin:
        seconds, memory, most, result = measure(call, device)
        print(json.dumps(Run(seconds, memory, most, tell(result))), flush=True)


def measure(call: Callable[[], Any], device: str = "cpu") -> Run:
    """Time, memory and result of a call; what it prints is dropped."""
    cuda = device == "cuda"
    if cuda:
        import torch  # not on a CPU: it would be part of what our own calls are said to take

        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
    reset_peak()
    before = resident()
    with contextlib.redirect_stdout(io.StringIO()):
        start = perf_counter()
        result = call()
        if cuda:
            torch.cuda.synchronize()
        seconds = perf_counter() - start
    most = peak()
    taken = torch.cuda.max_memory_allocated() if cuda else most - before
    return Run(seconds, taken, most, result)


def measured_in_turn(commands: Mapping[str, Sequence[str]], repeats: int) -> dict[str, list[Run]]:
    """What processes that `serve` measured, `repeats` times in turn."""
    lines = in_turn(commands, repeats)
    return {name: [Run(*json.loads(line)) for line in lines[name][1:]] for name in lines}


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
    """Let the peak memory of this process start again from what it holds now, on Linux."""
    with contextlib.suppress(OSError):  # nor in every sandbox: the peak is then nan, or all along
        Path("/proc/self/clear_refs").write_text("5")


def resident() -> float:
    """Bytes of memory that this process holds; nan where the system does not say."""
    return _status("VmRSS")


def peak() -> float:
    """Bytes of memory that this process has held at most since `reset_peak`, or nan."""
    return _status("VmHWM")


def _status(field: str) -> float:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])
    except (OSError, StopIteration):
        return math.nan
