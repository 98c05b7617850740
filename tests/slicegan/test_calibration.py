"""Calibration: fractions as wanted, on noise that it has not seen, and nothing else changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import ANODE, INNER, LAST, random_generator

import slicegan
from metrics.volume import InputError, Volume
from slicegan.calibration import calibrate, image_fractions, offsets, waves
from slicegan.checkpoint import Model, load_model, save_model
from slicegan.config import GeneratorConfig, Material
from slicegan.data import TrainingData
from slicegan.networks import Generator
from slicegan.places import lattice
from slicegan.sources import Source

WANTED = (0.6, 0.15, 0.25)


@pytest.fixture(scope="module")
def model() -> Model:
    config = GeneratorConfig(
        latent_channels=4, filters=(12, 8), layers=(INNER, INNER, LAST), channels=3
    )
    return Model(random_generator(config).float(), ANODE, {})


def fractions(model: Model, seeds: range = range(50, 90)) -> np.ndarray:
    volumes: list[Volume] = [slicegan.generate(model, 32, seed=seed) for seed in seeds]
    return np.mean([[np.mean(v.labels == k) for k in v.phase_labels] for v in volumes], axis=0)


def test_volumes_are_as_exact_as_those_that_generate_makes(model: Model) -> None:
    seen = []

    def note(*_: object) -> None:
        flags = torch.backends.cudnn
        seen.append((flags.enabled, flags.deterministic, flags.allow_tf32))

    handle = model.generator.convs[0].register_forward_hook(note)
    try:
        calibrate(model, WANTED, volumes=2)
        slicegan.generate(model, 32)
    finally:
        handle.remove()
    assert seen == [(True, True, False)] * 3
    assert torch.backends.cudnn.allow_tf32  # afterwards as before


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("wanted", [(0.5, 0.5), (0.9, 0.1), WANTED, (0.1, 0.2, 0.3, 0.4)])
def test_offsets_give_each_phase_its_share(wanted: tuple[float, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=5, size=(len(wanted), 20_000)).astype(np.float32)
    logits += rng.normal(size=(len(wanted), 1)).astype(np.float32)
    moved = offsets(logits, np.array(wanted))
    found = np.bincount((logits + moved[:, None]).argmax(0)) / logits.shape[1]
    assert found == pytest.approx(wanted, abs=1e-4)  # two voxels
    assert moved.sum() == pytest.approx(0, abs=1e-5)


def test_volumes_have_the_wanted_fractions(model: Model) -> None:
    found = fractions(calibrate(model, WANTED, volumes=32))
    assert abs(fractions(model) - WANTED).max() > 0.1
    # 40 volumes of 32^3, of correlated voxels: the deviation of their mean is about 0.005.
    assert found == pytest.approx(WANTED, abs=0.02)


def test_calibrated_again_it_stays(model: Model) -> None:
    once = calibrate(model, WANTED, volumes=8)
    twice = calibrate(once, WANTED, volumes=8)
    moved = twice.generator.offset - once.generator.offset
    assert abs(moved).max() < 1e-3
    for name, weight in model.generator.state_dict().items():
        if "num_batches" not in name:
            assert torch.equal(twice.generator.state_dict()[name], weight)


def test_the_offset_is_stored_with_the_weights(model: Model, tmp_path: Path) -> None:
    calibrated = calibrate(model, WANTED, volumes=4)
    save_model(calibrated, tmp_path / "a.safetensors", half=True)
    back = load_model(tmp_path / "a.safetensors")
    assert back.generator.config.calibrated
    assert torch.equal(back.generator.offset, calibrated.generator.offset)


def test_probabilities_follow(model: Model) -> None:
    calibrated = calibrate(model, WANTED, volumes=4)
    noise = torch.randn(1, 4, 3, 3, 3)
    logits = model.generator.logits(noise) + calibrated.generator.offset[:, None, None, None]
    assert torch.allclose(calibrated.generator(noise), logits.softmax(1), atol=1e-6)


def test_every_place_gets_the_wanted_fractions(model: Model) -> None:
    calibrated = calibrate(model, WANTED, volumes=256, places=4)
    assert calibrated.generator.config.places == 4
    assert spread(model) > 0.3
    # 256 volumes of 16^3 hold each place 16,384 times: .15 is set to 1.9 % of itself.
    assert spread(calibrated) < 0.03
    assert fractions(calibrated) == pytest.approx(WANTED, abs=0.02)
    # Set once more, as a whole, it keeps its places.
    again = calibrate(calibrated, (0.2, 0.5, 0.3), volumes=64)
    moved = again.generator.offset - calibrated.generator.offset
    assert torch.allclose(moved, moved[:, :1, :1, :1], atol=1e-6)
    assert fractions(again) == pytest.approx((0.2, 0.5, 0.3), abs=0.02)


def spread(model: Model) -> float:
    """Lattice of a generator at period 4, over volumes of fresh seeds."""
    return lattice([slicegan.generate(model, 32, seed=seed) for seed in range(100, 164)], 4).worst


def test_numbers_between_places_are_interpolated_around_the_stride(model: Model) -> None:
    offset = torch.zeros(3, 4, 4, 4)
    offset[0, 0], offset[0, 2] = 1.0, -1.0  # the middles of these places are voxels 0.5 and 4.5
    along_z = planted(model, offset).generator._offset_at((16, 2, 2))[0, :, 1, 1].tolist()
    period = [0.75, 0.75, 0.25, -0.25, -0.75, -0.75, -0.25, 0.25]
    assert along_z == pytest.approx(2 * period)


def test_a_wave_as_long_as_the_stride_is_taken_off(model: Model) -> None:
    z = torch.cos(torch.arange(4) * torch.pi / 2)
    offset = torch.zeros(3, 4, 4, 4)
    offset[0] = z[:, None, None] + z[None, :, None]
    wavy = planted(model, offset)
    assert waves(wavy) == {"places": 4, "pitch": 2}
    calibrated = calibrate(wavy, WANTED, volumes=256, **waves(wavy))
    assert wave(wavy) > 0.05
    # Four numbers along a wave leave 27 % of it, and chance leaves .003.
    assert wave(calibrated) < 0.35 * wave(wavy)
    assert fractions(calibrated) == pytest.approx(WANTED, abs=0.02)
    # Set again, as a whole, on the same volumes, it moves by rounding to 16 bits and the sampling.
    again = calibrate(calibrated, WANTED, volumes=256)
    moved = again.generator.offset - calibrated.generator.offset
    assert abs(moved).max() < 0.02 * abs(offset).max()


def planted(model: Model, offset: torch.Tensor) -> Model:
    """The model with these numbers at 4^3 places of 2^3 voxels."""
    config = replace(model.generator.config, calibrated=True, places=4, pitch=2)
    generator = Generator(config)
    generator.load_state_dict(model.generator.state_dict() | {"offset": offset})
    return replace(model, generator=generator.eval())


def wave(model: Model) -> float:
    """Amplitude along z and y of the wave in the means of the first phase over the stride."""
    volumes = [slicegan.generate(model, 32, seed=seed) for seed in range(100, 164)]
    modes = np.fft.fftn(lattice(volumes, 8).means[0]) / 8**3
    return float(np.hypot(abs(modes[1, 0, 0]), abs(modes[0, 1, 0])))


def test_a_generator_out_of_step_has_no_waves_to_take_off() -> None:
    config = GeneratorConfig(
        kind="resize", filters=(4,), layers=(INNER,), upsampling=1.5, dense=False
    )
    model = Model(random_generator(config), Material("phases", ANODE.phases[:2]), {})
    assert waves(model) == {}


@pytest.mark.parametrize(("places", "pitch"), [(4, 1), (4, 2), (2, 4)])
def test_windows_of_a_model_calibrated_by_place_agree_with_the_whole(
    model: Model, tmp_path: Path, places: int, pitch: int
) -> None:
    calibrated = calibrate(model, WANTED, volumes=8, places=places, pitch=pitch)
    save_model(calibrated, tmp_path / "a.safetensors")
    back = load_model(tmp_path / "a.safetensors")
    whole = slicegan.generate(back, 48, seed=1).labels
    part = slicegan.generate(back, (20, 30, 17), seed=1, origin=(5, 9, 23)).labels
    assert np.array_equal(part, whole[5:25, 9:39, 23:40])


def test_places_that_a_generator_does_not_have_are_refused(model: Model) -> None:
    with pytest.raises(InputError, match="places=3 times pitch=1 must divide the stride, 8 voxels"):
        calibrate(model, WANTED, volumes=1, places=3)
    with pytest.raises(InputError, match=r"set at 4\^3 places, 1 voxels apart"):
        calibrate(calibrate(model, WANTED, volumes=1, places=4), WANTED, volumes=1, places=8)


def test_fractions_of_the_images() -> None:
    first = torch.tensor([[[0, 0, 0, 1]]], dtype=torch.uint8)
    second = torch.tensor([[[1, 1]], [[1, 0]]], dtype=torch.uint8)
    sources = (Source(("z",), (first,), 2), Source(("y", "x"), (second,), 2))
    data = TrainingData(Material("phases", ANODE.phases[:2]), sources, False, ())
    assert image_fractions(data) == pytest.approx([(0.75 + 2 * 0.25) / 3, (0.25 + 2 * 0.75) / 3])


@pytest.mark.parametrize("wanted", [(0.5, 0.5), (0.5, 0.5, 0.5), (0.0, 0.5, 0.5)])
def test_impossible_fractions_are_refused(model: Model, wanted: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="a positive fraction for each phase"):
        calibrate(model, wanted, volumes=1)


def test_intensities_have_no_fractions() -> None:
    config = GeneratorConfig(filters=(4,), layers=(INNER, LAST), channels=1, output="tanh")
    grey = Model(random_generator(config), Material("grey"), {})
    with pytest.raises(InputError, match="grey model has no volume fractions"):
        calibrate(grey, (1.0,), volumes=1)
