"""What generate returns: windows, periods, seeds and phases; and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from refusing import refusal
from small_models import ANODE, INNER, LAST, random_generator, small_model

from metrics.volume import InputError, Phase, Volume
from slicegan import generation
from slicegan.checkpoint import Model, save_model
from slicegan.config import GeneratorConfig, Layer, Material
from slicegan.generation import generate, stream
from slicegan.latent import fine_noise, latent_noise

MODEL = small_model()
RESIZE = small_model("resize")
NOISY = small_model(filters=(8, 6), layers=(Layer(3, 1, 2), INNER, LAST), fine_noise=1.0)
GREY = small_model(material=Material("grey"))
COLOUR = small_model(material=Material("colour"))
# As the original's resize nets at 4 latent sites: 10 -> 18 voxels.
CONVERTED = small_model("resize", layers=(INNER, INNER), filters=(8, 8), upsampling=1.8)


def test_labels_come_back_as_the_material() -> None:
    volume = generate(MODEL, (9, 10, 11), seed=4)
    assert isinstance(volume, Volume)
    assert volume.shape == (9, 10, 11)
    assert volume.labels.dtype == np.uint8
    assert (volume.spacing, volume.unit, volume.phases) == (ANODE.spacing, "um", ANODE.phases)
    assert set(np.unique(volume.labels)) == {0, 1, 2}


def test_a_phase_that_does_not_occur_stays_a_phase() -> None:
    assert generate(MODEL, 1).phases == ANODE.phases


@pytest.mark.parametrize(("model", "shape"), [(GREY, (12, 9, 7)), (COLOUR, (12, 9, 7, 3))])
def test_intensities_are_rounded_bytes(model: Model, shape: tuple[int, ...]) -> None:
    values = generate(model, (12, 9, 7), seed=1)
    assert values.shape == shape
    assert values.dtype == np.uint8
    sites = model.generator.latent(12)
    noise = latent_noise(4, (0, 0, 0), (sites,) * 3, seed=1)
    with torch.no_grad():
        exact = model.generator(torch.from_numpy(noise.copy())[None].double())[0, :, :12, :9, :7]
    exact = exact.movedim(0, -1).numpy().reshape(*shape[:3], -1).squeeze()
    # Half a level, plus the noise of float64.
    assert np.abs(values - 255 * exact).max() <= 0.5 + 1e-9
    assert np.ptp(values) > 50


@pytest.mark.parametrize("model", [MODEL, RESIZE, GREY, COLOUR, NOISY])
def test_periodic_volumes_have_no_seam(model: Model) -> None:
    # The network itself across the seam: three periods of noise, two and more of voxels.
    n, period = 16, 16 // model.generator.stride
    cell = generate(model, n, seed=2, periodic="zyx")
    noise = latent_noise(4, (0, 0, 0), (period,) * 3, seed=2)
    wide = np.ascontiguousarray(np.tile(noise, (1, 3, 3, 3)))
    generator = model.generator
    fine = []
    for level, (pitch, size) in enumerate(
        zip(generator.fine_pitches(), generator.fine_sizes(3 * period), strict=True)
    ):
        once = fine_noise(level, (0, 0, 0), (pitch * period,) * 3, seed=2)
        fine.append(torch.from_numpy(np.tile(once, (3, 3, 3))[:size, :size, :size])[None, None])
    with torch.no_grad():
        latent = torch.from_numpy(wide)[None].double()
        values = generator(latent, [level.double() for level in fine])[0].numpy()
    if isinstance(cell, Volume):
        cell, across = cell.labels, values.argmax(0)
    else:
        across = np.squeeze(np.moveaxis((255 * values).round().astype(np.uint8), 0, -1))
    m = across.shape[0]
    assert m > n + 4  # beyond the seam
    tiled = np.tile(cell, (3, 3, 3, 1)[: cell.ndim])[:m, :m, :m]
    np.testing.assert_array_equal(tiled, across)
    # Negative control: without the last voxel of each axis, as the original crops, it has a seam.
    cropped = np.tile(cell[:-1, :-1, :-1], (3, 3, 3, 1)[: cell.ndim])[:m, :m, :m]
    assert (cropped != across[: len(cropped), : len(cropped), : len(cropped)]).mean() > 0.1


@pytest.mark.parametrize("model", [MODEL, NOISY])
@pytest.mark.parametrize("periodic", ["z", "yx", "xz"])
def test_only_the_named_axes_are_periodic(periodic: str, model: Model) -> None:
    volume = generate(model, (8, 16, 12), seed=3, periodic=periodic).labels
    for axis, name in enumerate("zyx"):
        shift = np.eye(3, dtype=int)[axis] * 4
        moved = generate(model, (8, 16, 12), seed=3, periodic=periodic, origin=shift).labels
        rolled = np.roll(volume, -4, axis)
        assert (moved == rolled).all() == (name in periodic)


def test_all_axes_may_be_given_as_true() -> None:
    volumes = [generate(MODEL, 8, periodic=axes).labels for axes in (True, "zyx", "xyz")]
    assert all((volume == volumes[0]).all() for volume in volumes)


def test_a_seed_repeats_and_seeds_and_indices_differ() -> None:
    once, again, other = (generate(MODEL, 12, seed=seed).labels for seed in (1, 1, 2))
    np.testing.assert_array_equal(once, again)
    three = generate(MODEL, 12, seed=1, count=3)
    np.testing.assert_array_equal(three[0].labels, once)
    fresh = [volume.labels for volume in three[1:]] + [other]
    for i, volume in enumerate(fresh):
        # Independent three-phase volumes agree in about a third of their voxels.
        assert (volume != once).mean() > 0.5
        assert all((volume != earlier).mean() > 0.5 for earlier in fresh[:i])


def test_the_global_random_state_is_left_alone() -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index, union-attr]  # noqa: NPY002
    generate(MODEL, 5)
    assert torch.equal(states[0], torch.get_rng_state())
    np.testing.assert_array_equal(states[1], np.random.get_state()[1])  # type: ignore[index]  # noqa: NPY002


def test_the_callers_generator_is_left_alone() -> None:
    model = small_model()
    model.generator.train()
    before = {name: tensor.clone() for name, tensor in model.generator.state_dict().items()}
    volume = generate(model, 12, seed=4)
    np.testing.assert_array_equal(volume.labels, generate(MODEL, 12, seed=4).labels)
    assert model.generator.training
    for name, tensor in model.generator.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_a_model_may_be_its_file(tmp_path: Path) -> None:
    model = small_model()
    model.generator.float()
    save_model(model, tmp_path / "m.safetensors")
    volume = generate(tmp_path / "m.safetensors", 12, seed=4, device="cpu")
    np.testing.assert_array_equal(volume.labels, generate(model, 12, seed=4).labels)
    assert volume.phases == (Phase("pore", 0, 0), Phase("ni", 1, 127), Phase("ysz", 2, 254))


def test_progress_counts_voxels_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    generate(MODEL, (10, 10, 20), progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "2.00k/2.00k" in err
    assert "voxel/s" in err
    generate(MODEL, 4)
    assert capfd.readouterr() == ("", "")


def test_a_generator_out_of_step_makes_whole_volumes() -> None:
    assert not CONVERTED.generator.in_step
    volume = generate(CONVERTED, (30, 21, 16), seed=6).labels
    latent = [CONVERTED.generator.latent(n) for n in (30, 21, 16)]
    noise = latent_noise(4, (0, 0, 0), tuple(latent), seed=6)  # type: ignore[arg-type]
    with torch.no_grad():
        values = CONVERTED.generator(torch.from_numpy(noise.copy())[None].double())[0]
    np.testing.assert_array_equal(volume, values.argmax(0)[:30, :21, :16])


THIN_RIM = Model(
    random_generator(
        GeneratorConfig(
            latent_channels=4, filters=(8,), layers=(Layer(4, 2, 1), LAST), channels=3, dense=False
        )
    ),
    ANODE,
    {},
)


@pytest.mark.parametrize("model", [CONVERTED, THIN_RIM])
@pytest.mark.parametrize("options", [{"origin": (0, 4, 0)}, {"periodic": "x"}])
def test_a_generator_whose_tiles_do_not_fit_makes_nothing_else(
    model: Model, options: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match=r"makes only whole volumes.*: leave out origin and perio"):
        generate(model, 16, **options)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "zero size": ({"size": (4, 0, 4)}, r"size must be positive, got \(4, 0, 4\)"),
    "negative size": ({"size": -3}, "size must be positive, got -3"),
    "two sizes": ({"size": (4, 4)}, r"size must be one or three whole numbers, got \(4, 4\)"),
    "fraction": ({"size": 4.5}, "size must be one or three whole numbers, got 4.5"),
    "text": ({"size": "large"}, "size must be one or three whole numbers, got large"),
    "origin": ({"origin": (0, 0)}, r"origin must be one or three whole numbers, got \(0, 0\)"),
    "axis": ({"periodic": "zw"}, "axis must be one of z, y, x, got 'w'"),
    "period": (
        {"size": (8, 10, 8), "periodic": "zy"},
        "size 10 along periodic axis y must be a multiple of 4: use 8 or 12",
    ),
    "short period": ({"size": 3, "periodic": "x"}, "must be a multiple of 4: use 4"),
    "seed": ({"seed": -1}, "seed must be a whole number"),
    "count": ({"count": 0}, "count must be at least 1, got 0"),
    "device": ({"device": "tpu?"}, "unknown device 'tpu\\?': use cpu or cuda"),
    "model": ({"model": "no such model"}, "no model no such model"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_one_line(name: str) -> None:
    options, message = REFUSED[name]
    with pytest.raises(InputError, match=message) as caught:
        generate(**{"model": MODEL, "size": 8, **options})
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("size", [10**8, (1, 10**9, 10**9)])
def test_what_no_memory_holds_is_refused_at_once(size: Any, tmp_path: Path) -> None:
    model = small_model()
    assert "of memory" in refusal(generate, model, size)
    assert "of memory" in refusal(stream, model, tmp_path / "a.npy", size)
    assert "of memory" in refusal(generate, model, 1000, count=10**6)
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(InputError, match="no device 'cuda' on this machine: use cpu"):
        generation.generate(MODEL, 8, device="cuda")
