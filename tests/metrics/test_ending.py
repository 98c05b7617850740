"""Commands end with one line and the status that says why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from metrics.command.ending import exit_status
from metrics.volume import InputError

ROOT = Path(__file__).parents[2]


def failing(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("a.tif: no such file"), 2, "a.tif: no such file"),
        (FileNotFoundError(2, "No such file or directory", "a.tif"), 2, "a.tif: No such file or"),
        (OSError("odd"), 2, "odd: check the path"),
        (MemoryError(), 2, "not enough memory: ask for less"),
        (np._core._exceptions._ArrayMemoryError((9,), np.dtype("u1")), 2, "not enough memory: ask"),
        (RuntimeError("CUDA out of memory"), 2, "not enough memory: ask for less"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_failed_is_one_line(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_status("tool", lambda: failing(error), less="ask for less") == status
    said = capsys.readouterr().err
    assert said.startswith(f"tool: {line}")
    assert said.count("\n") == 1


def test_what_is_done_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status("tool", lambda: 3, less="") == 3
    assert capsys.readouterr().err == ""


def test_a_mistake_of_ours_is_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="mistake"):
        exit_status("tool", lambda: failing(RuntimeError("a mistake")), less="")


def test_sigterm_is_an_interrupt() -> None:
    def work() -> int:
        signal.raise_signal(signal.SIGTERM)
        return 0

    assert exit_status("tool", work, less="") == 130


@pytest.mark.parametrize("command", ["benchmarks.datasets", "slicegan info snow"])
def test_a_reader_that_has_gone_is_no_error(command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run(
        [sys.executable, "-m", *command.split()], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)
    assert run.stderr == b""
    assert run.returncode == 141


def test_a_name_that_the_terminal_cannot_show_is_written_in_escapes() -> None:
    code = "from metrics.command.ending import exit_status\n"
    code += "exit_status('tool', lambda: print('\\u00b5') or 0, less='')"
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert run.stdout.split() == [rb"\xb5"]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: no kernel image is available for execution on the device\nmore"),
        RuntimeError("CUDA error: device is busy or unavailable"),
    ],
)
def test_a_gpu_that_fails_is_one_line(
    error: RuntimeError, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        raise error

    assert exit_status("slicegan train", work) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert str(error).splitlines()[0] in line and "--device cpu" in line


def test_a_gpu_without_memory_is_told_what_to_ask_less_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work() -> int:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")

    assert exit_status("slicegan train", work, less="lower filters") == 2
    assert capsys.readouterr().err == "slicegan train: not enough memory: lower filters\n"
