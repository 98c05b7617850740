"""What critic and generator minimise, and the penalties that keep critics smooth.

WGAN-GP: Gulrajani et al. 2017, arXiv:1704.00028. Relativistic pairing with zero-centred penalties:
R3GAN, Huang et al. 2024, arXiv:2501.05441.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from metrics.volume import AXES
from slicegan.distributed import ALONE, Ranks
from slicegan.networks import Critic
from slicegan.places import periods

MEMORY = 0.98  # of the running mean over places
LAGS = (1, 2, 4, 8)  # voxels
LAG_MEMORY = 0.92  # of the running mean at each of them, which has its turn every fourth step


def critic_loss(kind: str, real: Tensor, fake: Tensor) -> Tensor:
    """Loss of a critic from its judgements of real and generated slices, each (N,).

    ``wgan-gp``: E[fake] - E[real]. ``relativistic``: E[softplus(fake - real)], in pairs.
    """
    if kind == "wgan-gp":
        return fake.mean() - real.mean()
    return functional.softplus(fake - real).mean()


def generator_loss(kind: str, real: Tensor, fake: Tensor) -> Tensor:
    """Loss of the generator from a critic's judgements.

    ``wgan-gp``: -E[fake]. ``relativistic``: E[softplus(real - fake)], in pairs.
    """
    if kind == "wgan-gp":
        return -fake.mean()
    return functional.softplus(real - fake).mean()


def penalty(
    kind: str,
    critic: Critic,
    real: Tensor,
    fake: Tensor,
    random: torch.Generator,
    ranks: Ranks = ALONE,
) -> Tensor:
    """Penalty on the slope of a critic, for equally many real and generated slices.

    ``wgan-gp``: E[(|grad D(x)| - 1)^2] with x anywhere between a real and a generated slice.
    ``relativistic``: E[|grad D(real)|^2 + |grad D(fake)|^2] / 2. E is over a rank's own share.
    """
    if kind == "wgan-gp":
        share = torch.rand(len(real), 1, 1, 1, generator=random, device=real.device)
        between = ranks.share(share * real + (1 - share) * fake)
        return (_slopes(critic, between) - 1).square().mean()
    real, fake = ranks.share(real), ranks.share(fake)
    return (_slopes(critic, real).square() + _slopes(critic, fake).square()).mean() / 2


class PlacePenalty:
    r"""Penalty on means that differ from place to place of the generator's stride.

    A transposed convolution writes each place between two sites with weights of its own, so that a
    phase may be rare at some places. With P the mean of the volumes of a step over all places
    modulo a period (the largest divisor of the stride up to 16 voxels), one number a channel and
    place, and its running mean M = .98 M + .02 P,

    .. math:: L = 2 \left\langle \frac{(M - \bar M) P}{\bar P (1 - \bar P)} \right\rangle

    has the gradient of the variance of M over places, in units of that of a voxel. Only P has a
    gradient: the difference of M from its mean says where there is too much, with the noise of
    many steps together instead of that of one. So L is linear in P: where ranks share the volumes,
    the mean of what each finds for its own, M being that of all, is the penalty of all.

    Parameters
    ----------
    channels, stride : int
        Of the volumes; voxels a latent site.
    device : torch.device
    ranks : Ranks
        They share the volumes of a step.
    """

    def __init__(
        self, channels: int, stride: int, device: torch.device, ranks: Ranks = ALONE
    ) -> None:
        self.ranks = ranks
        self.period = periods(stride)[0]
        self.mean = torch.zeros(channels, *(self.period,) * 3, device=device)

    def __call__(self, volumes: Tensor, step: int) -> Tensor:
        """Penalty of volumes (N, channels, Z, Y, X), and one more step of the running mean."""
        n = self.period
        z, y, x = (size // n for size in volumes.shape[2:])
        cells = volumes[:, :, : z * n, : y * n, : x * n].unflatten(4, (x, n))
        means = cells.unflatten(3, (y, n)).unflatten(2, (z, n)).mean((0, 2, 4, 6))
        of_all = self.ranks.mean(means.detach())
        self.mean = MEMORY * self.mean + (1 - MEMORY) * of_all
        share = of_all.mean((1, 2, 3), keepdim=True)
        residual = self.mean - self.mean.mean((1, 2, 3), keepdim=True)
        return 2 * (residual * means / (share * (1 - share)).clamp_min(1e-3)).mean()


class AxisPenalty:
    r"""Penalty on two-point statistics that differ from axis to axis of an isotropic material.

    A critic sees one plane at a time, rows along one axis and columns along another: that chords
    are a tenth longer along y than along z and x is hidden in the planes of either kind. With

    .. math:: D_a(r) = \left\langle (p(x) - p(x + r e_a))^2 \right\rangle / 2

    of each channel along each axis a, at a lag r of 1, 2, 4 or 8 voxels in turn, and its running
    mean M = .92 M + .08 D,

    .. math:: L = 2 \left\langle \frac{(M_a - \bar M) D_a}{\bar M^2} \right\rangle

    has the gradient of the relative variance of M over axes. As in `PlacePenalty` only D has a
    gradient. All lags in every step would take a fifth of its time.

    Parameters
    ----------
    channels, side : int
        Of the volumes.
    device : torch.device
    ranks : Ranks
        They share the volumes of a step.
    """

    def __init__(
        self, channels: int, side: int, device: torch.device, ranks: Ranks = ALONE
    ) -> None:
        self.ranks = ranks
        self.lags = [lag for lag in LAGS if lag < side]
        self.mean = torch.zeros(len(AXES), channels, len(self.lags), device=device)

    def __call__(self, volumes: Tensor, step: int) -> Tensor:
        """Penalty of volumes (N, channels, Z, Y, X) at the lag of a step, and its running mean."""
        turn = step % len(self.lags)
        lag = self.lags[turn]
        found = torch.stack([_difference(volumes, axis, lag) for axis in (2, 3, 4)])
        of_all = self.ranks.mean(found.detach())
        mean = LAG_MEMORY * self.mean[..., turn] + (1 - LAG_MEMORY) * of_all
        self.mean[..., turn] = mean
        all_axes = mean.mean(0)
        return 2 * ((mean - all_axes) * found / all_axes.square().clamp_min(1e-12)).mean()


def _difference(volumes: Tensor, axis: int, lag: int) -> Tensor:
    """Half the mean square difference of each channel at a lag along an axis: (channels,)."""
    n = volumes.shape[axis] - lag
    return (volumes.narrow(axis, 0, n) - volumes.narrow(axis, lag, n)).square().mean(
        (0, 2, 3, 4)
    ) / 2


def _slopes(critic: Critic, slices: Tensor) -> Tensor:
    """Norm of the critic's gradient at each slice."""
    slices = slices.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(slices).sum(), slices, create_graph=True)
    # Unlike the root of a sum, a norm has a gradient (zero) where the critic is flat.
    return torch.linalg.vector_norm(gradient, dim=(1, 2, 3))
