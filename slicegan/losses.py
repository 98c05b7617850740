"""What critic and generator minimise, and the penalties that keep critics smooth.

WGAN-GP: Gulrajani et al. 2017, arXiv:1704.00028. Relativistic pairing with zero-centred penalties:
R3GAN, Huang et al. 2024, arXiv:2501.05441.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from slicegan.networks import Critic


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
    kind: str, critic: Critic, real: Tensor, fake: Tensor, random: torch.Generator
) -> Tensor:
    """Penalty on the slope of a critic, for equally many real and generated slices.

    ``wgan-gp``: E[(|grad D(x)| - 1)^2] with x anywhere between a real and a generated slice.
    ``relativistic``: E[|grad D(real)|^2 + |grad D(fake)|^2] / 2.
    """
    if kind == "wgan-gp":
        share = torch.rand(len(real), 1, 1, 1, generator=random, device=real.device)
        return (_slopes(critic, share * real + (1 - share) * fake) - 1).square().mean()
    return (_slopes(critic, real).square() + _slopes(critic, fake).square()).mean() / 2


def _slopes(critic: Critic, slices: Tensor) -> Tensor:
    """Norm of the critic's gradient at each slice."""
    slices = slices.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(slices).sum(), slices, create_graph=True)
    # Unlike the root of a sum, a norm has a gradient (zero) where the critic is flat.
    return torch.linalg.vector_norm(gradient, dim=(1, 2, 3))
