"""Files are whole or not there: a killed process leaves nothing, a second one loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from metrics.files import TEMPORARY, replacing
from metrics.volume import InputError

ROOT = Path(__file__).parents[2]
KILLED = """
import os, signal, sys
from pathlib import Path
from metrics.files import replacing
with replacing(Path("a.csv")) as temporary:
    temporary.write_text("half")
    if sys.argv[1:]:
        print("writing", flush=True)
        sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def left(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(TEMPORARY)]


def run(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, *arguments], cwd=folder, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    with run(tmp_path) as process:
        assert process.wait(120) == -signal.SIGKILL
    assert len(left(tmp_path)) == 1
    with replacing(tmp_path / "b.csv") as temporary:  # another target
        temporary.write_text("b")
    assert len(left(tmp_path)) == 1
    with replacing(tmp_path / "a.csv") as temporary:
        temporary.write_text("a")
    assert left(tmp_path) == []
    assert (tmp_path / "a.csv").read_text() == "a"


def test_what_another_process_is_writing_stays(tmp_path: Path) -> None:
    with run(tmp_path, "wait") as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "writing\n"
        with replacing(tmp_path / "a.csv") as temporary:
            temporary.write_text("a")
        assert len(left(tmp_path)) == 1
        process.stdin.write("\n")
        process.stdin.flush()
        process.wait(120)


def test_two_cannot_add_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with replacing(path, extend=True) as first:
        first.write_text("first")
        with pytest.raises(InputError, match="another process adds to it: wait"):
            with replacing(path, extend=True):
                raise AssertionError
    with replacing(path, extend=True) as second:
        assert second.read_text() == "first"


def test_a_long_name(tmp_path: Path) -> None:
    with replacing(tmp_path / ("a" * 250)) as temporary:
        temporary.write_text("a")
    assert (tmp_path / ("a" * 250)).read_text() == "a"
