"""One line and exit status 2 for every bad input of the command, and nothing written."""

from __future__ import annotations

import pickle
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import original_networks as original
import pytest
import torch
from refusing import Payload
from safetensors.torch import save_file
from small_runs import SETTINGS, disk_full, draw_nothing, finished, image_file, one_message

from slicegan import checkpoint, ensemble, generation
from slicegan.cli import main
from slicegan.runs import Run

TRAIN = ["--set", *SETTINGS, "--out", "new", "--preset", "tiny", "--quiet"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder with a trained run, images and what is wrong with them."""
    folder = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        finished(folder / "run", "training.steps=2")
    image = np.load(image_file(folder / "a.npy"))
    image_file(folder / "b.npy", seed=1)
    image_file(folder / "small.npy", side=20)
    np.save(folder / "three.npy", np.where(np.arange(40) < 9, 128, image))
    np.save(folder / "one.npy", np.zeros_like(image))
    np.save(folder / "negative.npy", -1 * (image > 0))
    np.save(folder / "grey.npy", np.arange(1600).reshape(40, 40).astype(np.uint8))
    (folder / "text.png").write_text("no image")
    content = (folder / "run" / "generator.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(content[: len(content) // 2])
    (folder / "text.safetensors").write_text("no model")
    save_file({"weight": torch.zeros(3)}, folder / "foreign.safetensors")
    (folder / "empty").mkdir()
    net = original.params((4, 8, 8, 2))
    original.save(folder, net, original.weights(net))
    (folder / "evil.data").write_bytes(pickle.dumps(Payload(folder / "trace")))
    yield folder
    assert not (folder / "trace").exists()


@pytest.fixture
def refused(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run the command beside the files; its one line, if it wrote nothing and has status 2."""

    def run(*argv: str) -> str:
        monkeypatch.chdir(files)
        before = sorted(files.rglob("*"))
        try:
            status = main(argv)
        except SystemExit as left:  # argparse
            status = left.code
        assert status == 2
        line = one_message(capsys)
        assert line.startswith(f"slicegan {argv[0]}: ")
        assert sorted(files.rglob("*")) == before
        return line

    return run


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (["absent.png"], "absent.png: no such file"),
        (["text.png"], "text.png: cannot be read"),
        (["grey.npy"], "grey.npy: not segmented"),
        (["small.npy"], "small.npy is 20x20, the crop 32x32: use a larger image"),
        (["one.npy"], "one.npy shows one phase alone"),
        (["a.npy", "three.npy"], "phase 128 of three.npy is missing in a.npy"),
        (
            ["--axis", "z=a.npy", "y=b.npy", "x=three.npy"],
            "phase 128 of three.npy is missing in a.npy",
        ),
        (["a.npy", "--phases", "pore=0,ni=127"], "a.npy: phases={'pore': 0, 'ni': 127}"),
        (["a.npy", "--phases", "pore=0,ni=255,ysz=9"], "a.npy: phase"),
        (["a.npy", "--spacing", "0.5"], "a spacing needs its unit"),
        (["a.npy", "--unit", "um"], "a spacing needs its unit"),
        (["a.npy", "--spacing=-1", "--unit", "um"], "spacing must be one or three positive"),
        (["a.npy", "--flips", "x"], "leave flips out"),
        ([], "give images, or --axis z=a.png y=b.png x=b.png"),
        (["a.npy", "--axis", "z=a.npy", "y=a.npy", "x=a.npy"], "give images, or --axis"),
        (["--axis", "z=a.npy", "y=b.npy"], "no image for axis x"),
        (["--axis", "z=a.npy", "y=b.npy", "x"], "--axis takes z=FILE y=FILE x=FILE, got"),
        (["--axis", "z=a.npy", "y=b.npy", "x="], "--axis takes z=FILE y=FILE x=FILE, got"),
        (["--axis", "z=a.npy", "y=b.npy", "w=b.npy"], "axis must be one of z, y, x, got 'w'"),
        (["--axis", "z=a.npy", "y=b.npy", "x=absent.npy"], "absent.npy: no such file"),
        (["a.npy", "--seed", "-1"], "seed must be a whole number"),
        (["a.npy", "--seed", str(2**64)], "seed must be a whole number"),
        (["a.npy", "--steps", "4", "--stop-after", "30m"], "both say how long: give one"),
        (["a.npy", "--steps", "0"], "training.steps: Input should be greater than 0"),
        (["a.npy", "--steps", "-3"], "training.steps: Input should be greater than 0"),
        (["a.npy", "--device", "abacus"], "unknown device 'abacus'"),
        (["a.npy", "--preset", "papre"], "no preset 'papre': there are fast, narrow, paper, tiny"),
        (
            ["a.npy", "--set", "training.stpes=3"],
            "no setting training.stpes: did you mean training.steps?",
        ),
        (["a.npy", "--set", "generator.channels=3"], "it follows from the images, leave it out"),
        (["a.npy", "--set", "steps=3"], "expected section.key=value, got 'steps=3'"),
        (["a.npy", "--set", "training.steps=2.5"], "training.steps: Input should be a valid int"),
        (["a.npy", "--set", "training.steps=many"], "training.steps: Input should be a valid int"),
        (["a.npy", "--set", "critic.filters=[2,2]"], "critic.filters judge slices of 16"),
        (["a.npy", "--set", "generator.layers=[[4,3,2]]"], "generator"),
        (["a.npy", "--out", "run"], "run is in use: name a new folder, or go on with --resume"),
        (["a.npy", "--out", "empty/../a.npy"], "is in use"),
        (["a.npy", "--set", "training.betas=[0,1]"], "training.betas.1: Input should be less than"),
        (["negative.npy"], "values [-1, 0] do not fit into uint16: use 0 to 65535"),
        ([f"{'a' * 300}.png"], "File name too long: check the path"),
        (["a.npy", "--ensemble", "0"], "--ensemble must be at least 1, got 0"),
        (["a.npy", "--ensemble", "2", "--seed", str(2**64 - 1)], "seed must be a whole number"),
        (["a.npy", "--ensemble", "2", "--out", "run"], "run is in use: name a new folder"),
        (["a.npy", "--out", "b.npy/run"], "b.npy/run: cannot be written (Not a directory)"),
    ],
)
def test_training(images: list[str], said: str, refused: Callable[..., str]) -> None:
    assert said in refused("train", *TRAIN, *images)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["a.npy"], "--resume takes its image from the run: leave it out"),
        (["--axis", "z=a.npy"], "takes its axis from the run"),
        (["--set", "training.steps=9"], "takes its set from the run"),
        (["--preset", "paper"], "takes its preset from the run"),
        (["--seed", "3"], "takes its seed from the run"),
        (["--phases", "pore=0,ni=255"], "takes its phases from the run"),
        (["--stop-after", "30m"], "takes its stop-after from the run"),
        (["--flips", "x"], "takes its flips from the run"),
        (["--steps", "1"], "run has done 2 steps: ask for more, not 1"),
        (["--steps", "0"], "training.steps: Input should be greater than 0"),
        (["--out", "empty"], "empty holds no run: there is no config.json in it"),
        (["--out", "absent"], "absent holds no run"),
    ],
)
def test_resuming(options: list[str], said: str, refused: Callable[..., str]) -> None:
    assert said in refused("train", "--out", "run", "--resume", *options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["run", "--size", "0"], "size must be positive"),
        (["run", "--size", "-5"], "size must be positive"),
        (["run", "--size", "32,0,32"], "size must be positive"),
        (["run", "--size", "64", "--periodic", "q"], "axis must be one of z, y, x, got 'q'"),
        (["run", "--size", "40,64,64", "--periodic", "z"], "must be a multiple of 32: use 32 or"),
        (["run", "--size", "32", "--count", "2", "--out", "."], "--out must name a file, got ."),
        (["run", "--size", "32", "--count", "0"], "--count must be at least 1, got 0"),
        (["run", "--size", "32", "--seed", "-1"], "seed must be a whole number"),
        (["run", "--size", "32", "--device", "abacus"], "unknown device 'abacus'"),
        (["run", "--size", "32", "--out", "gen.mp3"], "gen.mp3: unknown type '.mp3'"),
        (["run", "--size", "32", "--out", "absent/gen.tif"], "No such file or directory"),
        (["run", "--size", "32", "--out", "run"], "run: is a folder with something in it"),
        (["absent", "--size", "32"], "no model absent: give a run folder"),
        (["empty", "--size", "32"], "empty: no generator.safetensors in this folder"),
        (["cut.safetensors", "--size", "32"], "cut.safetensors: cannot be read"),
        (["text.safetensors", "--size", "32"], "text.safetensors: cannot be read"),
        (["a.npy", "--size", "32"], "a.npy: cannot be read"),
        (["foreign.safetensors", "--size", "32"], "foreign.safetensors: not a generator of format"),
        # A million gigabytes: no disk of today has room for it.
        (["run", "--size", "100000", "--out", "gen.npy"], "GiB on the disk"),
        (["run", "--size", "10000000"], "needs at least"),
        (["run", "--size", "1024", "--count", "1000000000"], "needs at least"),
    ],
)
def test_generating(options: list[str], said: str, refused: Callable[..., str]) -> None:
    assert said in refused("generate", *options)


@pytest.mark.parametrize("model", ["absent", "empty", "cut.safetensors", "foreign.safetensors"])
def test_info(model: str, refused: Callable[..., str]) -> None:
    assert model in refused("info", model)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["absent.pt", "X_params.data"], "absent.pt: cannot be read"),
        (["X_Gen.pt", "absent.data"], "absent.data: cannot be read"),
        (["X_Gen.pt", "evil.data"], "evil.data: "),
        (["X_Gen.pt", "a.npy"], "a.npy: "),
        (["cut.safetensors", "X_params.data"], "cut.safetensors: cannot be read"),
        (["X_Gen.pt", "X_params.data", "--phases", "a=0,b=1,c=2"], "phases"),
        (["X_Gen.pt", "X_params.data", "--unit", "um"], "a spacing needs its unit"),
        (["X_Gen.pt", "X_params.data", "--out", "absent/new.safetensors"], "cannot be written"),
        (["X_Gen.pt", "X_params.data", "--out", "X_Gen.pt"], "--out must end in .safetensors"),
    ],
)
def test_converting(options: list[str], said: str, refused: Callable[..., str]) -> None:
    assert said in refused("convert", "--out", "new.safetensors", *options)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["train", "a.npy"], "the following arguments are required: --out"),
        (["train", "a.npy", "--out", "new", "--steps", "many"], "--steps: invalid int value"),
        (["train", "a.npy", "--out", "new", "--stop-after", "30"], "expected a time like 90s"),
        (["train", "a.npy", "--out", "new", "--kind", "metal"], "--kind: invalid choice: 'metal'"),
        (["train", "a.npy", "--out", "new", "--phases", "pore"], "expected name=value,..., got"),
        (["train", "a.npy", "--out", "new", "--spacing", "x"], "expected a number or z,y,x, got"),
        (["generate", "run"], "the following arguments are required: --size"),
        (["generate", "run", "--size", "1,2"], "expected a whole number or z,y,x, got '1,2'"),
        (["generate", "run", "--size", "32.5"], "expected a whole number or z,y,x, got '32.5'"),
        (["generate", "run", "--size", "32", "--origin", "x"], "expected a whole number or z,y,x"),
        (["info"], "the following arguments are required: MODEL"),
        (["convert", "X_Gen.pt", "--out", "new"], "the following arguments are required: OLD_par"),
    ],
)
def test_arguments_that_do_not_parse(
    argv: list[str], said: str, refused: Callable[..., str]
) -> None:
    line = refused(*argv)
    assert said in line
    assert line.endswith(" (see --help)\n")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "slicegan: the following arguments are required: COMMAND"),
        (["learn"], "slicegan: argument COMMAND: invalid choice: 'learn'"),
        (["info", "run", "--loud"], "slicegan: unrecognized arguments: --loud"),
    ],
)
def test_commands_that_are_not_there(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(argv)
    assert left.value.code == 2
    assert one_message(capsys).startswith(said)


@pytest.mark.parametrize("argv", [["train", "a.npy", *TRAIN], ["generate", "run", "--size", "32"]])
def test_a_gpu_that_is_not_there(
    argv: list[str], refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no device 'cuda' on this machine: use cpu" in refused(*argv, "--device", "cuda")


@pytest.mark.parametrize(
    "argv",
    [
        ["generate", "run", "--size", "32", "--quiet"],
        ["convert", "X_Gen.pt", "X_params.data", "--out", "new.safetensors"],
    ],
)
def test_no_space_left(
    argv: list[str], refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "replace", disk_full)  # the last thing done to a file
    assert "cannot be written (No space left on device): free some space" in refused(*argv)


def test_no_space_left_in_training(
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = shutil.copytree(files / "run", tmp_path / "run")
    monkeypatch.setattr(checkpoint, "save", disk_full)
    draw_nothing(monkeypatch)
    assert main(["train", "--out", str(run), "--resume", "--steps", "4", "--quiet"]) == 2
    assert "No space left on device" in one_message(capsys)


@pytest.mark.parametrize(
    ("argv", "owner", "name"),
    [
        (["train", "--out", "run", "--resume", "--quiet"], Run, "train"),
        (["generate", "run", "--size", "32"], generation, "stream"),
        (["info", "run"], ensemble, "load_models"),
    ],
)
def test_ctrl_c(
    argv: list[str],
    owner: object,
    name: str,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(files)
    monkeypatch.setattr(owner, name, lambda *_, **__: signal.raise_signal(signal.SIGINT))
    assert main(argv) == 130
    assert one_message(capsys) == f"slicegan {argv[0]}: interrupted\n"


def test_no_memory(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = [*SETTINGS, "training.generator_volumes=1000000000"]
    argv = ["train", str(files / "a.npy"), "--preset", "tiny", "--quiet", "--set", *settings]
    assert main([*argv, "--out", str(tmp_path / "run")]) == 2
    assert "GiB are free: lower training.critic_volumes" in one_message(capsys)
    assert not (tmp_path / "run").exists()
