"""The numba kernels against plain numpy twins, and slabs against the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from metrics import neighbourhood
from metrics.neighbourhood import (
    OFFSETS,
    count_crossings,
    count_neighbourhood,
    count_triple_edges,
)
from metrics.volume import Phase, Volume, periodic_axes

LABELS = arrays(np.uint8, st.tuples(*[st.integers(1, 5)] * 3), elements=st.integers(0, 3))
PERIODIC = st.sampled_from([False, True, "z", "yx"])


def four_phases(labels: np.ndarray) -> Volume:
    return Volume(labels, phases=tuple(Phase(str(i), i, i) for i in range(4)))


def shifted(labels: np.ndarray, offset: tuple[int, ...], wraps: tuple[bool, ...]) -> tuple:
    """Each voxel and the one at an offset, where there is one: two equal-shaped arrays."""
    first, second = labels, labels
    for axis, (d, wrap) in enumerate(zip(offset, wraps, strict=True)):
        if wrap:
            second = np.roll(second, -d, axis)
        else:
            n = labels.shape[axis]
            first = first.take(range(max(0, -d), min(n, n - d)), axis)
            second = second.take(range(max(0, d), min(n, n + d)), axis)
    return first, second


def numpy_pairs(labels: np.ndarray, offset: tuple[int, ...], wraps: tuple[bool, ...]) -> np.ndarray:
    first, second = shifted(labels, offset, wraps)
    pairs = np.zeros((4, 4), int)
    np.add.at(pairs, (first.ravel(), second.ravel()), 1)
    return pairs


def numpy_edges(labels: np.ndarray, axis: int, wraps: tuple[bool, ...], n: int = 4) -> int:
    u, v = (a for a in range(3) if a != axis)
    padded = np.pad(labels, [(0, 1 if w else 0) for w in wraps], mode="wrap")
    if wraps[axis]:
        padded = padded.take(range(labels.shape[axis]), axis)
    corners = []
    for du in (0, 1):
        for dv in (0, 1):
            part = padded.take(range(du, padded.shape[u] - 1 + du), u)
            corners.append(part.take(range(dv, padded.shape[v] - 1 + dv), v))
    kinds = sum(np.any([c == phase for c in corners], axis=0).astype(int) for phase in range(n))
    return int((kinds >= 3).sum())


@given(LABELS, PERIODIC)
def test_counts_equal_numpy(labels: np.ndarray, periodic: bool | str) -> None:
    counts = count_neighbourhood(four_phases(labels), periodic=periodic)
    wraps = periodic_axes(periodic)
    assert counts.voxels.tolist() == np.bincount(labels.ravel(), minlength=4).tolist()
    for axis in range(3):
        offset = tuple(int(a == axis) for a in range(3))
        pairs = numpy_pairs(labels, offset, wraps)
        np.fill_diagonal(pairs, 0)
        np.testing.assert_array_equal(counts.faces[axis], pairs)
        assert counts.edges[axis] == numpy_edges(labels, axis, wraps)


@given(LABELS, PERIODIC)
def test_pairs_equal_numpy(labels: np.ndarray, periodic: bool | str) -> None:
    pairs, returns = count_crossings(four_phases(labels), periodic=periodic)
    wraps = periodic_axes(periodic)
    for k, offset in enumerate(OFFSETS.tolist()):
        np.testing.assert_array_equal(pairs[k], numpy_pairs(labels, offset, wraps))
        np.testing.assert_array_equal(returns[k], plain_returns(labels, offset, wraps))


def plain_returns(labels: np.ndarray, offset: list[int], wraps: tuple[bool, ...]) -> np.ndarray:
    found = np.zeros((4, 4), int)
    for here in np.ndindex(labels.shape):
        places = [[h + m * o for h, o in zip(here, offset, strict=True)] for m in (0, 1, 2)]
        limits = list(zip(labels.shape, wraps, strict=True))
        if all(
            0 <= i < n or wrap
            for place in places
            for i, (n, wrap) in zip(place, limits, strict=True)
        ):
            a, b, c = (labels[tuple(np.mod(place, labels.shape))] for place in places)
            found[a, b] += a == c != b
    return found


@given(LABELS)
def test_voxels_out_of_play_make_no_triple_edge(labels: np.ndarray) -> None:
    edges = count_triple_edges(labels | np.uint8(16), 3, bit=16)
    assert edges.tolist() == [numpy_edges(labels, axis, (False,) * 3, n=3) for axis in range(3)]


@pytest.mark.parametrize("periodic", [False, True])
def test_slabs_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch, periodic: bool) -> None:
    v = four_phases(np.random.default_rng(0).integers(0, 4, (7, 6, 5), dtype=np.uint8))
    whole, lines = count_neighbourhood(v, periodic=periodic), count_crossings(v, periodic=periodic)
    monkeypatch.setattr(neighbourhood, "SLAB_VOXELS", 60)  # two layers a slab
    monkeypatch.setattr(neighbourhood, "thread_count", lambda: 2)
    slabs = count_neighbourhood(v, periodic=periodic)
    np.testing.assert_array_equal(slabs.faces, whole.faces)
    np.testing.assert_array_equal(slabs.edges, whole.edges)
    np.testing.assert_array_equal(count_crossings(v, periodic=periodic), lines)


def test_large_labels_stay_apart() -> None:
    labels = np.array([[[2**60, 2**60 + 1, 2**60 + 1]]], np.uint64)  # equal as float64
    assert count_neighbourhood(Volume(labels)).voxels.tolist() == [1, 2]


def test_counts_do_not_overflow_the_label_type() -> None:
    v = Volume(np.zeros((2, 300, 300), np.uint8))
    assert count_neighbourhood(v).voxels.tolist() == [180_000]
    assert count_neighbourhood(v).voxels.dtype == np.int64


def test_offsets_are_one_of_each_opposite_pair() -> None:
    both = {tuple(o) for o in OFFSETS} | {tuple(-o) for o in OFFSETS}
    assert len(OFFSETS) == 13
    assert len(both) == 26
    assert (OFFSETS[:, 0] >= 0).all()
