"""The memory that is free: of the machine, the container and the shell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from metrics.machine import memory
from metrics.machine.memory import check_memory, free_memory
from metrics.volume import InputError

ROOT = Path(__file__).parents[2]


def test_what_does_not_fit_is_refused_with_both_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 2**30)
    check_memory(2**30)
    with pytest.raises(InputError, match=r"needs 3 GiB of memory, 1 GiB are free: crop it"):
        check_memory(3 * 2**30)


def test_no_more_than_the_machine_has() -> None:
    assert 0 < free_memory() <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("most", "used"),
    [
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ],
)
def test_a_container_has_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: str, used: str
) -> None:
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    assert memory._of_container() == []
    (tmp_path / "memory").mkdir()
    (tmp_path / most).write_text("5000000\n")
    (tmp_path / used).write_text("1000000\n")
    assert memory._of_container() == [4000000]
    assert free_memory() == 4000000
    (tmp_path / most).write_text("max\n")
    assert memory._of_container() == []


@pytest.mark.skipif(sys.platform == "win32", reason="ulimit is of Unix")
def test_a_shell_with_a_limit_has_less() -> None:
    code = "from metrics.machine.memory import free_memory; print(free_memory())"
    run = subprocess.run(
        ["bash", "-c", f"ulimit -v 4000000; {sys.executable} -c '{code}'"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert 0 < int(run.stdout) < 4000000 * 1024
