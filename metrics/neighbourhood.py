"""What one pass over neighbouring voxels can count: voxels, faces, edges, pairs at an offset.

Volume fractions, interface areas, TPB and Crofton surfaces all follow from these integers.
A slab of layers gives partial counts and partial counts add up, so a memory map is read once
and slabs run in parallel.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrics.machine.compiled import compiled
from metrics.machine.threads import thread_count
from metrics.volume import Volume, periodic_axes

Counts = NDArray[np.int64]

# One of each pair of opposite directions to the 26 neighbours, with dz >= 0 so that a slab needs
# layers more on one side only: 3 axes, 6 face diagonals, 4 space diagonals.
OFFSETS = np.array([d for d in product((-1, 0, 1), repeat=3) if d > (0, 0, 0)])

AHEAD_VOXELS = 1 << 27  # in slabs that wait to be counted
SLAB_VOXELS = 1 << 21  # small enough for the cache and for bounded memory over a memory map


@dataclass(frozen=True)
class Neighbourhood:
    """Integer counts of one volume with n phases, in the order of ``volume.phase_labels``.

    Attributes
    ----------
    volume : Volume
        What was counted.
    voxels : (n,) int64 ndarray
        Voxels of each phase.
    faces : (3, n, n) int64 ndarray
        Voxel faces normal to z, y, x between a phase (row) and the next voxel's phase (column).
    edges : (3,) int64 ndarray
        Voxel edges along z, y, x whose four voxels hold three or more phases.
    """

    volume: Volume
    voxels: Counts
    faces: Counts
    edges: Counts


def count_neighbourhood(volume: Volume, *, periodic: bool | str = False) -> Neighbourhood:
    """Count voxels, faces by phase pair and triple-phase edges in one pass.

    Peak memory beyond the input: a slab of at most 2 M voxels a thread.
    """
    n = len(volume.phase_labels)
    wraps = periodic_axes(periodic)

    def count(slab: NDArray[np.uint8], layers: int) -> Counts:
        voxels, faces, edges = _empty(n), _empty(3, n, n), _empty(3)
        _count_slab(slab, layers, _bits(n), wraps[1], wraps[2], voxels, faces, edges)
        return np.concatenate([voxels, faces.ravel(), edges])

    total = _sum_over_slabs(count, _slabs(volume, wraps[0]))
    voxels, faces, edges = np.split(total, [n, n + 3 * n * n])
    return Neighbourhood(volume, voxels, faces.reshape(3, n, n), edges)


def count_triple_edges(
    codes: NDArray[np.uint8], n: int, *, bit: int, periodic: bool | str = False
) -> Counts:
    """Voxel edges along z, y, x where at least three of the phases 0..n-1 meet.

    A code holds the phase in its low four bits; voxels take part that have this bit too.
    """
    bits = np.append(_bits(n), np.uint32(0))
    wraps = periodic_axes(periodic)

    def count(slab: NDArray[np.uint8], layers: int) -> Counts:
        voxels, faces, edges = _empty(n + 1), _empty(3, n + 1, n + 1), _empty(3)
        phases = np.where(slab & np.uint8(bit), slab & np.uint8(15), np.uint8(n))
        _count_slab(phases, layers, bits, wraps[1], wraps[2], voxels, faces, edges)
        return edges

    return _sum_over_slabs(count, _extend(codes, wraps[0]))


class Crossings(NamedTuple):
    """What lines along the 13 `OFFSETS` meet, by phases in the order of ``volume.phase_labels``.

    Attributes
    ----------
    pairs : (13, n, n) int64 ndarray
        Steps from a voxel of one phase (row) to one of another (column).
    returns : (13, n, n) int64 ndarray
        Two steps from a phase (row) to another (column) and back to the first.
    """

    pairs: Counts
    returns: Counts


def count_crossings(volume: Volume, *, periodic: bool | str = False) -> Crossings:
    """Count steps between phases, and those that lead back at once, along the 13 `OFFSETS`."""
    n = len(volume.phase_labels)
    wraps = periodic_axes(periodic)

    def count(slab: NDArray[np.uint8], layers: int) -> Counts:
        found = _empty(2, len(OFFSETS), n, n)
        _count_crossings(slab, layers, OFFSETS, wraps[1], wraps[2], *found)
        return found

    return Crossings(*_sum_over_slabs(count, _slabs(volume, wraps[0], reach=2)))


def encode(labels: NDArray[Any], phase_labels: Sequence[int]) -> NDArray[np.uint8]:
    """Labels as uint8 ranks 0..n-1 among the phases; no copy where they are that already."""
    ranks = np.arange(len(phase_labels))
    if labels.dtype == np.uint8 and np.array_equal(phase_labels, ranks):
        return labels
    codes = np.empty(labels.shape, np.uint8)
    for rank, label in enumerate(phase_labels):
        codes[labels == label] = rank
    return codes


def _empty(*shape: int) -> Counts:
    return np.zeros(shape, np.int64)


def _bits(n: int) -> NDArray[np.uint32]:
    """One bit for each phase."""
    return np.left_shift(np.uint32(1), np.arange(n, dtype=np.uint32))


def _slabs(volume: Volume, wrap: bool, reach: int = 1) -> Iterator[tuple[NDArray[np.uint8], int]]:
    for slab, layers in _extend(volume.labels, wrap, reach):
        yield encode(slab, volume.phase_labels), layers


def _extend(labels: NDArray[Any], wrap: bool, reach: int = 1) -> Iterator[tuple[NDArray[Any], int]]:
    """Slabs with, behind their own layers, the next ones up to `reach`, where there are any."""
    depth, height, width = labels.shape
    step = max(1, SLAB_VOXELS // (height * width))
    for start in range(0, depth, step):
        stop = min(start + step, depth)
        slab = labels[start : stop + reach]
        if stop + reach > depth and wrap:
            slab = np.stack([labels[z % depth] for z in range(start, stop + reach)])
        yield slab, stop - start


def _sum_over_slabs(
    count: Callable[[NDArray[np.uint8], int], Counts],
    slabs: Iterator[tuple[NDArray[np.uint8], int]],
) -> Counts:
    threads = thread_count()
    with ThreadPoolExecutor(threads) as pool:
        running: deque[Future[Counts]] = deque()
        found: list[Counts] = []
        # Slabs that are read from a file are no views of it: only some are held at a time, enough
        # to be counted while the next ones are read.
        for slab, layers in slabs:
            running.append(pool.submit(count, slab, layers))
            if len(running) > max(threads, AHEAD_VOXELS // slab.size):
                found.append(running.popleft().result())
        return np.sum([*found, *(future.result() for future in running)], axis=0)


@compiled(nogil=True)
def _count_slab(slab, layers, bits, wrap_y, wrap_x, voxels, faces, edges):  # type: ignore[no-untyped-def]
    depth, height, width = slab.shape
    for z in range(layers):
        # Beyond an open end the neighbour is the voxel itself: that makes no face, and leaves at
        # most two phases around an edge.
        zn = min(z + 1, depth - 1)
        for y in range(height):
            yn = y + 1 if y + 1 < height else (0 if wrap_y else y)
            for x in range(width):
                xn = x + 1 if x + 1 < width else (0 if wrap_x else x)
                here = slab[z, y, x]
                next_z, next_y, next_x = slab[zn, y, x], slab[z, yn, x], slab[z, y, xn]
                voxels[here] += 1
                if next_z != here:
                    faces[0, here, next_z] += 1
                if next_y != here:
                    faces[1, here, next_y] += 1
                if next_x != here:
                    faces[2, here, next_x] += 1
                b, bz, by, bx = bits[here], bits[next_z], bits[next_y], bits[next_x]
                edges[0] += _three(b | by | bx | bits[slab[z, yn, xn]])
                edges[1] += _three(b | bz | bx | bits[slab[zn, y, xn]])
                edges[2] += _three(b | bz | by | bits[slab[zn, yn, x]])


@compiled(nogil=True)
def _three(phases):  # type: ignore[no-untyped-def]
    """1 if at least three bits are set: clearing the lowest twice leaves some."""
    phases &= phases - np.uint32(1)
    phases &= phases - np.uint32(1)
    return 1 if phases != 0 else 0


@compiled(nogil=True)
def _place(i, n, wrap):  # type: ignore[no-untyped-def]
    """Index of a place along an axis of n; -1 beyond an open end."""
    if 0 <= i < n:
        return i
    return i % n if wrap else -1


@compiled(nogil=True)
def _count_crossings(slab, layers, offsets, wrap_y, wrap_x, pairs, returns):  # type: ignore[no-untyped-def]
    depth, height, width = slab.shape
    for k in range(len(offsets)):
        dz, dy, dx = offsets[k]
        for z in range(min(layers, depth - dz)):
            # The layers behind the slab's own are those around the period already.
            zf = _place(z + 2 * dz, depth, False)
            for y in range(height):
                yn, yf = _place(y + dy, height, wrap_y), _place(y + 2 * dy, height, wrap_y)
                if yn < 0:
                    continue
                for x in range(width):
                    xn = _place(x + dx, width, wrap_x)
                    if xn < 0:
                        continue
                    here, there = slab[z, y, x], slab[z + dz, yn, xn]
                    pairs[k, here, there] += 1
                    if here != there and zf >= 0 and yf >= 0:
                        xf = _place(x + 2 * dx, width, wrap_x)
                        if xf >= 0 and slab[zf, yf, xf] == here:
                            returns[k, here, there] += 1
