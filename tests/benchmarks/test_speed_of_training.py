"""Training is measured in step, counted exactly, and only beside the original as committed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from benchmarks.speed import training
from benchmarks.speed.original import commit_of
from benchmarks.speed.turns import in_turn
from metrics import InputError

# A stand-in with the original's interface: 2 steps of a critic before each of the generator, which
# shows 5 slices at a time; in the set-up 64 MiB that it keeps, and as much that it does not.
MODEL = """
import time
import torch

def train(pth, imtype, datatype, real_data, Disc, Gen, nc, l, nz, sf):
    print("a line that is no answer")
    kept, dropped = torch.ones(2**24), torch.ones(2**24)
    del dropped
    generator, critic = Gen(), Disc()
    of_generator, of_critic = (
        torch.optim.Adam(network.parameters()) for network in (generator, critic)
    )
    noise = torch.ones(5, nz)
    while True:
        for _ in range(2):
            critic(generator(noise).detach()).mean().backward()
            of_critic.step()
        critic(generator(noise)).mean().backward()
        time.sleep(0.05)
        of_generator.step()
"""
NETWORKS = """
from torch import nn

def slicegan_nets(pth, Training, imtype, dk, ds, df, dp, gk, gs, gf, gp):
    return (lambda: nn.Linear(3, 1, bias=False)), (lambda: nn.Linear(gf[0], 3, bias=False))
"""
WIDTH = 2
TINY = [
    "training.critic_steps=1",
    "training.penalty_every=2",
    "training.critic_volumes=1",
    "training.generator_volumes=1",
    "training.slices=4",
    "training.real_slices=8",
]


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    package = tmp_path / "checkout" / "slicegan"
    package.mkdir(parents=True)
    for name, text in (("__init__", ""), ("model", MODEL), ("networks", NETWORKS)):
        (package / f"{name}.py").write_text(text)
    git(package.parent, "init", "-q")
    git(package.parent, "add", ".")
    git(package.parent, "commit", "-qm", "all")
    return package.parent


def refusal(reference: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert training.main(["--reference", str(reference), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory needs Linux")
def test_both_are_measured_alike(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "EQUAL_BATCHES", TINY)
    monkeypatch.setattr(training, "CROPS", 1)
    arguments = ["--reference", str(checkout), "--width", str(WIDTH), "--repeats", "2"]
    assert training.main([*arguments, "--presets", "--out", str(tmp_path)]) == 0

    table = pd.read_csv(tmp_path / "speed_training.csv")
    original, ours = table.to_dict("records")
    assert (original["code"], ours["code"]) == ("original", f"ours: {training.EQUAL}")
    assert (original["critic updates per step"], ours["critic updates per step"]) == (2, 1)
    assert original["slices judged per step"] == 3 * 5
    # A critic's step judges 8 real, 3 x 4 generated and in every second one 8 penalised slices; the
    # generator's 3 x 4, and may look at real slices too.
    assert ours["slices judged per step"] - (8 + 12 + 8 / 2) - 12 in (0, 8)
    # Multiply-adds: 3 passes of both networks forward; backward, 3 x the critic's weights, once its
    # slices, once the generator's weights.
    multiply_adds = 3 * 5 * 3 * (WIDTH + 1) + 4 * 5 * 3 + 5 * 3 * WIDTH
    assert original["GFLOP per step"] == pytest.approx(2e-9 * multiply_adds, rel=1e-5)
    assert original["s per step"] >= 0.05
    # Python and PyTorch move some MiB of their own.
    assert original["set-up peak, MiB"] == pytest.approx(128, abs=30)
    assert original["held after set-up, MiB"] == pytest.approx(64, abs=30)
    assert original["training peak, MiB"] == pytest.approx(64, abs=30)
    for work, amount in (("steps", None), ("slices judged", "slices judged per step")):
        done = [(row[amount] if amount else 1) / row["s per step"] for row in (original, ours)]
        # Six digits are written.
        assert ours[f"ratio of {work}"] == pytest.approx(done[1] / done[0], rel=1e-4)

    page = (tmp_path / "speed_training.md").read_text()
    assert git(checkout, "rev-parse", "HEAD") in page
    assert git(checkout, "status", "--porcelain") == ""  # nothing was left there


def test_only_the_original_is_accepted(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"{tmp_path / 'none'} is not the original" in refusal(tmp_path / "none", capsys)
    ours = Path(training.__file__).parents[2]
    assert f"{ours} is not the original" in refusal(ours, capsys)
    copy = checkout / "copy"
    (copy / "slicegan").mkdir(parents=True)
    (copy / "slicegan" / "model.py").write_text(MODEL)
    assert "not a git checkout of its own" in refusal(copy, capsys)


@pytest.mark.parametrize("name", ["model.py", "networks.py"])
def test_a_modified_original_is_refused(
    name: str, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commit_of(checkout) == git(checkout, "rev-parse", "HEAD")
    with (checkout / "slicegan" / name).open("a") as file:
        file.write("# faster\n")
    assert f"{name} is not as committed" in refusal(checkout, capsys)


def test_what_cannot_work_is_refused_before_it_starts(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "at least one step" in refusal(checkout, capsys, "--repeats", "0")
    free = SimpleNamespace(available=10**9)
    monkeypatch.setattr(training.psutil, "virtual_memory", lambda: free)
    # 28 800 crops of 2 x 64 x 64 values: three axes of 4 bytes, and 8 bytes for one in the making.
    assert "needs 4.7 GB of memory, 1.0 are free" in refusal(checkout, capsys)
    monkeypatch.setattr(training, "CROPS", 1)
    assert "no preset 'fastest'" in refusal(checkout, capsys, "--presets", "fastest")


def test_processes_work_in_turn(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    child = (
        "import sys\n"
        "def work():\n"
        "    with open(sys.argv[2], 'a') as diary: print(sys.argv[1], file=diary)\n"
        "    print(sys.argv[1], flush=True)\n"
        "work()\n"
        "for _ in sys.stdin: work()"
    )
    commands = {name: [sys.executable, "-c", child, name, str(diary)] for name in "ab"}
    lines = in_turn(commands, 2)
    assert lines == {"a": ["a\n"] * 3, "b": ["b\n"] * 3}
    assert diary.read_text().split() == ["a", "b"] * 3


def test_a_process_that_stops_is_named() -> None:
    with pytest.raises(InputError, match=r"process of a stopped \(exit 3\)"):
        in_turn({"a": [sys.executable, "-c", "raise SystemExit(3)"]}, 1)
