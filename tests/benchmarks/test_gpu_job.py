"""The GPU job: every stage once, in order, and on from where it stopped."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import reproduce
from benchmarks.making import gpu_job, train_pretrained
from benchmarks.speed import counting, diffusivity
from metrics.command.comparing import _parser as compare_parser
from slicegan.command_line import command_line


def test_a_job_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[list[str]] = []

    def finished(command: list[str]) -> int:
        done.append(command[1:])
        result = next(iter(path for path, words in todo() if words == command[1:]))
        if len(done) == first_training:  # stopped there
            (result.parent / "config.json").touch()
            return 130
        if result.name != "done":
            result.touch()
        return 0

    def todo():
        return gpu_job.stages(tmp_path, Path("original"), 0, "cpu")

    first_training = 1 + next(i for i, (_, words) in enumerate(todo()) if "--preset" in words)
    monkeypatch.setattr(gpu_job, "finished", finished)
    argv = ["--reference", "original", "--out", str(tmp_path), "--device", "cpu"]
    assert gpu_job.main(argv) == 130
    assert "--preset" in done[-1]
    assert gpu_job.main(argv) == 0
    after = done[first_training]
    assert "--resume" in after and "--preset" not in after
    assert len(done) == len(todo()) + 1
    before = len(done)
    assert gpu_job.main(argv) == 0
    assert len(done) == before


@functools.cache
def help_of(module: str) -> str:
    """Help of a program, one word for each option."""
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True
    )
    return re.sub(r"[\[\],]", " ", done.stdout)


def test_every_command_is_one_that_its_program_takes(tmp_path: Path) -> None:
    for _, (module, *words) in gpu_job.stages(tmp_path, Path("original"), 0, "cpu"):
        if words[0] == "slicegan":
            command_line().parse_args(words[1:])
        elif module == "benchmarks/compare.py":
            compare_parser().parse_args(words)
        elif module == "benchmarks/reproduce.py":
            reproduce._parser().parse_args(words)
        elif words[0] == "benchmarks.speed.diffusivity":
            diffusivity._parser().parse_args(words[1:])
        elif words[0] == "benchmarks.speed.counting":
            counting._parser().parse_args(words[1:])
        elif words[0] == "benchmarks.making.train_pretrained":
            train_pretrained._parser().parse_args(words[1:])
        else:
            options = {word for word in words if word.startswith("--")}
            assert options <= set(help_of(words[0]).split())
