"""Losses and penalties against values that can be written down."""

from __future__ import annotations

import math
from itertools import permutations

import pytest
import torch

from slicegan.config import CriticConfig
from slicegan.losses import AxisPenalty, PlacePenalty, critic_loss, generator_loss, penalty
from slicegan.networks import Critic


class Linear(Critic):
    """D(x) = sum(w x): its gradient is w everywhere."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__(CriticConfig(filters=(4, 4, 4, 4)))
        self.weights = torch.nn.Parameter(weights)

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        return (slices * self.weights).sum(dim=(1, 2, 3))


class Square(Linear):
    """D(x) = sum(x^2) / 2: its gradient is x itself."""

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        return slices.square().sum(dim=(1, 2, 3)) / 2


REAL, FAKE = torch.tensor([1.0, 3.0]), torch.tensor([0.5, -1.5])


def test_wasserstein_losses_are_differences_of_means():
    assert critic_loss("wgan-gp", REAL, FAKE) == -0.5 - 2.0
    assert generator_loss("wgan-gp", REAL, FAKE) == 0.5


def test_relativistic_losses_compare_pair_by_pair():
    pairs = [(1.0, 0.5), (3.0, -1.5)]
    critic = sum(math.log1p(math.exp(fake - real)) for real, fake in pairs) / 2
    generator = sum(math.log1p(math.exp(real - fake)) for real, fake in pairs) / 2
    # float32 rounding
    assert critic_loss("relativistic", REAL, FAKE) == pytest.approx(critic, rel=1e-6)
    assert generator_loss("relativistic", REAL, FAKE) == pytest.approx(generator, rel=1e-6)


@pytest.mark.parametrize("kind", ["wgan-gp", "relativistic"])
def test_critic_and_generator_pull_in_opposite_directions(kind):
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    critic_loss(kind, real, fake).backward()
    assert (fake.grad > 0).all() and (real.grad < 0).all()
    fake.grad = None
    generator_loss(kind, real.detach(), fake).backward()
    assert (fake.grad < 0).all()


def test_penalty_of_a_linear_critic_is_that_of_its_weights():
    random = torch.Generator().manual_seed(0)
    weights = torch.randn(2, 8, 8, generator=random)
    norm = float(weights.norm())
    real, fake = torch.rand(2, 5, 2, 8, 8, generator=random)
    expected = {"wgan-gp": (norm - 1) ** 2, "relativistic": norm**2}
    for kind, value in expected.items():
        # float32 sums of 128 terms
        found = penalty(kind, Linear(weights), real, fake, random).item()
        assert found == pytest.approx(value, rel=1e-5)


def test_where_the_penalty_is_taken():
    random = torch.Generator().manual_seed(0)
    critic = Square(torch.zeros(1))
    real, fake = torch.ones(4000, 1, 1, 1), -torch.ones(4000, 1, 1, 1)
    # At x in [-1, 1], uniform: E[(|x| - 1)^2] = 1/3, of 4000 draws with deviation .3 each.
    between = penalty("wgan-gp", critic, real, fake, random).item()
    assert between == pytest.approx(1 / 3, abs=5 * 0.3 / 4000**0.5)
    # At real and generated slices themselves: |x|^2 = 1 and 9.
    assert penalty("relativistic", critic, real, 3 * fake, random) == 5.0


def test_penalty_trains_the_critic_and_not_the_slices():
    random = torch.Generator().manual_seed(0)
    critic = Linear(torch.full((2, 4, 4), 0.5))
    real, fake = torch.rand(2, 3, 2, 4, 4, generator=random)
    for kind in ("wgan-gp", "relativistic"):
        critic.zero_grad()
        penalty(kind, critic, real, fake.requires_grad_(), random).backward()
        assert critic.weights.grad.abs().sum() > 0
        assert fake.grad is None


@pytest.mark.parametrize("kind", ["wgan-gp", "relativistic"])
def test_a_flat_critic_gets_no_nan(kind):
    random = torch.Generator().manual_seed(0)
    critic = Linear(torch.zeros(2, 4, 4))
    real, fake = torch.rand(2, 3, 2, 4, 4, generator=random)
    penalty(kind, critic, real, fake, random).backward()
    assert critic.weights.grad.isfinite().all()


CPU = torch.device("cpu")


def test_place_penalty_by_hand():
    penalty_of = PlacePenalty(1, 2, CPU)
    # Places 0 and 1 along x hold 1 and 0 everywhere: means 1 and 0, of mean 1/2.
    volumes = torch.zeros(1, 1, 4, 4, 4)
    volumes[..., ::2] = 1
    # M = .02 P; M - its mean = +-.01; 2 <+-.01 P / (1/4)> = 2 * .01 / 2 / .25.
    assert penalty_of(volumes, 0).item() == pytest.approx(0.04, rel=1e-6)
    assert torch.equal(penalty_of.mean[0, 0, 0], torch.tensor([0.02, 0.0]))
    # A second step: M = .98 * .02 + .02 = .0396.
    assert penalty_of(volumes, 0).item() == pytest.approx(0.0396 / 0.02 * 0.04, rel=1e-5)


def test_place_penalty_is_none_without_a_lattice():
    volumes = torch.full((2, 3, 6, 6, 6), 0.3)
    assert PlacePenalty(3, 2, CPU)(volumes, 0).item() == pytest.approx(0, abs=1e-7)


def test_place_penalty_pulls_against_the_running_mean_and_not_against_the_step():
    penalty_of = PlacePenalty(1, 2, CPU)
    penalty_of.mean[..., 1] = 0.5  # so far, place 1 along x had too much
    volumes = torch.full((1, 1, 4, 4, 4), 0.4, requires_grad=True)
    penalty_of(volumes, 0).backward()
    assert (volumes.grad[..., 1::2] > 0).all() and (volumes.grad[..., ::2] < 0).all()


def test_place_penalty_takes_volumes_as_continued():
    """Volumes that hold no whole number of cells: what is left over is no place of its own."""
    random = torch.Generator().manual_seed(0)
    volumes = torch.rand(1, 2, 9, 8, 11, generator=random)
    one, other = PlacePenalty(2, 4, CPU), PlacePenalty(2, 4, CPU)
    one(volumes, 0), other(volumes[:, :, :8, :, :8], 0)
    assert torch.equal(one.mean, other.mean)
    by_hand = volumes[0, 1, 1:8:4, 2:8:4, 3:8:4].mean()
    torch.testing.assert_close(one.mean[1, 1, 2, 3], 0.02 * by_hand)


@pytest.mark.parametrize(("stride", "period"), [(32, 16), (8, 8), (27, 9), (17, 1), (16, 16)])
def test_places_repeat_with_the_stride(stride, period):
    assert PlacePenalty(2, stride, CPU).mean.shape == (2, period, period, period)


def test_place_penalty_of_a_phase_that_never_occurs_is_finite():
    volumes = torch.zeros(1, 2, 4, 4, 4, requires_grad=True)
    loss = PlacePenalty(2, 4, CPU)(volumes, 0)
    loss.backward()
    assert loss == 0 and volumes.grad.isfinite().all()


def stripes(period: int, axis: int, side: int = 16) -> torch.Tensor:
    """Volumes (1, 1, side, side, side) of ones and zeros in turn along an axis."""
    shape = [side if k == axis else 1 for k in range(3)]
    line = (torch.arange(side) // (period // 2) % 2).float()
    return line.view(1, 1, *shape).expand(1, 1, side, side, side).clone()


def test_axis_penalty_by_hand():
    penalty_of = AxisPenalty(1, 3, CPU)
    assert penalty_of.lags == [1, 2]
    # Stripes of one voxel along y: every neighbour there differs at lag 1, none at lag 2.
    volumes = stripes(2, 1)
    # D = 0, 1/2, 0; M = .08 D of mean .08 / 6; (M - mean) D is .08 / 3 / 2 for y alone.
    by_hand = 2 * (0.08 / 3 / 2) / (0.08 / 6) ** 2 / 3
    assert penalty_of(volumes, 0).item() == pytest.approx(by_hand, rel=1e-5)
    assert penalty_of(volumes, 1).item() == 0
    torch.testing.assert_close(
        penalty_of.mean[:, 0], torch.tensor([[0, 0], [0.04, 0], [0, 0]]), atol=1e-8, rtol=1e-6
    )


def test_axis_penalty_is_none_where_all_axes_are_alike():
    random = torch.Generator().manual_seed(0)
    volume = torch.rand(1, 2, 12, 12, 12, generator=random)
    turns = (tuple(2 + k for k in axes) for axes in permutations(range(3)))
    alike = torch.cat([volume.permute(0, 1, *turn) for turn in turns])
    assert AxisPenalty(2, 12, CPU)(alike, 0).item() == pytest.approx(0, abs=1e-3)
    other = torch.cat([volume, stripes(8, 0, 12).expand(1, 2, -1, -1, -1)])
    assert AxisPenalty(2, 12, CPU)(other, 2).item() > 1


def test_axis_penalty_shortens_what_is_long_in_the_running_mean():
    """So far y had too few boundaries: more of them lower the loss there, and raise it along z."""
    losses = {}
    for axis in (0, 1):
        penalty_of = AxisPenalty(1, 3, CPU)
        penalty_of.mean[:] = torch.tensor([0.2, 0.1, 0.15])[:, None, None]
        losses[axis] = [float(penalty_of(stripes(period, axis), 0)) for period in (8, 4)]
    assert losses[1][1] < losses[1][0] and losses[0][1] > losses[0][0]


def test_axis_penalty_of_a_phase_that_never_occurs_is_finite():
    volumes = torch.zeros(1, 2, 16, 16, 16, requires_grad=True)
    loss = AxisPenalty(2, 16, CPU)(volumes, 3)
    loss.backward()
    assert loss == 0 and volumes.grad.isfinite().all()
