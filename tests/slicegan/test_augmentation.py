"""Slices as a critic sees them: changed alike, real and generated, and by how much."""

from __future__ import annotations

import math

import pytest
import torch

from slicegan.augmentation import HOLE, augment, turned


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def one_hot(count: int, side: int, *, fraction: float = 0.3, seed: int = 0) -> torch.Tensor:
    first = (torch.rand(count, 1, side, side, generator=generator(seed)) < fraction).float()
    return torch.cat([first, 1 - first], 1)


@pytest.mark.parametrize("quarters", range(4))
def test_quarter_turns_move_every_pixel_whole(quarters: int) -> None:
    slices = one_hot(3, 16)
    angle = torch.full((3,), quarters * math.pi / 2)
    expected = torch.rot90(slices, quarters, (2, 3))
    assert torch.allclose(turned(slices, angle, torch.ones(3)), expected, atol=1e-4)


def test_pixels_taken_closer_together_are_a_zoom() -> None:
    slices = torch.zeros(1, 1, 16, 16)
    slices[..., 4:12, 4:12] = 1
    zoomed = turned(slices, torch.zeros(1), torch.full((1,), 0.5))
    assert zoomed[..., 1:-1, 1:-1].mean() == 1  # the square fills the slice up to its rim
    assert turned(slices, torch.zeros(1), torch.full((1,), 2.0)).mean() == pytest.approx(1 / 4)


def test_nothing_is_changed_unless_asked_for() -> None:
    slices = one_hot(8, 16)
    assert torch.equal(augment(slices, affine=0.0, cutout=0.0, random=generator()), slices)


@pytest.mark.parametrize("share", [0.25, 0.8, 1.0])
def test_so_many_slices_are_changed(share: float) -> None:
    slices = one_hot(2000, 8)
    deviation = math.sqrt(share * (1 - share) / 2000)
    for changes in ({"affine": share, "cutout": 0.0}, {"affine": 0.0, "cutout": share}):
        changed = augment(slices, **changes, random=generator())
        found = (changed - slices).abs().amax((1, 2, 3)) > 1e-3
        assert found.float().mean().item() == pytest.approx(share, abs=4 * deviation + 1e-6)


def test_turning_keeps_the_phases_a_hole_takes_them_all() -> None:
    slices = one_hot(2000, 32)
    moved = augment(slices, affine=1.0, cutout=0.0, random=generator())
    # Channels stay shares of one, and on average what they were: 2000 slices of 1024 pixels, each
    # of which a pixel may be seen several times in, leave a deviation below .001.
    assert torch.allclose(moved.sum(1), torch.ones(()), atol=1e-5)
    before = slices.mean((0, 2, 3)).tolist()
    assert moved.mean((0, 2, 3)).tolist() == pytest.approx(before, abs=4e-3)
    holed = augment(slices, affine=0.0, cutout=1.0, random=generator())
    hidden = (holed.sum(1) == 0).float().mean((1, 2))
    # Along an axis a hole of half the side is cut by the rim where its middle is a quarter of the
    # side or less from it, to 3/4 of itself on average: (1 - HOLE / 4) of it is left.
    assert hidden.mean().item() == pytest.approx(((1 - HOLE / 4) * HOLE) ** 2, rel=0.05)
    assert set(holed.unique().tolist()) == {0.0, 1.0}


def test_a_seed_names_the_changes_and_the_gradient_passes() -> None:
    slices = one_hot(4, 16).requires_grad_()
    first = augment(slices, affine=0.8, cutout=0.5, random=generator(1))
    again = augment(slices, affine=0.8, cutout=0.5, random=generator(1))
    other = augment(slices, affine=0.8, cutout=0.5, random=generator(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    first.sum().backward()
    assert slices.grad is not None
    # What is shown of a slice has a weight of its pixels, what a hole hides has none.
    assert slices.grad.sum().item() == pytest.approx(first.sum(1).sum().item() * 2, rel=1e-4)
