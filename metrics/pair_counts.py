"""Pairs of voxels of two phases at every lag, counted exactly and block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from metrics.arrays import Int64
from metrics.machine.memory import check_memory
from metrics.transforms import FFT_ROWS, correlate, spectrum
from metrics.volume import Span, Volume

# Voxels along z, y, x, at most: of one phase the halo along z is on one side only.
BLOCK = 256, 512, 512
COMPLEX_BYTES, FLOAT_BYTES = 16, 8
MASK_BYTES = 3  # of a voxel: labels, in one piece, and where the phase is
LAG_BYTES = 54  # of a lag vector, in float64 and int64


def count_pairs(
    v: Volume, first: int, second: int, lags: Sequence[Int64], *, periodic: bool
) -> Int64:
    r"""Pairs of voxels at each lag vector, the first in one phase and the second in another.

    .. math:: N_{ij}(r) = \sum_x i(x) \, j(x + r)

    A block's own voxels are paired with those of the block and of a halo as wide as the longest
    lags, by Fourier transforms in float64. These are off by less than a thousandth of a pair, so
    that rounding makes the counts exact, and they add up over blocks.

    Peak memory beyond the input: `pair_bytes`, about 20 bytes a voxel of a block with its halo.

    Parameters
    ----------
    v : Volume
    first, second : int
        Labels i and j.
    lags : three (K,) int64 ndarrays
        Lags along z, y, x, in voxels: consecutive, with 0 among them.
    periodic : bool
        Whether the volume repeats along all axes.

    Returns
    -------
    (Kz, Ky, Kx) int64 ndarray

    Raises
    ------
    InputError
        If the lags are too long for the free memory.
    """
    reach = [int(along[-1]) for along in lags]
    check_memory(pair_bytes(v.shape, reach), remedy="ask for shorter lags (max_lag)")
    found = np.zeros([len(along) for along in lags], np.int64)
    for block in product(*map(_cut, v.shape, BLOCK)):
        halo = [_with_halo(span, along) for span, along in zip(block, lags, strict=True)]
        # As wide as the whole halo also where the volume ends: there what wraps around is 0.
        sizes = [fft.next_fast_len(stop - start) for start, stop in halo]
        seen = halo if periodic else _inside(halo, v.shape)
        own = spectrum(_labels(v, block) == first, sizes, precision=np.float64)
        around = spectrum(_labels(v, seen) == second, sizes, precision=np.float64)
        # The block begins so many voxels behind the first of those that are seen.
        places = [
            (start - first_seen + along) % size
            for (start, _), (first_seen, _), along, size in zip(
                block, seen, lags, sizes, strict=True
            )
        ]
        found += np.rint(correlate(own, around, sizes, places)).astype(np.int64)
    return found


def pair_bytes(shape: Sequence[int], reach: Sequence[int]) -> int:
    """Bytes of the transforms of planes of a block and of its halo, and of lags."""
    block = [-(-n // -(-n // most)) for n, most in zip(shape, BLOCK, strict=True)]
    halo = [
        n + width for n, width in zip(block, (reach[0], 2 * reach[1], 2 * reach[2]), strict=True)
    ]
    row = COMPLEX_BYTES * (halo[2] // 2 + 1)
    lags = (reach[0] + 1) * (2 * reach[1] + 1)
    planes = (block[0] + halo[0] + reach[0] + 1) * halo[1] * row
    lines = 3 * FFT_ROWS * halo[0] * row
    back = lags * (row + FLOAT_BYTES * halo[2])
    all_lags = lags * (2 * reach[2] + 1)
    return MASK_BYTES * math.prod(halo) + planes + max(lines, back) + LAG_BYTES * all_lags


def _labels(v: Volume, box: Sequence[Span]) -> NDArray[Any]:
    """Labels of a box, which may reach around a periodic volume."""
    z, y, x = (list(_pieces(span, n)) for span, n in zip(box, v.shape, strict=True))
    parts = [[[v.labels[i, j, k] for k in x] for j in y] for i in z]
    labels: NDArray[Any] = np.block(parts)
    return labels


def _cut(n: int, most: int) -> list[Span]:
    """Where blocks begin and end along a side: they are equal but for a voxel."""
    count = -(-n // most)
    return [(n * k // count, n * (k + 1) // count) for k in range(count)]


def _with_halo(span: Span, lags: Int64) -> Span:
    """A block and all that pairs with it, along an axis."""
    return span[0] + int(lags[0]), span[1] + int(lags[-1])


def _inside(box: Sequence[Span], shape: Sequence[int]) -> list[Span]:
    """What of a box lies in the volume."""
    return [(max(start, 0), min(stop, n)) for (start, stop), n in zip(box, shape, strict=True)]


def _pieces(span: Span, n: int) -> Iterator[slice]:
    """Slices of an axis of length n, one after the other, that a span covers periodically."""
    start, stop = span
    while start < stop:
        first = start % n
        length = min(stop - start, n - first)
        yield slice(first, first + length)
        start += length
