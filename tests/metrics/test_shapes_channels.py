"""Channels against plain counting and an independent solve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_counting import counted_areas, counted_fractions

from benchmarks.trust.sparse_diffusion import sparse_diffusivity
from metrics import shapes
from metrics.volume import AXES


@pytest.mark.parametrize("axis", AXES)
def test_straight_channel_against_counting_and_solving(axis: str) -> None:
    shape, spacing = (4, 5, 6), (0.5, 2.0, 3.0)
    across = [n for n, name in zip(shape, AXES, strict=True) if name != axis]
    section = np.zeros(across, dtype=bool)
    section[1:, 1] = section[2, 1:4] = True  # an L that touches one side
    for opening in (None, section):
        body = shapes.straight_channel(shape, section=opening, axis=axis, spacing=spacing)
        mask = body.volume.labels == 0
        assert body.volume_fraction == pytest.approx(counted_fractions(body.volume))
        assert body.interface_areas == pytest.approx(counted_areas(body.volume))
        assert set(body.effective_diffusivity) == set(AXES)
        for name, value in body.effective_diffusivity.items():
            # Solved by conjugate gradients to 1e-10.
            assert value == pytest.approx(sparse_diffusivity(mask, name, spacing), abs=1e-8)


def test_straight_channel_gives_no_answer_where_no_row_of_wall_blocks() -> None:
    section = np.eye(4, dtype=bool)
    assert shapes.straight_channel((3, 4, 4), section=section).effective_diffusivity == {"z": 0.25}
    section = np.zeros((4, 5), dtype=bool)
    section[1] = True  # a slit from side to side along x
    values = shapes.straight_channel((3, 4, 5), section=section).effective_diffusivity
    assert values == {"z": 0.25, "y": 0.0}


@pytest.mark.parametrize("angle", [0, -20, 35])
def test_tilted_channel_is_the_limit_of_its_voxels(angle: float) -> None:
    errors = []
    for n in (80, 160, 320):
        body = shapes.tilted_channel(
            (n, 1, 3 * n // 2), thickness=0.3, angle=angle, spacing=1 / n, unit="um"
        )
        mask = body.volume.labels == 0
        solved = sparse_diffusivity(mask, "z", body.volume.spacing)
        # One wall of voxel centres more or fewer is 1 in 0.3 n.
        assert mask.mean() == pytest.approx(body.volume_fraction[0], rel=1.5 / (0.3 * n))
        errors.append(1 - solved / body.effective_diffusivity["z"])
    extrapolated = abs(2 * errors[2] - errors[1])
    # First order: 3 % at n = 80 falls to under 1 %, and to 0.5 % by extrapolation.
    assert abs(errors[2]) < 0.01
    assert extrapolated < 0.005
    thin = body.volume_fraction[0] * np.cos(np.radians(angle)) ** 2
    # Negative control: the thin limit, without the oblique ends, is not what the voxels tend to.
    if angle == 35:
        assert abs(1 - solved / thin - errors[2]) > 0.02
    assert solved > 0.98 * thin


def test_tilted_channel_other_axes() -> None:
    body = shapes.tilted_channel((16, 3, 32), thickness=5, angle=30)
    mask = body.volume.labels == 0
    assert sparse_diffusivity(mask, "x") == body.effective_diffusivity["x"] == 0
    assert sparse_diffusivity(mask, "y") == pytest.approx(mask.mean())
    assert body.effective_diffusivity["y"] == body.volume_fraction[0]
    # The same slit between the other axes, and wrapped through the sides.
    other = shapes.tilted_channel((3, 32, 16), thickness=5, angle=30, axis="x", tilt="y")
    np.testing.assert_array_equal(other.volume.labels, body.volume.labels.transpose(1, 2, 0))
    wrapped = shapes.tilted_channel((16, 3, 12), thickness=5, angle=30, periodic=True)
    folded = np.zeros((16, 3, 12), dtype=bool)
    for x in range(32):
        folded[:, :, (x - 10) % 12] |= mask[:, :, x]  # 10 = 32/2 - 12/2 puts the centres in line
    np.testing.assert_array_equal(folded, wrapped.volume.labels == 0)
    assert wrapped.effective_diffusivity["z"] * 12 == pytest.approx(
        body.effective_diffusivity["z"] * 32
    )


@given(angle=st.floats(-60, 60), thickness=st.floats(0.5, 4))
@settings(max_examples=30)
def test_tilted_channel_keeps_its_bounds(angle: float, thickness: float) -> None:
    body = shapes.tilted_channel((16, 1, 64), thickness=thickness, angle=angle)
    fraction = body.volume_fraction[0]
    thin = fraction * np.cos(np.radians(angle)) ** 2
    assert thin * (1 - 1e-12) <= body.effective_diffusivity["z"] <= fraction * (1 + 1e-12)
