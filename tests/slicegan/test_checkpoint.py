"""Models and states of runs: what is written comes back, and nothing else is believed."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from refusing import refusal
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from metrics.volume import InputError, Phase
from slicegan import checkpoint
from slicegan.checkpoint import (
    Model,
    assemble,
    load_model,
    load_state,
    pretrained,
    save_model,
    save_state,
)
from slicegan.config import GeneratorConfig, Layer, Material
from slicegan.networks import Generator, initialise
from slicegan.settings import to_json

CONFIG = GeneratorConfig(
    latent_channels=4, filters=(8, 6), layers=(*[Layer(4, 2, 2)] * 2, Layer(4, 2, 3))
)
RESIZE = replace(CONFIG, kind="resize", layers=CONFIG.layers[:2])
MATERIAL = Material("phases", (Phase("pore", 0, 0), Phase("nickel, Ä", 1, 127)), (0.5, 1, 1), "um")
FACTS = {"image": "snow.png sha256:12", "seed": "3"}
NOISE = torch.randn(1, 4, 4, 4, 4, generator=torch.Generator().manual_seed(1))


def model(config: GeneratorConfig = CONFIG) -> Model:
    """A generator with weights and running statistics of its own."""
    random = torch.Generator().manual_seed(0)
    generator = Generator(config)
    initialise(generator, "he", random)
    for norm in generator.norms:
        norm.running_mean.normal_(generator=random)
        norm.running_var.uniform_(0.5, 2, generator=random)
    return Model(generator.eval(), MATERIAL, FACTS)


def output(made: Model) -> torch.Tensor:
    with torch.no_grad():
        return made.generator(NOISE)


@pytest.mark.parametrize("config", [CONFIG, RESIZE, replace(RESIZE, upsampling=66 / 34)])
def test_a_model_comes_back_as_it_was(config: GeneratorConfig, tmp_path: Path) -> None:
    made = model(config)
    save_model(made, tmp_path / "a.safetensors")
    again = load_model(tmp_path / "a.safetensors")
    assert torch.equal(output(again), output(made))
    assert again.generator.config == config
    assert (again.material, again.facts) == (MATERIAL, FACTS)
    assert not again.generator.training
    assert {tensor.dtype for tensor in again.generator.parameters()} == {torch.float32}


def test_the_file_holds_what_inference_needs_and_no_more(tmp_path: Path) -> None:
    save_model(model(), tmp_path / "a.safetensors")
    names = {name.split(".", 2)[2] for name in load_file(tmp_path / "a.safetensors")}
    assert names == {"weight", "bias", "running_mean", "running_var"}
    weights = sum(tensor.nbytes for tensor in load_file(tmp_path / "a.safetensors").values())
    # 4 bytes for each weight of the three layers, and for four numbers of each normalised channel.
    assert weights == 4 * (64 * (4 * 8 + 8 * 6 + 6 * 2) + 4 * (8 + 6))


def test_weights_in_the_memory_layout_of_training_are_saved(tmp_path: Path) -> None:
    made = model()
    made.generator.to(memory_format=torch.channels_last_3d)
    assert not made.generator.convs[0].weight.is_contiguous()
    save_model(made, tmp_path / "a.safetensors")
    again = load_model(tmp_path / "a.safetensors")
    assert torch.equal(again.generator.convs[0].weight, made.generator.convs[0].weight)


def test_half_precision_halves_the_weights_and_keeps_the_statistics(tmp_path: Path) -> None:
    made = model()
    extremes = torch.tensor([1e-9, 1e6, 70_000.0, 1e-30, 1, 2, 3, 4])
    made.generator.norms[0].running_var.copy_(extremes)
    save_model(made, tmp_path / "half.safetensors", half=True)
    stored = load_file(tmp_path / "half.safetensors")
    kinds = {name: tensor.dtype for name, tensor in stored.items()}
    assert {kinds[name] for name in kinds if name.startswith("convs")} == {torch.float16}
    assert {kinds[name] for name in kinds if name.startswith("norms")} == {torch.float32}
    again = load_model(tmp_path / "half.safetensors").generator
    assert torch.equal(again.norms[0].running_var, extremes)
    for new, old in zip(again.convs, made.generator.convs, strict=True):
        assert new.weight.dtype == torch.float32
        # float16 has 11 bits, so rounds by 2^-11 of a number; the least normal one is 6e-5.
        assert torch.allclose(new.weight, old.weight, rtol=2**-11, atol=2**-25)
        assert not torch.equal(new.weight, old.weight)


def test_a_model_is_found_by_file_run_folder_or_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped, run = tmp_path / "shipped", tmp_path / "run"
    shipped.mkdir()
    run.mkdir()
    monkeypatch.setattr(checkpoint, "PRETRAINED", shipped)
    monkeypatch.chdir(tmp_path)
    assert pretrained() == []
    for path, origin in (
        (shipped / "snow.safetensors", "shipped"),
        (shipped / "berea.safetensors", "shipped"),
        (run / "generator.safetensors", "run"),
        (run / "last.safetensors", "file"),
    ):
        save_model(replace(model(), facts={"origin": origin}), path)
    (shipped / "snow.md").touch()
    assert pretrained() == ["berea", "snow"]
    for source in ("snow", "run", run, "run/last.safetensors", str(run / "last.safetensors")):
        expected = {"snow": "shipped", "run": "run"}.get(Path(source).name, "file")
        assert load_model(source).facts["origin"] == expected
    # The user's own run of that name is not shadowed, nor does another folder hide the shipped.
    Path("snow").mkdir()
    assert load_model("snow").facts["origin"] == "shipped"
    save_model(replace(model(), facts={"origin": "run"}), "snow/generator.safetensors")
    assert load_model("snow").facts["origin"] == "run"


def test_a_missing_model_is_named_with_what_would_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "PRETRAINED", tmp_path)
    save_model(model(), tmp_path / "snow.safetensors")
    message = refusal(load_model, "ice")
    assert message == "no model ice: give a run folder, a .safetensors file, or one of snow"
    # A path is no name, even if it ends in one.
    assert "no model elsewhere/snow" in refusal(load_model, "elsewhere/snow")
    (tmp_path / "run").mkdir()
    assert "no generator.safetensors in this folder" in refusal(load_model, tmp_path / "run")


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Bytes of a good file."""
    path = tmp_path_factory.mktemp("model") / "a.safetensors"
    save_model(model(), path)
    return path.read_bytes()


@settings(max_examples=20)
@given(data=st.data())
def test_a_file_cut_anywhere_is_refused(
    data: st.DataObject, content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("cut") / "a.safetensors"
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    assert refusal(load_model, path).startswith(f"{path}: cannot be read")


@settings(max_examples=20)
@given(data=st.data())
def test_a_changed_header_is_refused_or_harmless(
    data: st.DataObject, content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("changed") / "a.safetensors"
    (length,) = struct.unpack("<Q", content[:8])
    place = data.draw(st.integers(0, 8 + length - 1))
    spoilt = bytearray(content)
    spoilt[place] = data.draw(st.integers(0, 255))
    path.write_bytes(spoilt)
    try:
        load_model(path)
    except InputError as error:
        assert str(error).startswith(f"{path}: ")  # any other exception fails


@pytest.mark.parametrize(
    "bytes_",
    [
        b"",
        b"not a model at all",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 10**6) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 4) + b"\xff\xfe\x00\x00",
    ],
)
def test_files_of_another_kind_are_refused(bytes_: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(bytes_)
    assert refusal(load_model, path).startswith(f"{path}: cannot be read")


def rewritten(
    path: Path, weights: dict[str, torch.Tensor] | None = None, **metadata: str | None
) -> Path:
    """Good file of an earlier version, without checksum, with other weights or metadata.

    None leaves an entry out.
    """
    save_model(model(), path)
    with safe_open(path, framework="pt") as file:
        entries = {**file.metadata(), "sha256": None, **metadata}
    stored = load_file(path) | (weights or {})
    save_file(stored, path, metadata={name: text for name, text in entries.items() if text})
    return path


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"format": None}, "not a generator of format slicegan-generator/1, but None"),
        ({"format": "slicegan-generator/2"}, "but slicegan-generator/2"),
        ({"generator": None}, "GeneratorConfig: Invalid JSON"),
        ({"generator": '{"colour": 1}'}, "colour: "),
        ({"generator": to_json(replace(CONFIG, filters=(8, 7)))}, "convs.1.weight is (8, 6, 4"),
        ({"generator": to_json(replace(CONFIG, filters=(8,)))}, "needs 2 filters, got 1"),
        ({"generator": to_json(replace(CONFIG, filters=(8, 10**9)))}, "convs.1.weight is (8, 6"),
        ({"generator": to_json(replace(CONFIG, filters=(8, 10**18)))}, "cannot be read"),
        ({"generator": to_json(RESIZE)}, "convs.2.weight is (6, 2, 4, 4, 4), its layers ask for"),
        ({"generator": to_json(replace(CONFIG, layers=[Layer(10**9, 3, 0)] * 3))}, "equal to 64"),
        ({"generator": to_json(replace(CONFIG, layers=[Layer(64, 3, 0)] * 3))}, "the nearest"),
        ({"material": "{}"}, "makes 2 channels, its material (phases) has 0"),
        ({"material": '{"kind": "rgb"}'}, "kind: Input should be"),
        ({"facts": "[1]"}, "should be"),
        ({"facts": '{"seed": {"a": 1}}'}, "seed: Input should be"),
    ],
)
def test_metadata_that_does_not_fit_is_refused(
    metadata: dict[str, str | None], message: str, tmp_path: Path
) -> None:
    path = rewritten(tmp_path / "a.safetensors", **metadata)
    found = refusal(load_model, path)
    assert found.startswith(f"{path}: ")
    assert message in found


@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=30, deadline=None)
def test_no_bit_changes_unnoticed(
    where: float, bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "a.safetensors"
    save_model(model(), path)
    content, wanted = bytearray(path.read_bytes()), load_model(path)
    content[int(where * len(content))] ^= 1 << bit
    path.write_bytes(content)
    try:
        found = load_model(path)
    except InputError:
        return
    # Of what is not weights, spaces of the header alone may change.
    assert torch.equal(output(found), output(wanted))
    assert (found.material, found.facts) == (wanted.material, wanted.facts)


def test_weights_that_do_not_fit_or_are_not_finite_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    message = refusal(load_model, rewritten(path, {"extra": torch.zeros(2)}))
    assert "weight extra is (2,), its layers ask for none" in message
    nan = torch.full((8,), torch.nan)
    message = refusal(load_model, rewritten(path, {"norms.0.running_var": nan}))
    assert "norms.0.running_var is not finite" in message
    weights = load_file(path)
    del weights["norms.1.bias"]
    assert "norms.1.bias is missing" in refusal(assemble, CONFIG, weights)


def test_weights_that_could_not_be_read_again_are_not_written(tmp_path: Path) -> None:
    made = model()
    save_model(made, tmp_path / "a.safetensors")
    before = (tmp_path / "a.safetensors").read_bytes()
    made.generator.convs[0].weight.data[0, 0, 0, 0, 0] = 1e5  # float16 ends at 65504
    message = refusal(save_model, made, tmp_path / "a.safetensors", half=True)
    assert "convs.0.weight is not finite" in message
    assert (tmp_path / "a.safetensors").read_bytes() == before
    save_model(made, tmp_path / "a.safetensors")
    assert load_model(tmp_path / "a.safetensors").generator.convs[0].weight.max() == 1e5


def test_a_material_must_have_a_phase_for_each_channel() -> None:
    three = replace(CONFIG, channels=3)
    assert "makes 3 channels" in refusal(Model, Generator(three), MATERIAL, {})


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Any, path: Path) -> None:
        path.write_text("half of it")
        raise OSError(28, "No space left on device")

    def half(path: Path, _: Any) -> None:
        full(_, path)

    path = tmp_path / "a.safetensors"
    save_model(model(), path)
    state = tmp_path / "state.pt"
    save_state({"step": 1}, state)
    monkeypatch.setattr(Path, "write_bytes", half)
    monkeypatch.setattr(torch, "save", full)
    assert "No space left on device" in refusal(save_model, replace(model(), facts={}), path)
    assert "No space left on device" in refusal(save_state, {"step": 2}, state)
    assert load_model(path).facts == FACTS
    assert load_state(state) == {"step": 1}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.safetensors", "state.pt"]


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    for save, what in ((save_model, model()), (save_state, {})):
        assert "cannot be written" in refusal(save, what, tmp_path / "none" / "file")
