"""One body at three resolutions, with the spacing to match, gives one physical number.

Surface, chords, thickness and diffusivity are tested so in their own files.
"""

from __future__ import annotations

import numpy as np
import pytest

from metrics import (
    euler_number,
    fraction_profile,
    percolation,
    tpb_density,
    two_point_cluster,
    two_point_correlation,
    volume_fraction,
)
from metrics.shapes import sphere, tilted_triple_line
from metrics.shapes.body import Body

RESOLUTIONS = (24, 48, 96)


def ball(n: int) -> Body:
    return sphere((n, n, n), radius=9, spacing=24 / n, offset=(0.3, 0.2, 0.4), unit="um")


def errors(found: list[float], exact: float) -> np.ndarray:
    return np.abs(np.array(found) / exact - 1)


def test_volume_fraction_of_a_ball() -> None:
    found = [volume_fraction(ball(n).volume)[1] for n in RESOLUTIONS]
    # Points counted in a ball of R voxels scatter by about R^-3/2: 4 %, 1.3 %, .5 %.
    exact = ball(24).volume_fraction
    assert exact is not None
    assert (errors(found, exact[1]) < [0.04, 0.013, 0.005]).all()


def test_profile_of_a_ball_peaks_at_its_section() -> None:
    found = [fraction_profile(ball(n).volume, axis="z")[1].max() for n in RESOLUTIONS]
    # Points counted in a disc of R voxels scatter by about R^-3/2 too, as lattice points do.
    assert (errors(found, np.pi * 9**2 / 24**2) < [0.04, 0.013, 0.005]).all()


@pytest.mark.parametrize("function", [two_point_correlation, two_point_cluster])
def test_correlations_of_a_ball_at_one_distance(function: object) -> None:
    bodies = [ball(n) for n in RESOLUTIONS]
    found = []
    for n, body in zip(RESOLUTIONS, bodies, strict=True):
        lag = n // 4  # 6 um
        s2 = function(body.volume, phase=1, max_lag=lag)  # type: ignore[operator]
        # All of the ball lies in the window, so pairs found are those of the periodic body.
        found.append(s2.axis["y"][lag] * s2.pairs["y"][lag] / body.volume.labels.size)
    two_point = bodies[0].two_point
    assert two_point is not None
    # Points counted in a lens, as in a ball above, of a third of its volume.
    assert (errors(found, float(two_point(6.0))) < [0.07, 0.025, 0.01]).all()


def test_triple_line_of_one_direction() -> None:
    found = []
    for n in RESOLUTIONS:
        body = tilted_triple_line((n, n, n), direction=(3, 2, 1), spacing=24 / n)
        found.append(tpb_density(body.volume))
    # A staircase has one length at all resolutions; its ends cost a voxel or two of n.
    assert (errors(found, found[-1]) < [2 / 24, 2 / 48, 1e-12]).all()


def test_topology_does_not_depend_on_resolution() -> None:
    for n in RESOLUTIONS:
        volume = ball(n).volume
        assert euler_number(volume, phase=1) == 1
        assert euler_number(volume, phase=0) == 2  # a box with a cavity
        assert not percolation(volume, phase=1, axis="z").percolates
        assert percolation(volume, phase=0, axis="z").percolating_fraction == 1
