"""The command from images to volumes, and what it prints."""

from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import original_networks as original
import pytest
import tifffile
import torch
from small_runs import SETTINGS, TINY, command, image_file

from metrics.io.volumes import read, write
from metrics.shapes import gaussian_random_field
from metrics.volume import Phase
from slicegan import cli, train_command
from slicegan.checkpoint import load_model, load_state, save_model
from slicegan.cli import main
from slicegan.convert import convert
from slicegan.generation import generate
from slicegan.record import read_record
from slicegan.runs import Run
from slicegan.settings import presets

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("without_pictures")
PHASES = (Phase("pore", 0, 0), Phase("ni", 1, 255))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run that the command trained."""
    folder = tmp_path_factory.mktemp("trained")
    image = image_file(folder / "image.npy")
    material = ("--phases", "pore=0,ni=255", "--spacing", "0.5", "--unit", "um")
    out = folder / "run"
    assert main(["train", image, "--out", str(out), *material, *TINY, "--quiet"]) == 0
    return out


def test_presets_of_the_help_and_the_default_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in presets())
    for device, name in (("cpu", "narrow"), ("cuda", "fast")):
        assert train_command.default_preset(torch.device(device)) == name
        assert name in presets()


@pytest.mark.parametrize(("size", "shape"), [("48", (48, 48, 48)), ("33,40,50", (33, 40, 50))])
@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_a_trained_model_generates_files_that_the_metrics_read(
    size: str, shape: tuple[int, int, int], suffix: str, run: Path, tmp_path: Path
) -> None:
    out = tmp_path / f"gen{suffix}"
    command("generate", run, "--size", size, "--seed", 7, "--out", out, "--quiet")
    expected = generate(load_model(run), shape, seed=7)
    # A .npy file holds values alone.
    known = {"phases": {"pore": 0, "ni": 255}, "spacing": 0.5, "unit": "um"}
    volume = read(out, **known) if suffix == ".npy" else read(out)
    assert np.array_equal(volume.labels, expected.labels)
    assert volume.shape == shape
    assert volume.phases == PHASES
    assert volume.spacing == (0.5, 0.5, 0.5)
    assert volume.unit == "um"


def test_a_count_gives_numbered_independent_volumes(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "gen.npy"
    command("generate", run, "--size", 32, "--count", 3, "--out", out)
    files = [tmp_path / f"gen_{index}.npy" for index in range(3)]
    assert capsys.readouterr().out.split() == [str(file) for file in files]
    assert set(tmp_path.glob("*.npy")) == set(files)
    several = [read(file).labels for file in files]
    expected = generate(load_model(run), 32, count=3)
    assert all(np.array_equal(a, b.labels) for a, b in zip(several, expected, strict=True))
    assert not np.array_equal(several[0], several[1])
    command("generate", run, "--size", 32, "--out", out, "--quiet")
    assert np.array_equal(read(out).labels, several[0])
    assert [path.name for path in cli._numbered(Path("gen.tif"), 11)][::10] == [
        "gen_00.tif",
        "gen_10.tif",
    ]


def test_seed_window_and_periodic_axes_are_those_of_the_library(run: Path, tmp_path: Path) -> None:
    def made(*options: str) -> np.ndarray:
        out = tmp_path / "gen.npy"
        command("generate", run, "--out", out, "--quiet", *options)
        return read(out).labels

    model = load_model(run)
    whole = made("--size", "64")
    assert np.array_equal(whole, generate(model, 64, seed=0).labels)
    other = made("--size", "64", "--seed", "1")
    assert np.array_equal(other, generate(model, 64, seed=1).labels)
    assert not np.array_equal(other, whole)
    window = made("--size", "32,30,20", "--origin", "3,20,9")
    assert np.array_equal(window, whole[3:35, 20:50, 9:29])
    below = made("--size", "32", "--origin=-5,0,0")
    assert np.array_equal(below, generate(model, 32, origin=(-5, 0, 0)).labels)
    periodic = made("--size", "64,40,64", "--periodic", "zx")
    assert np.array_equal(periodic, generate(model, (64, 40, 64), periodic="zx").labels)
    assert not np.array_equal(periodic, whole[:, :40])


def test_info_is_strict_json_about_a_run_or_a_file(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command("info", run, "--json")
    text = capsys.readouterr().out
    told = json.loads(text, parse_constant=pytest.fail)
    assert told["generator"]["filters"] == [4, 4, 4, 4]
    weights = load_model(run).generator.parameters()
    assert told["generator"]["weights"] == sum(weight.numel() for weight in weights)
    assert told["material"]["phases"] == [["pore", 0, 0], ["ni", 1, 255]]
    assert told["material"]["unit"] == "um"
    facts = told["facts"]
    assert facts["seed"] == 0
    assert facts["training"]["steps"] == 2
    assert facts["fidelity"]["step"] == 2
    assert facts["data"]["images"] == [str(run.parent / "image.npy")]
    command("info", run / "generator.safetensors", "--json")
    assert capsys.readouterr().out == text


def test_a_converted_generator_is_a_model_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = original.params((4, 8, 8, 3))
    files = original.save(tmp_path, net, original.weights(net))
    out = tmp_path / "nmc.safetensors"
    material = ("--phases", "pore=0,ni=127,ysz=254", "--spacing", "0.5,0.4,0.3", "--unit", "um")
    command("convert", *files, "--out", out, *material)
    assert capsys.readouterr().out == f"{out}\n"
    command("generate", out, "--size", "20,30,25", "--out", tmp_path / "gen.tif", "--quiet")
    phases = {"pore": 0, "ni": 127, "ysz": 254}
    model = convert(*files, phases=phases, spacing=(0.5, 0.4, 0.3), unit="um")
    volume, expected = read(tmp_path / "gen.tif"), generate(model, (20, 30, 25))
    assert np.array_equal(volume.labels, expected.labels)
    assert {phase.name: phase.value for phase in volume.phases} == phases
    assert volume.spacing == (0.5, 0.4, 0.3)
    assert volume.unit == "um"
    capsys.readouterr()
    command("info", out, "--json")
    assert json.loads(capsys.readouterr().out)["generator"]["filters"] == [8, 8]


def test_axes_that_share_an_image_share_a_critic(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = (image_file(tmp_path / f"{name}.npy", seed=seed) for seed, name in enumerate("ab"))
    axes = ("--axis", f"z={a}", f"y={b}", f"x={b}")
    command("train", "--out", tmp_path / "run", *axes, "--flips", "yx", *TINY)
    assert "critics: 2, of slices normal to z; y+x\n" in capsys.readouterr().out
    data = read_record(tmp_path / "run").data
    assert data.images == {"z": (a,), "y": (b,), "x": (b,)}
    assert data.flips == "yx"
    assert len(load_state(tmp_path / "run" / "state.pt")["trainer"]["players"]) == 2
    command("info", tmp_path / "run", "--json")  # of planes at 45 degrees these images say nothing
    json.loads(capsys.readouterr().out, parse_constant=pytest.fail)


def test_an_axis_may_have_several_images_and_options_may_be_repeated(tmp_path: Path) -> None:
    a, b, c = (image_file(tmp_path / f"{name}.npy", seed=seed) for seed, name in enumerate("abc"))
    once = ("--axis", f"z={a}", f"z={b}", f"y={c}", f"x={c}", *TINY)
    settings = [f"--set={setting}" for setting in (*SETTINGS, "training.steps=2")]
    again = (
        *("--axis", f"z={a}", "--axis", f"z={b}", "--axis", f"y={c}", f"x={c}"),
        *("--preset", "tiny", *settings),
    )
    for name, options in (("once", once), ("again", again)):
        command("train", "--out", tmp_path / name, *options, "--quiet")
    record = read_record(tmp_path / "once")
    assert record.data.images == {"z": (a, b), "y": (c,), "x": (c,)}
    assert read_record(tmp_path / "again") == record


@pytest.mark.parametrize(("options", "critics"), [((), 3), (("--isotropic",), 1)])
def test_a_volume_is_learnt_from_its_slices(
    options: tuple[str, ...], critics: int, tmp_path: Path
) -> None:
    body = gaussian_random_field((36, 34, 40), correlation_length=2, seed=0)
    write(body.volume, tmp_path / "body.tif")
    out = tmp_path / "run"
    command("train", tmp_path / "body.tif", "--out", out, *options, *TINY, "--quiet")
    assert len(load_state(out / "state.pt")["trainer"]["players"]) == critics


def test_options_reach_the_run(tmp_path: Path) -> None:
    image = image_file(tmp_path / "image.npy")
    options = ("--steps", "1", "--seed", "5", "--device", "cpu", "--kind", "grey", "--quiet")
    command("train", image, "--out", tmp_path / "run", *TINY, *options)
    record = read_record(tmp_path / "run")
    assert record.config.training.steps == 1  # comes before --set
    assert record.seed == 5
    assert record.data.kind == "grey"
    command("train", "--out", tmp_path / "run", "--resume", "--steps", "3", "--quiet")
    assert load_state(tmp_path / "run" / "state.pt")["trainer"]["step"] == 3


def test_what_a_model_is_fits_four_lines(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command("info", run)
    makes, network, learnt, errors = capsys.readouterr().out.splitlines()
    assert makes == "makes: pore = value 0, ni = value 255; voxels of 0.5 x 0.5 x 0.5 um"
    assert network.startswith("network: transpose, ") and network.endswith(
        "32 voxels a latent site"
    )
    assert learnt == "learnt from: image.npy; step 2 of 2, seed 0, cpu"
    assert errors.startswith("errors against its images: fraction ") and "(good: 0.05)" in errors
    known = load_model(run)
    odd = ('{"images": 5}', '{"images": {"z": {"y": 1}}}', "[1]", "{", '{"images": ["a.png"]}')
    for data in odd:
        facts = {"fidelity": '{"s2": ' + "9" * 401 + "}", "data": data}
        save_model(replace(known, facts=facts), tmp_path / "a.safetensors")
        command("info", tmp_path / "a.safetensors")
        assert len(capsys.readouterr().out.splitlines()) in (2, 3)
    a, b = (image_file(tmp_path / f"{name}.npy", seed=seed) for seed, name in enumerate("ab"))
    axes = ("--axis", f"z={a}", f"y={b}", f"x={b}")
    command("train", "--out", tmp_path / "axes", *axes, *TINY, "--quiet")
    command("info", tmp_path / "axes")
    assert "learnt from: z: a.npy, y: b.npy, x: b.npy; step" in capsys.readouterr().out


def test_training_prints_the_plan_and_the_result_and_quiet_prints_nothing(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = image_file(tmp_path / "image.npy")
    command("train", image, "--out", tmp_path / "loud", *TINY)
    out, err = capsys.readouterr()
    assert "phases: 0 (value 0)" in out and "steps: 2 of the generator" in out
    step, kept, plots, answer, report = out.splitlines()[-5:]
    assert step == f"{tmp_path / 'loud'}: step 2 of 2"
    assert kept.startswith("kept: step 2, fraction ") and plots.startswith("plots: ")
    assert answer.startswith("compared with the images: ") and report.endswith("report.html")
    assert "2/2" in err and "wasserstein" in err  # the progress bar
    command("train", image, "--out", tmp_path / "still", *TINY, "--quiet")
    command("generate", run, "--size", 32, "--out", tmp_path / "gen.tif", "--quiet")
    assert capsys.readouterr() == ("", "")


def test_module_and_installed_command_are_the_same_program(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, name = project["scripts"]["slicegan"].partition(":")
    assert module == "slicegan.__main__"  # what `python -m slicegan` runs
    assert callable(getattr(importlib.import_module(module), name))
    monkeypatch.setenv("COLUMNS", "80")
    for argument in ("--help", "nonsense"):
        with pytest.raises(SystemExit) as left:
            main([argument])
        here = capsys.readouterr()
        there = subprocess.run(
            [sys.executable, "-m", "slicegan", argument], cwd=ROOT, capture_output=True, text=True
        )
        assert (there.returncode, there.stdout, there.stderr) == (left.value.code, *here)


def test_the_command_is_quick_to_help() -> None:
    """PyTorch, which takes seconds to load, is not loaded for ``--help``."""
    code = "import sys, slicegan.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_pages_of_a_tiff_are_images_of_their_own(tmp_path: Path) -> None:
    images = [np.load(image_file(tmp_path / "a.npy", seed=seed)) for seed in range(3)]
    tifffile.imwrite(tmp_path / "pages.tif", np.array(images, np.uint8), photometric="minisblack")
    out = tmp_path / "run"
    command("train", tmp_path / "pages.tif", "--pages", "--out", out, *TINY, "--quiet")
    assert read_record(out).data.pages
    run = Run.resume(out, device=torch.device("cpu"))
    assert [tuple(image.shape) for image in run.data.sources[0].images] == 3 * [(1, 40, 40)]
    assert [file.images for file in run.data.files] == [3]


def test_ctrl_c_while_libraries_are_imported_leaves_no_traceback() -> None:
    code = """
import builtins, os, signal
real = builtins.__import__
def interrupted(name, *args, **kwargs):
    if name == "slicegan.cli":
        os.kill(os.getpid(), signal.SIGINT)
    return real(name, *args, **kwargs)
from slicegan.__main__ import main
builtins.__import__ = interrupted
main()
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


def test_facts_that_are_nested_too_deep_are_shown_as_they_are(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load_model(run)
    deep = "[" * 10**5 + "]" * 10**5
    save_model(replace(model, facts={"deep": deep}), tmp_path / "deep.safetensors")
    command("info", tmp_path / "deep.safetensors", "--json")
    assert json.loads(capsys.readouterr().out)["facts"] == {"deep": deep}


def test_volumes_go_into_a_data_set_or_a_folder(run: Path, tmp_path: Path) -> None:
    for out in (f"{tmp_path}/gen.h5:/first", f"{tmp_path}/slices"):
        command("generate", run, "--size", "32", "--out", out, "--quiet")
        assert read(out).shape == (32, 32, 32)
