"""Crops of real slices: drawn fairly from everywhere, turned only as allowed; slices are views."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from metrics.volume import InputError
from slicegan.sources import PLANES, Source, slices

RANDOM = np.random.default_rng(0)
# All pixels differ, as colours (index, 0, 0): crops can be told apart.
UNIQUE = np.zeros((1, 5, 7, 3), dtype=np.uint8)
UNIQUE[0, :, :, 0] = np.arange(35).reshape(5, 7)


def draws(source: Source, count: int, size: int) -> np.ndarray:
    """Crops as intensities 0 to 255."""
    crops = source.draw(count, size, torch.Generator().manual_seed(1))
    return (crops * 255).round().to(torch.uint8).numpy()


def colour(*images: np.ndarray, **options: Any) -> Source:
    return Source(("z",), tuple(map(torch.from_numpy, images)), channels=3, **options)


def test_every_position_of_every_slice_is_drawn_and_no_other() -> None:
    stack = np.concatenate([UNIQUE, UNIQUE + 40, UNIQUE + 80])
    other = UNIQUE[:, :3, :3] + 150
    source = colour(stack, other)
    expected = {
        image[k, i : i + 3, j : j + 3, 0].tobytes()
        for image in (stack, other)
        for k in range(image.shape[0])
        for i in range(image.shape[1] - 2)
        for j in range(image.shape[2] - 2)
    }
    drawn = Counter(crop[0].tobytes() for crop in draws(source, 4000, 3))
    # 46 positions: one is left out of 4000 draws with probability 46 (45/46)^4000 = 3e-37.
    assert len(expected) == source.positions(3) == 3 * 3 * 5 + 1
    assert set(drawn) == expected
    # Also uniform: whatever image or slice it is in. A fair draw fails once in 1000 seeds.
    assert chisquare(list(drawn.values())).pvalue > 1e-3


def test_a_crop_as_large_as_the_image_is_the_image() -> None:
    (crop,) = draws(colour(UNIQUE[:, :, :5]), 1, 5)
    np.testing.assert_array_equal(crop, np.moveaxis(UNIQUE[0, :, :5], -1, 0))


def test_images_smaller_than_the_crop_are_never_drawn() -> None:
    small = UNIQUE[:, :2] + 100
    source = colour(small, UNIQUE, small)
    assert source.positions(3) == 15
    assert draws(source, 500, 3)[:, 0].max() < 100
    with pytest.raises(InputError, match="no image is as large as a crop of 9 pixels"):
        source.draw(1, 9, torch.Generator())


def symmetries(image: np.ndarray) -> list[np.ndarray]:
    """Identity, reversed rows, reversed columns, both; then the same of the transpose."""
    return [
        base[::down, ::across]
        for base in (image, image.T)
        for down in (1, -1)
        for across in (1, -1)
    ]


@pytest.mark.parametrize(
    ("options", "ways"),
    [
        ({}, [0]),
        ({"flips": (False, True)}, [0, 1]),
        ({"flips": (True, False)}, [0, 2]),
        ({"flips": (True, True)}, [0, 1, 2, 3]),
        ({"turns": True}, range(8)),
    ],
    ids=str,
)
def test_only_the_allowed_rotations_and_flips_occur_each_as_often(options: Any, ways: Any) -> None:
    image = UNIQUE[0, :3, :3, 0]
    allowed = {symmetries(image)[way].tobytes() for way in ways}
    drawn = Counter(
        crop[0].tobytes() for crop in draws(colour(UNIQUE[:, :3, :3], **options), 800, 3)
    )
    assert len(allowed) == len(ways)
    assert set(drawn) == allowed
    # A fair draw fails once in 1000 seeds.
    assert len(ways) == 1 or chisquare(list(drawn.values())).pvalue > 1e-3


def test_each_crop_is_turned_on_its_own_wherever_it_lies() -> None:
    expected = {
        way.tobytes()
        for i in range(3)
        for j in range(5)
        for way in symmetries(UNIQUE[0, i : i + 3, j : j + 3, 0])
    }
    drawn = {crop[0].tobytes() for crop in draws(colour(UNIQUE, turns=True), 4000, 3)}
    # 120 crops: one is left out with probability 120 (119/120)^4000 = 3e-13.
    assert drawn == expected


def test_phases_are_one_hot() -> None:
    labels = torch.from_numpy(RANDOM.integers(0, 3, (1, 4, 4)).astype(np.uint8))
    crops = Source(("z",), (labels,), channels=4).draw(2, 4, torch.Generator())
    assert (crops.shape, crops.dtype) == ((2, 4, 4, 4), torch.float32)
    assert torch.equal(crops.argmax(dim=1), labels.expand(2, 4, 4).long())
    assert torch.equal(crops.sum(dim=1), torch.ones(2, 4, 4))
    assert set(crops.unique().tolist()) == {0, 1}


def test_draws_follow_the_generator() -> None:
    source = colour(UNIQUE, turns=True)
    same = [source.draw(9, 3, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(same[0], same[1])
    assert not torch.equal(same[0], same[2])


@settings(max_examples=20)
@given(shape=st.tuples(*[st.integers(1, 4)] * 5), axis=st.sampled_from("zyx"))
def test_slices_are_views_in_the_order_of_the_planes(shape: tuple[int, ...], axis: str) -> None:
    volumes = torch.arange(int(np.prod(shape))).reshape(shape)
    cut = slices(volumes, axis)
    sides = dict(zip("zyx", shape[2:], strict=True))
    row, column = PLANES[axis]
    assert cut.shape == (shape[0], sides[axis], shape[1], sides[row], sides[column])
    assert cut.untyped_storage().data_ptr() == volumes.untyped_storage().data_ptr()
    for index in range(sides[axis]):
        assert torch.equal(cut[:, index], volumes.select(2 + "zyx".index(axis), index))
