"""Tiles of the unbounded volume: they agree with the network evaluated at once, and fit memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import INNER, LAST, random_generator, small_model

from metrics.volume import Volume
from slicegan import field
from slicegan.checkpoint import Model
from slicegan.config import GeneratorConfig, Layer
from slicegan.field import Field, activation_bytes, tile_side
from slicegan.generation import generate
from slicegan.latent import fine_noise, latent_noise
from slicegan.networks import Generator

# Two hidden layers, whose fine noise has one and two sites a latent site.
NOISY = small_model(filters=(8, 6), layers=(Layer(3, 1, 2), INNER, LAST), fine_noise=1.0)
MODELS = {"transpose": small_model(), "resize": small_model("resize"), "noisy": NOISY}
FIRST, SITES = -4, 16  # latent sites of the reference volume, along each axis


def at_once(
    generator: Generator, noise: np.ndarray, fine: tuple[np.ndarray, ...] = ()
) -> np.ndarray:
    """Labels of the network called directly, in its usual memory layout."""
    with torch.no_grad():
        values = generator(
            torch.from_numpy(np.ascontiguousarray(noise))[None].double(),
            [torch.from_numpy(level)[None, None].double() for level in fine],
        )
    return values[0].argmax(0).numpy().astype(np.uint8)


# A layer of kernel 3 and padding 2 makes 14 sites of 16, one of kernel 4 and stride 2 then 26.
FINE = tuple(
    fine_noise(level, (first,) * 3, (size,) * 3, seed=5)
    for level, (first, size) in enumerate([(FIRST, 14), (2 * FIRST, 26)])
)
WHOLE = {
    kind: at_once(
        model.generator,
        latent_noise(4, (FIRST,) * 3, (SITES,) * 3, seed=5),
        FINE if kind == "noisy" else (),
    )
    for kind, model in MODELS.items()
}


def set_tile(patch: pytest.MonkeyPatch, model: Model, side: int) -> None:
    """Make tiles of that many voxels a side."""
    patch.setattr(field, "TILE_BYTES", activation_bytes(model.generator, side))
    assert tile_side(model.generator) == side


@settings(max_examples=20)
@given(
    kind=st.sampled_from(sorted(MODELS)),
    corner=st.tuples(*[st.integers(0, 40)] * 3),
    shape=st.tuples(*[st.integers(1, 48)] * 3),
    side=st.sampled_from([4, 8, 12, 20, 64]),
)
def test_any_window_in_any_tiles_is_part_of_the_whole(
    kind: str, corner: tuple[int, int, int], shape: tuple[int, int, int], side: int
) -> None:
    model, whole = MODELS[kind], WHOLE[kind]
    # 1 000 tiles of 4 voxels would take seconds.
    shape = tuple(min(n, 3 * side, 48 - a) for n, a in zip(shape, corner, strict=True))  # type: ignore[assignment]
    origin = tuple(model.generator.stride * FIRST + a for a in corner)
    with pytest.MonkeyPatch.context() as patch:
        set_tile(patch, model, side)
        volume = generate(model, shape, seed=5, origin=origin)
    cut = tuple(slice(a, a + n) for a, n in zip(corner, shape, strict=True))
    np.testing.assert_array_equal(volume.labels, whole[cut])


def test_fine_noise_is_part_of_what_is_made() -> None:
    # Else windows of it would agree whatever it is.
    noise = latent_noise(4, (FIRST,) * 3, (SITES,) * 3, seed=5)
    for level in range(2):
        other = [*FINE]
        other[level] = np.roll(FINE[level], 1, axis=2)
        changed = at_once(NOISY.generator, noise, tuple(other))
        assert (changed != WHOLE["noisy"]).mean() > 0.05


def test_a_generator_that_is_not_dense_has_no_such_windows() -> None:
    # Negative control: with padding 1 the rim of each layer misses a neighbour.
    config = GeneratorConfig(
        latent_channels=4, filters=(8,), layers=(Layer(4, 2, 1),) * 2, channels=3, dense=False
    )
    generator = random_generator(config)
    noise = latent_noise(4, (0, 0, 0), (8, 8, 8), seed=5)
    part, whole = at_once(generator, noise[:, 2:]), at_once(generator, noise)
    assert part.shape[0] == 24
    assert (part != whole[8:]).any()


def test_tiles_of_float32_differ_in_ties_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model()
    model.generator.float()
    seen = []
    for side in (8, 20, 64):
        set_tile(monkeypatch, model, side)
        seen.append(generate(model, 60, seed=2).labels)
    latent = model.generator.latent(60)
    noise = latent_noise(4, (0, 0, 0), (latent,) * 3, seed=2)
    with torch.no_grad():
        values = model.generator.double()(torch.from_numpy(noise.copy())[None].double())[0].numpy()
    best, second = -np.sort(-values, axis=0)[:2, :60, :60, :60]
    tie = best - second < 1e-5  # in probability; float32 has 24 bits
    for labels in seen[1:]:
        assert not ((labels != seen[0]) & ~tie).any()
    assert tie.mean() < 1e-3  # else the line above says nothing


@pytest.mark.parametrize(
    ("config", "side"),
    [
        (GeneratorConfig(), 128),
        (GeneratorConfig(filters=(64, 48, 32, 24)), 192),
        (GeneratorConfig(kind="resize", layers=(INNER,) * 4), 64),
    ],
)
def test_tiles_fit_the_memory(config: GeneratorConfig, side: int) -> None:
    with torch.device("meta"):
        generator = Generator(config)
    assert tile_side(generator) == side
    assert activation_bytes(generator, side) <= field.TILE_BYTES
    assert activation_bytes(generator, side + generator.stride) > field.TILE_BYTES


def test_a_layer_needs_its_input_and_twice_its_output() -> None:
    # 4 sites of 4 numbers, 6 of 8, 8 of 3: the first layer holds the most, by hand.
    assert activation_bytes(small_model().generator, 8) == 4 * (6**3 * 8 + 2 * 8**3 * 3)
    # 4 sites of 4, 6 of 8, 12 interpolated of 8, with and without rim.
    assert activation_bytes(small_model("resize").generator, 8) == 4 * (6**3 * 8 + 2 * 12**3 * 8)


def test_even_the_smallest_tile_may_exceed_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field, "TILE_BYTES", 1)
    model = small_model()
    assert tile_side(model.generator) == model.generator.stride
    assert isinstance(generate(model, 6), Volume)


@settings(max_examples=20)
@given(start=st.integers(-50, 50), size=st.integers(1, 100), side=st.sampled_from([4, 8, 20]))
def test_tiles_cover_the_window_and_begin_at_sites(start: int, size: int, side: int) -> None:
    window = ((start, start + size), (0, 1), (0, 1))
    periods = (None, None, None)
    tiles, *_ = Field(MODELS["transpose"].generator, "phases", 0, 0, window, periods, side).tiles()
    assert [v for span in tiles for v in range(*span)] == list(range(start, start + size))
    assert max(stop - first for first, stop in tiles) <= side
    # Else a tile would need one more site, and throw away most of what that makes.
    assert all(first % 4 == 0 for first, _ in tiles[1:])
