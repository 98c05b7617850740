"""Euler number."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from metrics import topology
from metrics.shapes import sphere
from metrics.topology import euler_number
from metrics.volume import InputError, Phase, Volume

PHASES = (Phase("pore", 0, 0), Phase("solid", 1, 1), Phase("other", 2, 2))
SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=6)
LABELS = hnp.arrays(np.uint8, SHAPES, elements=st.integers(0, 2))


def plain_euler(mask, connectivity):
    """Alternating sum over the cells of dimension 0 to 3 of the cubical complex.

    For 26 the voxels are the closed cubes: a cell is there if ANY voxel around it is. For 6 the
    voxels are the vertices of the dual complex: a cell is there if ALL voxels at its corners are.
    """
    padded = np.pad(mask, 1)
    chi = 0
    for cell in product((0, 1), repeat=3):  # 1: the cell spans two voxels along this axis
        windows = np.lib.stride_tricks.sliding_window_view(padded, [1 + c for c in cell])
        if connectivity == 6:
            chi += (-1) ** sum(cell) * windows.all(axis=(3, 4, 5)).sum()
        else:
            chi += (-1) ** (3 - sum(cell)) * windows.any(axis=(3, 4, 5)).sum()
    return chi


def torus(shape=(12, 24, 24), ring=7.0, tube=3.0):
    z, y, x = (a - (n - 1) / 2 for a, n in zip(np.indices(shape), shape, strict=True))
    return ((np.hypot(y, x) - ring) ** 2 + z**2 <= tube**2).astype(np.uint8)


def hollow_ball():
    ball = sphere((20, 20, 20), radius=8).volume.labels
    return np.where(sphere((20, 20, 20), radius=4).volume.labels == 1, 0, ball)


def pretzel():
    two_holes = np.ones((1, 3, 5), dtype=np.uint8)
    two_holes[0, 1, [1, 3]] = 0
    return two_holes


BODIES = {
    "ball": (sphere((16, 16, 16), radius=6).volume.labels, 1),
    "two balls": (np.tile(sphere((16, 16, 16), radius=6).volume.labels, (1, 1, 2)), 2),
    "torus": (torus(), 0),
    "hollow ball": (hollow_ball(), 2),
    "plate with two holes": (pretzel(), -1),
    "one voxel": (np.ones((1, 1, 1), dtype=np.uint8), 1),
}


@pytest.mark.parametrize("connectivity", [6, 26])
@pytest.mark.parametrize("name", BODIES)
def test_known_bodies(name, connectivity):
    labels, expected = BODIES[name]
    volume = Volume(labels, phases=PHASES)
    result = euler_number(volume, phase=1, connectivity=connectivity)
    assert result == expected
    assert type(result) is int


def test_connectivity_decides_whether_a_diagonal_pair_touches():
    pair = np.zeros((2, 2, 2), dtype=np.uint8)
    pair[0, 0, 0] = pair[1, 1, 1] = 1
    assert euler_number(pair, phase=1) == 2
    assert euler_number(pair, phase=1, connectivity=6) == 2
    assert euler_number(pair, phase=1, connectivity=26) == 1


@settings(max_examples=30)
@given(LABELS, st.sampled_from([6, 26]), st.integers(0, 2), st.integers(1, 4))
def test_agrees_with_counting_cells_whatever_the_slabs(labels, connectivity, phase, layers):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topology, "LAYERS", layers)
        volume = Volume(labels, phases=PHASES)
        result = euler_number(volume, phase=phase, connectivity=connectivity)
    assert result == plain_euler(labels == phase, connectivity)


def test_the_shared_layers_matter():
    """Slabs without a shared layer would cut a solid block in two: 2 instead of 1."""
    block = np.ones((2 * topology.LAYERS, 2, 2), dtype=np.uint8)
    cut = topology.LAYERS
    assert euler_number(block, phase=1) == 1
    assert euler_number(block[:cut], phase=1) + euler_number(block[cut:], phase=1) == 2


@settings(max_examples=30)
@given(LABELS, LABELS, st.sampled_from([6, 26]))
def test_additive_over_separate_bodies(first, second, connectivity):
    shape = np.maximum(first.shape, second.shape)
    grown = [np.pad(a, [(0, n) for n in shape - a.shape]) for a in (first, second)]
    gap = np.zeros((1, *shape[1:]), dtype=np.uint8)

    def count(labels):
        return euler_number(Volume(labels, phases=PHASES), phase=1, connectivity=connectivity)

    assert count(np.concatenate([grown[0], gap, grown[1]])) == count(first) + count(second)


@settings(max_examples=30)
@given(LABELS, st.permutations(range(3)), st.sampled_from([6, 26]))
def test_permuting_flipping_relabelling_spacing(labels, order, connectivity):
    new_labels = np.array([30, 10, 20])[labels[::-1, :, ::-1].transpose(order)]
    phases = (Phase("solid", 10, 10), Phase("other", 20, 20), Phase("pore", 30, 30))
    before = Volume(labels, phases=PHASES)
    after = Volume(new_labels, spacing=(1, 2, 3), phases=phases)
    assert euler_number(before, phase=0, connectivity=connectivity) == euler_number(
        after, phase=30, connectivity=connectivity
    )


@settings(max_examples=30)
@given(LABELS)
def test_duality(labels):
    """Framed by the phase, its X26 is one more than the X6 of its complement.

    Alexander duality: cavities of the one are objects of the other, and tunnels are shared.
    """
    framed = np.pad((labels == 1).astype(np.uint8), 1, constant_values=1)
    volume = Volume(framed, phases=PHASES)
    assert euler_number(volume, phase=1, connectivity=26) == 1 + euler_number(
        volume, phase=0, connectivity=6
    )


def test_the_edge_of_the_volume_closes_the_phase():
    """A sheet that runs through is one object, and a framed hole in the complement a tunnel."""
    sheet = np.zeros((5, 6, 7), dtype=np.uint8)
    sheet[2] = 1
    assert euler_number(sheet, phase=1) == 1
    assert euler_number(sheet, phase=0) == 2
    sheet[2, 3, 3] = 0
    assert euler_number(sheet, phase=1) == 0


def test_any_integer_layout():
    labels = np.random.default_rng(0).integers(0, 2, size=(6, 7, 8), dtype=np.uint8)
    wide = np.zeros((6, 14, 8), dtype=np.int64)
    wide[:, ::2] = labels
    expected = plain_euler(labels == 1, 6)
    assert expected != 0
    for same in (labels, labels.astype(bool), np.asfortranarray(labels), wide[:, ::2]):
        assert euler_number(same, phase=1) == expected


def test_absent_phase_and_bad_input():
    volume = Volume(np.zeros((2, 3, 4), dtype=int), phases=PHASES)
    assert euler_number(volume, phase=2) == 0
    with pytest.raises(InputError, match="no phase 7"):
        euler_number(volume, phase=7)
    with pytest.raises(InputError, match="connectivity must be 6 or 26, got 18"):
        euler_number(volume, phase=0, connectivity=18)
