"""Which plane belongs to which axis, and crops of real slices drawn on demand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from metrics.volume import InputError, axis_index

Axes = tuple[str, ...]

# Axes along the rows and the columns of a slice that is normal to an axis: volume[k, :, :],
# volume[:, j, :], volume[:, :, i]. Rows are counted from the top, the first is index 0.
PLANES = {"z": ("y", "x"), "y": ("z", "x"), "x": ("z", "y")}


@dataclass(frozen=True, eq=False)
class Source:
    """Real slices that one critic learns from.

    Parameters
    ----------
    axes : tuple of str
        Axes normal to the slices of a generated volume that this critic judges.
    images : tuple of Tensor
        Stacks (n, H, W) of uint8 labels, or (n, H, W, channels) of uint8 intensities.
    channels : int
        Phases, 1 for grey, 3 for colour.
    turns : bool
        Whether the eight rotations and reflections of a slice are as likely (isotropic).
    flips : (bool, bool)
        Whether slices may be turned upside down, and left to right.
    """

    axes: Axes
    images: tuple[Tensor, ...]
    channels: int
    turns: bool = False
    flips: tuple[bool, bool] = (False, False)

    def to(self, device: torch.device | str) -> Source:
        """The same source on a device."""
        return replace(self, images=tuple(image.to(device) for image in self.images))

    def positions(self, size: int) -> int:
        """Places where a square crop fits, over all slices of all images.

        Examples
        --------
        >>> Source(("z",), (torch.zeros(2, 5, 4, dtype=torch.uint8),), channels=2).positions(3)
        12
        """
        shapes = [image.shape for image in self.images]
        return sum(n * max(h - size + 1, 0) * max(w - size + 1, 0) for n, h, w, *_ in shapes)

    def draw(self, count: int, size: int, random: torch.Generator) -> Tensor:
        """Crops at uniformly random positions, each turned or flipped at random as allowed.

        Parameters
        ----------
        count : int
            Number of crops.
        size : int
            Side of a crop in pixels.
        random : torch.Generator
            Source of the positions, on the device of the images.

        Returns
        -------
        (count, channels, size, size) float32 Tensor
            1 in the channel of the phase, 0 in others; or intensities from 0 to 1.

        Raises
        ------
        InputError
            If no image is as large as a crop.
        """
        if not (total := self.positions(size)):
            raise InputError(f"no image is as large as a crop of {size} pixels: use a larger one")
        start, down, across = self._places(
            torch.randint(total, (count,), generator=random, device=random.device), size
        )
        upside, mirrored, turned = torch.randint(
            2, (3, count), generator=random, device=random.device
        ).bool()
        start, down = _reversed(start, down, upside & (self.turns or self.flips[0]), size)
        start, across = _reversed(start, across, mirrored & (self.turns or self.flips[1]), size)
        turned &= self.turns
        down, across = torch.where(turned, across, down), torch.where(turned, down, across)
        line = torch.arange(size, device=start.device)
        rows = start[:, None] + down[:, None] * line
        crops = self._pixels[rows[:, :, None] + across[:, None, None] * line]
        if crops.ndim == 4:
            return crops.movedim(-1, 1).float() / 255
        phases = torch.arange(self.channels, device=crops.device, dtype=torch.uint8)
        return (crops[:, None] == phases[:, None, None]).float()

    def _places(self, position: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """First pixel of the crop at each position, and the steps to the next row and column.

        Positions run over columns first, then over rows, slices and images.
        """
        depth, height, width = self._shapes.unbind(1)
        rows, columns = (height - size + 1).clamp(min=0), (width - size + 1).clamp(min=0)
        counts = depth * rows * columns
        image = torch.searchsorted(counts.cumsum(0), position, right=True)
        position = position - (counts.cumsum(0) - counts)[image]
        column, position = position % columns[image], position // columns[image]
        row, index = position % rows[image], position // rows[image]
        pixels = self._shapes.prod(1)
        down = width[image]
        start = (pixels.cumsum(0) - pixels)[image]
        start = start + (index * height[image] + row) * down + column
        return start, down, torch.ones_like(down)

    @cached_property
    def _pixels(self) -> Tensor:
        """Pixels of all images, one after the other."""
        return torch.cat([image.reshape(-1, *image.shape[3:]) for image in self.images])

    @cached_property
    def _shapes(self) -> Tensor:
        """Slices, rows and columns of each image: (images, 3)."""
        shapes = [image.shape[:3] for image in self.images]
        return torch.tensor(shapes, device=self.images[0].device)


def slices(volumes: Tensor, axis: str) -> Tensor:
    """All slices of volumes that are normal to an axis, as `PLANES` says.

    Parameters
    ----------
    volumes : (N, C, Z, Y, X) Tensor
        Volumes.
    axis : {"z", "y", "x"}
        Axis normal to the slices.

    Returns
    -------
    (N, depth, C, H, W) Tensor
        A view.

    Examples
    --------
    >>> slices(torch.zeros(1, 2, 30, 40, 50), "y").shape
    torch.Size([1, 40, 2, 30, 50])
    """
    depth, row, column = (2 + axis_index(name) for name in (axis, *PLANES[axis]))
    return volumes.permute(0, depth, 1, row, column)


def _reversed(start: Tensor, step: Tensor, chosen: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Start and step that run through the same `size` pixels from the other end, where chosen."""
    end = start + (size - 1) * step
    return torch.where(chosen, end, start), torch.where(chosen, -step, step)
