"""Disjoint sub-volumes of equal shape: the independent samples of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

import numpy as np

from metrics.volume import InputError, Volume

WANTED = 8  # sub-volumes a sample, where the volumes are large enough
SMALLEST = 16  # voxels a side

Shape = tuple[int, int, int]
T = TypeVar("T")


@dataclass(frozen=True)
class Sampling:
    """Sub-volumes of one shape cut from two samples of volumes, or their sections.

    Attributes
    ----------
    shape : (int, int, int)
        Voxels of each sub-volume.
    gen, real : list of Volume
        Views into the volumes, disjoint.
    available : (int, int)
        Disjoint sub-volumes there were in gen and in real before drawing.
    groups : (list of int, list of int)
        Of sections: number of the sample that each of `gen` and of `real` belongs to, a generated
        cube, or a window of an image that stands for several axes. Empty where each is its own.
    """

    shape: Shape
    gen: list[Volume]
    real: list[Volume]
    available: tuple[int, int]
    groups: tuple[list[int], list[int]] = ([], [])

    @property
    def count(self) -> tuple[int, int]:
        """Independent samples in gen and in real."""
        of_gen, of_real = (len(set(numbers)) for numbers in self.groups)
        return of_gen or len(self.gen), of_real or len(self.real)

    @property
    def same_volumes(self) -> bool:
        """Whether gen and real are the same data."""
        return len(self.gen) == len(self.real) and all(
            np.array_equal(g.labels, r.labels) for g, r in zip(self.gen, self.real, strict=True)
        )


def plan_subvolumes(
    gen: Sequence[Volume],
    real: Sequence[Volume],
    *,
    side: int | None = None,
    largest: int | None = None,
    samples: int = 16,
    seed: int = 0,
) -> Sampling:
    """Cut both samples into sub-volumes of the same shape.

    Cubes, as large as gives at least 8 in each sample, or as many as can be had of 16 voxels a
    side or more; where the smallest volume is thinner than the cube, the sub-volumes are as thin.
    What is left of a side that does not divide is shared by both ends. Neighbours within one
    volume are not wholly independent: several volumes are better than one.

    Parameters
    ----------
    gen, real : sequence of Volume
    side : int, optional
        Side of the cubes in voxels, instead of the rule above.
    largest : int, optional
        Largest side that the rule may choose: what the memory holds.
    samples : int
        At most that many sub-volumes a sample, drawn at random among the available.
    seed : int

    Raises
    ------
    InputError
        If a volume is smaller than a sub-volume, or samples or seed are out of range.
    """
    limit = np.min([v.shape for v in (*gen, *real)], axis=0)
    if limit.min() < SMALLEST:
        raise InputError(
            f"a volume of {'x'.join(map(str, limit))} voxels is smaller than the smallest "
            f"sub-volume ({SMALLEST} voxels a side): give a larger one"
        )
    check_draw(samples, seed)
    if side is None:
        side = _largest_side(gen, real, limit, largest or limit.max())
    elif not SMALLEST <= side <= limit.max():
        raise InputError(
            f"sub-volumes of {side} voxels a side do not fit: choose {SMALLEST} to {limit.max()}"
        )
    shape = _shape(side, limit)
    all_gen, all_real = cut_all(gen, shape), cut_all(real, shape)
    return Sampling(
        shape,
        draw(all_gen, samples, seed),
        draw(all_real, samples, seed),
        (len(all_gen), len(all_real)),
    )


def _largest_side(
    gen: Sequence[Volume], real: Sequence[Volume], limit: np.ndarray, largest: int
) -> int:
    def rank(side: int) -> tuple[int, int]:
        shape = _shape(side, limit)
        return min(count(gen, shape), count(real, shape), WANTED), side

    return max(range(SMALLEST, min(largest, limit.max()) + 1), key=rank)


def _shape(side: int, limit: np.ndarray) -> Shape:
    z, y, x = np.minimum(side, limit).tolist()
    return z, y, x


def check_draw(samples: int, seed: int) -> None:
    """Raise `InputError` if so many cannot be drawn by such a seed."""
    if seed < 0:
        raise InputError(f"seed must not be negative, got {seed}")
    if samples < 1:
        raise InputError(f"samples must be at least 1, got {samples}")


def count(volumes: Sequence[Volume], shape: Shape) -> int:
    """Disjoint blocks of a shape in some volumes."""
    return sum(int(np.prod(np.array(v.shape) // shape)) for v in volumes)


def cut_all(volumes: Sequence[Volume], shape: Shape) -> list[Volume]:
    """Disjoint blocks of a shape; what is left of a side is shared by both ends."""
    return [block for v in volumes for block in _cut(v, shape)]


def _cut(volume: Volume, shape: Shape) -> list[Volume]:
    starts = []
    for n, step in zip(volume.shape, shape, strict=True):
        blocks, rest = divmod(n, step)
        starts.append([rest // 2 + step * k for k in range(blocks)])
    return [
        volume.crop((slice(z, z + shape[0]), slice(y, y + shape[1]), slice(x, x + shape[2])))
        for z, y, x in product(*starts)
    ]


def draw(blocks: list[T], samples: int, seed: int) -> list[T]:
    """So many of the blocks at most, at random and in their order."""
    if len(blocks) <= samples:
        return blocks
    chosen = np.random.default_rng(seed).choice(len(blocks), samples, replace=False)
    return [blocks[k] for k in sorted(chosen)]
