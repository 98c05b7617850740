"""Several processes learn what one would, and end together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import sharing
import torch
from refusing import refusal
from small_runs import SETTINGS, finished, image_file, one_message, steps_done

from slicegan import train_command
from slicegan.checkpoint import load_state
from slicegan.cli import main
from slicegan.config import Config, TrainingConfig
from slicegan.distributed import ALONE, Ranks, Several, SharedNorm, joined

ROOT = Path(__file__).parents[2]
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
SHARED = ("training.critic_volumes=2", "training.generator_volumes=2")
# Of float32 sums of some thousand numbers in another order, over the largest.
ROUNDING = 1e-5

pytestmark = pytest.mark.usefixtures("without_pictures")


def torchrun(*words: str) -> subprocess.CompletedProcess[str]:
    """Run something in two processes."""
    return subprocess.run(
        [*TORCHRUN, *words], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def training_words(folder: Path, *settings: str) -> list[str]:
    image = image_file(folder.parent / "image.npy")
    options = ("--device", "cpu", "--preset", "tiny", "--no-report", "--set", *SETTINGS, *settings)
    return ["-m", "slicegan", "train", image, "--out", str(folder), *options]


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, torch.Tensor]]]:
    """What each of two processes has learnt from each lesson."""
    folder = tmp_path_factory.mktemp("learnt")
    done = torchrun(str(ROOT / "tests" / "helpers" / "sharing.py"), str(folder))
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("name", sharing.LESSONS)
def test_two_processes_learn_what_one_does(name: str, learnt) -> None:
    first, second = (of_rank[name] for of_rank in learnt)
    assert all(torch.equal(first[part], second[part]) for part in first)
    assert sharing.difference(sharing.learnt(sharing.LESSONS[name]), first) < ROUNDING


@pytest.mark.parametrize("missing", sharing.MISSING)
def test_without_a_part_of_their_talk_they_learn_something_else(missing: str, learnt) -> None:
    alone, found = sharing.learnt(sharing.LESSONS["relativistic"]), learnt[0][f"without {missing}"]
    weights = [{"generator": parts["generator"]} for parts in (alone, found)]
    assert sharing.difference(*weights) > 10 * ROUNDING


def test_the_command_in_two_processes_makes_the_run_of_one(tmp_path: Path) -> None:
    whole = finished(tmp_path / "whole", *SHARED, "training.steps=2")
    done = torchrun(*training_words(tmp_path / "run", *SHARED, "training.steps=2"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("steps: 2 of the generator") == 1
    assert done.stdout.count("step 2 of 2") == 1
    assert {file.name for file in (tmp_path / "run").iterdir()} >= {"state.pt", "fidelity.png"}
    one, two = (load_state(folder / "state.pt") for folder in (whole, tmp_path / "run"))
    assert sharing.difference(weights(one), weights(two)) < ROUNDING
    assert two["rows"][0]["score"] == pytest.approx(one["rows"][0]["score"], rel=0.01)


def weights(state: dict[str, Any]) -> dict[str, torch.Tensor]:
    """All numbers of the generator in a row."""
    tensors = state["trainer"]["generator"].values()
    return {"generator": torch.cat([tensor.double().flatten() for tensor in tensors])}


@pytest.mark.parametrize("options", [("image.npy", "--ensemble", "2"), ("--resume",)])
def test_an_ensemble_is_not_shared(
    options: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    joined_by_two = nullcontext((Several(0, 2), torch.device("cpu")))
    monkeypatch.setattr(train_command, "joined", lambda _: joined_by_two)
    (tmp_path / "member_0").mkdir()
    assert main(["train", *options, "--out", str(tmp_path)]) == 2
    assert one_message(capsys).startswith("slicegan train: torchrun shares one run, and the")


def test_a_killed_process_ends_the_other_and_the_run_goes_on(tmp_path: Path) -> None:
    run, words = tmp_path / "run", ("training.steps=12", "training.evaluate_every=3", "--quiet")
    with two_processes(*training_words(run, *SHARED, *words)) as processes:
        wait_for_state(run, processes)
        processes[1].kill()
        _, said = processes[0].communicate(timeout=60)
    assert processes[0].returncode == 2
    assert said == (
        "slicegan train: another process of this run has ended, the last state is kept: "
        "start the command again with --resume\n"
    )
    assert 0 < steps_done(run) < 12
    assert main(["train", "--out", str(run), "--resume", "--quiet"]) == 0
    assert steps_done(run) == 12


def test_a_signal_to_one_process_ends_the_step_of_both(tmp_path: Path) -> None:
    run, words = tmp_path / "run", ("training.steps=12", "training.evaluate_every=3", "--quiet")
    with two_processes(*training_words(run, *SHARED, *words)) as processes:
        wait_for_state(run, processes)
        processes[1].send_signal(signal.SIGTERM)
        said = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [130, 130]
    assert said == ["", ""]
    assert 0 < steps_done(run) < 12


def wait_for_state(run: Path, processes: Sequence[subprocess.Popen[str]]) -> None:
    deadline = time.monotonic() + 120
    while not (run / "state.pt").exists():
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)


@contextmanager
def two_processes(*words: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Two processes of one run without torchrun, which would end one after the other has failed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        known = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    known |= {"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "2"}
    with ExitStack() as ended:
        processes = []
        for rank in ("0", "1"):
            environment = os.environ | known | {"RANK": rank, "LOCAL_RANK": rank}
            process = subprocess.Popen(
                [sys.executable, *words],
                cwd=ROOT,
                env=environment,
                stderr=subprocess.PIPE,
                text=True,
            )
            processes.append(ended.enter_context(process))
            ended.callback(process.kill)
        yield processes


def test_one_process_has_nothing_to_exchange() -> None:
    with joined(torch.device("cpu")) as (ranks, device):
        assert (ranks, device) == (ALONE, torch.device("cpu"))
    tensor, norms = torch.ones(3), torch.nn.ModuleList([torch.nn.BatchNorm3d(2)])
    assert ALONE.gather(tensor) is ALONE.mean(tensor) is tensor
    ALONE.synchronise(norms)
    assert type(norms[0]) is torch.nn.BatchNorm3d
    assert [ALONE.any(flag) for flag in (True, False)] == [True, False]
    assert ALONE.part(Config()) == Config()


@pytest.mark.parametrize(("kind", "rounding"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_the_norm_of_one_rank_is_that_of_pytorch(kind: torch.dtype, rounding: float) -> None:
    random = torch.Generator().manual_seed(0)
    features = 3 + 2 * torch.randn(2, 4, 3, 5, 6, generator=random)  # a mean far from 0
    slopes, found = torch.randn(features.shape, generator=random), []
    for norm in (SharedNorm(ALONE, 4), torch.nn.BatchNorm3d(4)):
        shown = features.to(kind).requires_grad_()
        out = norm(shown)
        assert out.dtype == kind
        out.backward(slopes.to(kind))
        gradients = shown.grad, norm.weight.grad, norm.bias.grad
        found.append([out.detach(), *gradients, norm.running_mean, norm.running_var])
        assert norm.num_batches_tracked == 1
    for own, other in zip(*found, strict=True):
        # Of the largest value: the gradient is a difference of larger ones.
        size = float(other.abs().max())
        torch.testing.assert_close(own, other, rtol=0, atol=rounding * size)


def test_a_rank_has_its_share_of_rows_and_of_settings() -> None:
    assert [Ranks(rank, 3).share(torch.arange(6)).tolist() for rank in range(3)] == [
        [0, 1],
        [2, 3],
        [4, 5],
    ]
    config = Config(training=TrainingConfig(critic_volumes=4, generator_volumes=8, real_slices=32))
    part = Several(1, 4).part(config).training
    assert (part.critic_volumes, part.generator_volumes, part.real_slices) == (1, 2, 8)
    assert part.penalty_slices == 0  # as many as are real


@pytest.mark.parametrize("name", ["critic_volumes", "generator_volumes", "real_slices"])
def test_unequal_shares_are_refused(name: str) -> None:
    config = Config(training=TrainingConfig(**{name: 9}))
    assert f"training.{name}=9 cannot be shared by 2" in refusal(Several(0, 2).part, config)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "2"}
    for name, value in (known | {"TORCHELASTIC_RUN_ID": "test"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    message = refusal(joined(torch.device("cuda")).__enter__)
    assert message == "2 processes, but 1 GPUs: start torchrun with --nproc-per-node 1"
