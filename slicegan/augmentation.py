"""Slices changed at random before a critic sees them, real and generated ones alike.

From one image a critic soon knows the pixels by heart, and what it then teaches the generator is no
longer the material. Random changes make the image last longer. They are made to generated slices
too, so that the generator need not imitate the changes, but what is changed (Karras et al. 2020,
arXiv:2006.06676; Zhao et al. 2020, arXiv:2006.10738).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

ZOOM = 0.2  # octaves: deviation of a zoom factor's logarithm, which ends at twice as much
HOLE = 0.5  # side of a hole, over that of the slice


def augment(slices: Tensor, *, affine: float, cutout: float, random: torch.Generator) -> Tensor:
    """Slices of which some are turned and zoomed, and some have a hole.

    Parameters
    ----------
    slices : (N, channels, n, n) Tensor
        Real or generated.
    affine : float
        Share of slices that are turned by any angle about their middle and zoomed by a factor
        2^g, g normal of deviation .2 but at most .4: for isotropic materials. Pixels are
        interpolated linearly; what lies outside is the slice's mirror image.
    cutout : float
        Share of slices with a square of zeros, half as wide as the slice, its middle anywhere.
    random : torch.Generator
        On the device of the slices.

    Returns
    -------
    (N, channels, n, n) Tensor
        With the gradient of the slices.
    """
    count = len(slices)
    if affine:
        angle = 2 * math.pi * _uniform(count, random)
        octaves = ZOOM * torch.randn(count, generator=random, device=slices.device).clamp(-2, 2)
        chosen = _uniform(count, random) < affine
        slices = turned(slices, angle * chosen, torch.exp2(octaves * chosen))
    if cutout:
        middle = _uniform(count, random), _uniform(count, random)
        chosen = _uniform(count, random) < cutout
        slices = torch.where(_square(slices, *middle) & chosen[:, None, None, None], 0.0, slices)
    return slices


def turned(slices: Tensor, angle: Tensor, step: Tensor) -> Tensor:
    """Each slice turned by an angle about its middle, its pixels taken `step` pixels apart."""
    c, s, zero = step * angle.cos(), step * angle.sin(), torch.zeros_like(angle)
    back = torch.stack([torch.stack([c, -s, zero], 1), torch.stack([s, c, zero], 1)], 1)
    grid = functional.affine_grid(back, list(slices.shape), align_corners=False)
    return functional.grid_sample(slices, grid, padding_mode="reflection", align_corners=False)


def _square(slices: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Where the hole of each slice is: (N, 1, n, n)."""
    side = slices.shape[-1]
    line = torch.arange(side, device=slices.device)
    rows, columns = (
        (line - side * middle[:, None]).abs() < HOLE * side / 2 for middle in (row, column)
    )
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def _uniform(count: int, random: torch.Generator) -> Tensor:
    return torch.rand(count, generator=random, device=random.device)
