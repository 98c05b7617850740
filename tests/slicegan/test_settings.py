"""Configs as JSON, from presets and single settings; one line for whatever is wrong."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusing import refusal

from metrics.volume import Phase
from slicegan.config import Config, CriticConfig, GeneratorConfig, Layer, Material, TrainingConfig
from slicegan.networks import Generator, check_layers
from slicegan.settings import from_json, override, preset, presets, to_json

COUNTS = st.integers(1, 10**6)
SIDES = st.integers(1, 64)
LAYERS = st.builds(Layer, SIDES, SIDES, st.integers(0, 64))
GENERATORS = st.builds(
    GeneratorConfig,
    kind=st.sampled_from(["transpose", "resize"]),
    filters=st.lists(COUNTS).map(tuple),
    layers=st.lists(LAYERS).map(tuple),
    leak=st.floats(0, 1),
    upsampling=st.floats(1e-300, 1e300),
    dense=st.booleans(),
)
MATERIALS = st.builds(
    Material,
    kind=st.sampled_from(["phases", "grey", "colour"]),
    phases=st.lists(
        st.builds(Phase, st.text(), st.integers(-9, 9), st.integers(-(2**63), 2**63))
    ).map(tuple),
    spacing=st.tuples(*[st.floats(0, exclude_min=True, allow_infinity=False)] * 3),
    unit=st.text(),
)


@settings(max_examples=20)
@given(generator=GENERATORS, material=MATERIALS)
def test_what_is_written_as_json_is_read_again(
    generator: GeneratorConfig, material: Material
) -> None:
    config = Config(generator=generator)
    assert from_json(to_json(config), Config) == config
    assert from_json(to_json(material).encode(), Material) == material
    layers = from_json(to_json(generator), GeneratorConfig).layers
    assert all(isinstance(layer, Layer) for layer in layers)


def test_what_is_left_out_has_its_default() -> None:
    assert from_json("{}", Config) == Config()
    config = from_json('{"training": {"steps": 7}}', Config)
    assert config.training == replace(TrainingConfig(), steps=7)
    assert config.generator == GeneratorConfig()


def test_the_paper_preset_has_the_documented_numbers() -> None:
    # Kench and Cooper 2021, Table 1; batches, steps and Adam as in its code of December 2020
    # (v1.1), but with twice as many volumes for the generator as for the critics, as in the paper.
    paper = preset("paper")
    assert paper.generator == GeneratorConfig(
        kind="transpose",
        latent_channels=64,
        filters=(512, 256, 128, 64),
        layers=((4, 2, 2), (4, 2, 2), (4, 2, 2), (4, 2, 2), (4, 2, 3)),  # type: ignore[arg-type]
        leak=0.0,
        output="softmax",
        dense=True,
    )
    assert paper.critic == CriticConfig(filters=(64, 128, 256, 512), leak=0.0)
    expected = {
        "loss": "wgan-gp",
        "steps": 5400,
        "critic_steps": 5,
        "critic_volumes": 8,
        "generator_volumes": 16,
        "slices": 0,
        "real_slices": 32,
        "penalty": 10.0,
        "penalty_every": 1,
        "generator_rate": 1e-4,
        "critic_rate": 1e-4,
        "betas": (0.0, 0.9),
        "decay": 1.0,
        "average": 0.0,
        "latent_size": 4,
        "precision": "float32",
    }
    assert {name: getattr(paper.training, name) for name in expected} == expected


@pytest.mark.parametrize("name", presets())
def test_every_preset_makes_volumes_as_large_as_its_slices(name: str) -> None:
    config = preset(name)
    check_layers(config.generator)
    assert config.generator.dense
    generator = Generator(config.generator)
    assert generator.in_step
    assert generator.size(config.training.latent_size) == config.critic.slice_size
    # Relativistic losses pair each generated slice with a real one.
    assert config.training.loss == "wgan-gp" or config.training.real_slices == 0
    assert from_json(to_json(config), Config) == config


def test_an_unknown_preset_is_named_beside_the_known_ones() -> None:
    message = refusal(preset, "papper")
    assert message.startswith("no preset 'papper': there are ")
    assert all(name in message for name in presets())
    assert "no preset '../config'" in refusal(preset, "../config")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Config: Invalid JSON"),
        ("{", "Config: Invalid JSON"),
        ("steps = 3", "Config: Invalid JSON"),
        (b"\xff\xfe", "Config: Invalid JSON"),
        ("[]", "Config: Input should be an object"),
        ('{"trainin": {}}', "trainin: "),
        ('{"training": 5}', "training: Input should be an object, got 5"),
        ('{"training": {"stepz": 1}}', "training.stepz: "),
        ('{"training": {"steps": 0}}', "training.steps: Input should be greater than 0, got 0"),
        ('{"training": {"steps": true}}', "training.steps: Input should be a valid integer"),
        ('{"training": {"steps": 1.0}}', "training.steps: Input should be a valid integer"),
        ('{"training": {"steps": "7"}}', "training.steps: Input should be a valid integer"),
        ('{"training": {"steps": null}}', "training.steps: Input should be a valid integer"),
        ('{"training": {"penalty": -1}}', "training.penalty: Input should be greater than or"),
        ('{"training": {"penalty": NaN}}', "training.penalty: Input should be a finite number"),
        ('{"training": {"critic_rate": Infinity}}', "critic_rate: Input should be a finite"),
        ('{"training": {"loss": "wgan"}}', "training.loss: Input should be 'wgan-gp' or"),
        ('{"training": {"betas": [0.1]}}', "training.betas.1: Field required"),
        ('{"training": {"betas": [0.1, 1.5]}}', "training.betas.1: Input should be less than"),
        ('{"training": {"betas": [0, 0.9, 1]}}', "training.betas"),
        ('{"critic": {"filters": [4, 0]}}', "critic.filters.1: Input should be greater"),
        ('{"generator": {"kind": "rc"}}', "generator.kind: Input should be 'transpose' or"),
        ('{"generator": {"dense": 1}}', "generator.dense: Input should be a valid boolean"),
        ('{"generator": {"layers": [[4, 2]]}}', "generator.layers.0.2: Field required"),
        ('{"generator": {"layers": [[4, 0, 2]]}}', "generator.layers.0.1: Input should be greater"),
        ('{"generator": {"layers": [[4, 2, -1]]}}', "generator.layers.0.2: Input should be gr"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(text: str | bytes, message: str) -> None:
    assert message in refusal(from_json, text, Config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"kind": "rgb"}', "kind: Input should be 'phases', 'grey' or 'colour'"),
        ('{"spacing": [1, 2]}', "spacing.2: Field required"),
        ('{"spacing": [1, 2, 0]}', "spacing.2: Input should be greater than 0"),
        ('{"spacing": [1, 2, Infinity]}', "spacing.2: Input should be a finite number"),
        ('{"phases": [["pore", 0]]}', "phases.0.2: Field required"),
        ('{"phases": [["pore", 0, "1"]]}', "phases.0.2: Input should be a valid integer"),
        ('{"unit": 1}', "unit: Input should be a valid string"),
    ],
)
def test_a_wrong_material_is_named_in_one_line(text: str, message: str) -> None:
    assert message in refusal(from_json, text, Material)


@pytest.mark.parametrize("part", ["generator", "critic", "training"])
def test_every_setting_can_be_overridden(part: str) -> None:
    # With its own value every setting is accepted, and the config stays what it was.
    tree = json.loads(to_json(Config()))
    for item in fields(getattr(Config(), part)):
        setting = f"{part}.{item.name}={json.dumps(tree[part][item.name])}"
        assert override(Config(), [setting]) == Config()


def test_override_changes_what_it_names_and_nothing_else() -> None:
    config = preset("paper")
    settings = ["training.steps = 9", "training.loss=relativistic", "critic.filters=[8, 16]"]
    changed = override(config, settings)
    assert changed.training == replace(config.training, steps=9, loss="relativistic")
    assert changed.critic == replace(config.critic, filters=(8, 16))
    assert changed.generator == config.generator
    assert config == preset("paper")
    assert override(config, []) == config
    assert override(config, ["training.steps=9", "training.steps=8"]).training.steps == 8


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.steps", "expected section.key=value, got 'training.steps'"),
        ("steps=3", "expected section.key=value, got 'steps=3'"),
        ("training.step=3", "no setting training.step: did you mean training.steps?"),
        ("trainig.steps=3", "no setting trainig.steps: did you mean training.steps?"),
        ("training.betas.0=3", "no setting training.betas.0: did you mean training.betas?"),
        ("training.steps=many", "training.steps: Input should be a valid integer"),
        ("training.steps=", "training.steps: Input should be a valid integer"),
        ("training.steps=-1", "training.steps: Input should be greater than 0, got -1"),
        ("training.penalty=NaN", "training.penalty: Input should be a finite number"),
        ("training.loss=1", "training.loss: Input should be 'wgan-gp' or"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(setting: str, message: str) -> None:
    assert message in refusal(override, Config(), [setting])
