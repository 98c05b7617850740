"""Noise as a function of position: windows agree, values are normal and independent."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.volume import InputError
from slicegan.latent import fine_noise, latent_noise


def site_by_site(
    channels: int, start: tuple[int, ...], shape: tuple[int, ...], seed: int, index: int
) -> np.ndarray:
    """Independent twin: a generator of its own for every site."""
    noise = np.empty((channels, *shape), np.float32)
    for offset in np.ndindex(*shape):
        z, y, x = (int(i) + first for i, first in zip(offset, start, strict=True))
        counter = sum((n % 2**64) << shift for n, shift in ((x, 64), (y, 128), (z, 192)))
        bits = np.random.Philox(key=seed + (index << 64), counter=counter)
        values = np.random.Generator(bits).standard_normal(channels, dtype=np.float32)
        noise[:, *offset] = values
    return noise


starts = st.tuples(*[st.integers(-(2**40), 2**40)] * 3)
shapes = st.tuples(*[st.integers(1, 3)] * 3)
keys = st.integers(0, 2**64 - 1)


@settings(max_examples=20)
@given(channels=st.integers(1, 5), start=starts, shape=shapes, seed=keys, index=keys)
def test_every_site_has_a_generator_of_its_own(
    channels: int,
    start: tuple[int, int, int],
    shape: tuple[int, int, int],
    seed: int,
    index: int,
) -> None:
    noise = latent_noise(channels, start, shape, seed=seed, index=index)
    assert noise.dtype == np.float32
    np.testing.assert_array_equal(noise, site_by_site(channels, start, shape, seed, index))


@settings(max_examples=20)
@given(corner=st.tuples(*[st.integers(0, 5)] * 3), shape=shapes)
def test_a_window_is_part_of_the_whole(
    corner: tuple[int, int, int], shape: tuple[int, int, int]
) -> None:
    whole = latent_noise(3, (-4, -4, -4), (8, 8, 8), seed=1)
    z, y, x = (n - 4 for n in corner)
    window = latent_noise(3, (z, y, x), shape, seed=1)
    cut = tuple(slice(a, a + n) for a, n in zip(corner, shape, strict=True))
    np.testing.assert_array_equal(window, whole[:, *cut])


def test_the_field_repeats_with_its_periods() -> None:
    cell = latent_noise(2, (0, 0, 0), (3, 4, 5), seed=1)
    wide = latent_noise(2, (-3, -4, -5), (6, 8, 10), seed=1, periods=(3, 4, 5))
    np.testing.assert_array_equal(wide, np.tile(cell, (1, 2, 2, 2)))
    only_y = latent_noise(2, (0, -4, 0), (3, 8, 5), seed=1, periods=(None, 4, None))
    np.testing.assert_array_equal(only_y, np.tile(cell, (1, 1, 2, 1)))
    # Negative control: without periods it does not.
    unbounded = latent_noise(2, (0, -4, 0), (3, 8, 5), seed=1)
    assert not (unbounded[:, :, :4] == unbounded[:, :, 4:]).any()


def test_values_are_standard_normal_and_uncorrelated() -> None:
    noise = latent_noise(4, (-10, -10, -10), (20, 20, 20), seed=3).astype(float)
    n = noise.size  # 32 000
    # Four standard errors: 1/sqrt(n) of the mean, sqrt(2/n) of the variance, sqrt(15/n) and
    # sqrt(96/n) of the third and fourth moment.
    moments = [(noise**power).mean() for power in (1, 2, 3, 4)]
    errors = 4 * np.sqrt(np.array([1, 2, 15, 96]) / n)
    np.testing.assert_array_less(np.abs(np.array(moments) - [0, 1, 0, 3]), errors)
    neighbours = [(noise[:-1] * noise[1:]).mean()]
    neighbours += [
        (np.delete(noise, 0, axis) * np.delete(noise, -1, axis)).mean() for axis in (1, 2, 3)
    ]
    assert np.abs(neighbours).max() < 4 / np.sqrt(0.75 * n)  # pairs: at least three quarters of n


def test_seeds_and_indices_are_different_fields() -> None:
    fields = [
        latent_noise(1, (0, 0, 0), (8, 8, 8), seed=seed, index=index)
        for seed, index in ((0, 0), (0, 1), (1, 0), (1, 1), (2**64 - 1, 0))
    ]
    together = np.corrcoef([field.ravel() for field in fields])
    # Four standard errors of a correlation of 512 pairs.
    assert np.abs(together - np.eye(len(fields))).max() < 4 / np.sqrt(512)


def fine_site_by_site(
    level: int, start: tuple[int, ...], shape: tuple[int, ...], seed: int, index: int
) -> np.ndarray:
    """Independent twin of `fine_noise`: one site after the other, from its own block of bits."""
    noise = np.empty(shape, np.float32)
    for offset in np.ndindex(*shape):
        z, y, x = (int(i) + first for i, first in zip(offset, start, strict=True))
        place, lane = divmod(x % 2**64, 8)
        counter = place + ((y % 2**64) << 64) + ((z % 2**64) << 128) + ((2**63 + level) << 192)
        words = np.random.Philox(key=seed + (index << 64), counter=counter).random_raw(4)
        high, low = divmod(int(words[lane % 4]), 2**32)
        radius = math.sqrt(-2 * math.log((high + 0.5) / 2**32))
        turn = 2 * math.pi * (low + 0.5) / 2**32
        noise[offset] = radius * (math.cos(turn) if lane < 4 else math.sin(turn))
    return noise


@settings(max_examples=20)
@given(
    level=st.integers(0, 6),
    start=starts,
    shape=st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 20)),
    seed=keys,
    index=keys,
)
def test_every_fine_site_has_bits_of_its_own(
    level: int,
    start: tuple[int, int, int],
    shape: tuple[int, int, int],
    seed: int,
    index: int,
) -> None:
    noise = fine_noise(level, start, shape, seed=seed, index=index)
    assert noise.dtype == np.float32
    # In float32: libraries round the last bit of a logarithm or cosine in ways of their own.
    np.testing.assert_allclose(
        noise, fine_site_by_site(level, start, shape, seed, index), rtol=0, atol=1e-6
    )


@settings(max_examples=20)
@given(
    corner=st.tuples(*[st.integers(0, 6)] * 2, st.integers(0, 30)),
    shape=st.tuples(*[st.integers(1, 6)] * 2, st.integers(1, 10)),
)
def test_a_window_of_fine_noise_is_part_of_the_whole(
    corner: tuple[int, int, int], shape: tuple[int, int, int]
) -> None:
    whole = fine_noise(1, (-4, -4, -19), (12, 12, 40), seed=1)
    z, y, x = (n + first for n, first in zip(corner, (-4, -4, -19), strict=True))
    window = fine_noise(1, (z, y, x), shape, seed=1)
    cut = tuple(slice(a, a + n) for a, n in zip(corner, shape, strict=True))
    np.testing.assert_array_equal(window, whole[cut])


@pytest.mark.parametrize("length", [3, 8, 13])  # less than a block of eight, one, one and a part
def test_fine_noise_repeats_with_its_periods(length: int) -> None:
    cell = fine_noise(0, (0, 0, 0), (3, 4, length), seed=1)
    wide = fine_noise(0, (-3, -4, -length), (6, 8, 2 * length), seed=1, periods=(3, 4, length))
    np.testing.assert_array_equal(wide, np.tile(cell, (2, 2, 2)))
    only_y = fine_noise(0, (0, -4, 0), (3, 8, length), seed=1, periods=(None, 4, None))
    np.testing.assert_array_equal(only_y, np.tile(cell, (1, 2, 1)))
    # Negative control: without periods it does not.
    unbounded = fine_noise(0, (0, -4, 0), (3, 8, length), seed=1)
    assert not (unbounded[:, :4] == unbounded[:, 4:]).any()


def test_fine_noise_is_standard_normal_and_uncorrelated() -> None:
    noise = fine_noise(2, (-16, -16, -16), (32, 32, 32), seed=3).astype(float)
    n = noise.size
    # Four standard errors, as of the latent noise.
    moments = [(noise**power).mean() for power in (1, 2, 3, 4)]
    errors = 4 * np.sqrt(np.array([1, 2, 15, 96]) / n)
    np.testing.assert_array_less(np.abs(np.array(moments) - [0, 1, 0, 3]), errors)
    # Four sites further along x: the sine of the same pair.
    for axis, step in ((0, 1), (1, 1), (2, 1), (2, 4), (2, 8)):
        here, there = noise, np.roll(noise, step, axis)
        for power in (1, 2):  # pairs may be uncorrelated, and yet their squares not
            a, b = here**power, there**power
            found = np.corrcoef(a.ravel(), b.ravel())[0, 1]
            assert abs(found) < 4 / np.sqrt(n), (axis, step, power)


def test_levels_seeds_and_indices_are_different_fields() -> None:
    fields = [
        fine_noise(level, (0, 0, 0), (8, 8, 8), seed=seed, index=index)
        for level, seed, index in ((0, 0, 0), (1, 0, 0), (2, 0, 0), (0, 1, 0), (0, 0, 1))
    ]
    fields.append(latent_noise(1, (0, 0, 0), (8, 8, 8), seed=0)[0])
    together = np.corrcoef([field.ravel() for field in fields])
    # Four standard errors of a correlation of 512 pairs.
    assert np.abs(together - np.eye(len(fields))).max() < 4 / np.sqrt(512)


@pytest.mark.parametrize(("seed", "index"), [(-1, 0), (2**64, 0), (0, -1), (0.5, 0)])
def test_a_seed_is_a_word(seed: int, index: int) -> None:
    with pytest.raises(InputError, match=r"must be a whole number, 0 to 2\*\*64 - 1, got"):
        latent_noise(1, (0, 0, 0), (1, 1, 1), seed=seed, index=index)
    with pytest.raises(InputError, match=r"must be a whole number, 0 to 2\*\*64 - 1, got"):
        fine_noise(0, (0, 0, 0), (1, 1, 1), seed=seed, index=index)
