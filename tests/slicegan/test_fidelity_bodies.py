"""Fidelity of bodies: isotropic fields of one law, and bodies that are wrong on some planes."""

from __future__ import annotations

from math import log, pi, sqrt

import numpy as np
import pytest
from training_images import slices_of, training_data

from metrics.shapes import gaussian_random_field
from slicegan.fidelity import judge, reference
from slicegan.plane_maps import expected_diagonal

# `two_point_map` promises 1e-6, which relative errors divide by phi (1 - phi) or a boundary > 0.05
EXACT = 1e-4


def field(seed: int, side: int = 128, length: float = 2.0) -> np.ndarray:
    return gaussian_random_field((side,) * 3, correlation_length=length, seed=seed).volume.labels


def slice_of_field(seed: int, side: int = 512, length: float = 2.0) -> np.ndarray:
    shape = (2, side, side)
    return gaussian_random_field(shape, correlation_length=length, seed=seed).volume.labels[:1]


# Integral range of the field's slices: int of 2/pi asin(exp(-r^2 / 2 l^2)) over the plane
INTEGRAL_RANGE = 4 * 2.0**2 * (pi / 2 * log(2))


def test_an_isotropic_field_is_as_good_as_sampling_allows() -> None:
    image, volumes = slice_of_field(1), [field(2), field(3)]
    found = judge(volumes, reference(training_data({"zyx": [image]})))
    # The image's fraction varies most: its variance is phi (1 - phi) integral range / area. A shift
    # of phi shifts S2 by 2 phi as much at long lags, of which phi (1 - phi) is a quarter.
    sigma = sqrt(0.25 * INTEGRAL_RANGE / image.size)
    assert found.fraction < 3 * sigma
    assert found.s2 < 4 * 3 * sigma
    # 2.4 million pixel pairs, a boundary pixel in about 3.2 correlation lengths: 0.6 % and margin
    assert found.boundary < 0.03
    assert list(found.planes) == ["z", "y", "x", "45z", "45y", "45x"]


def test_interpolation_on_diagonal_planes_is_exact_enough() -> None:
    body = gaussian_random_field((128,) * 3, correlation_length=1.5, seed=0)
    assert body.two_point is not None
    lags = np.arange(-32, 33)
    found = expected_diagonal(body.two_point(np.hypot(lags[:, None], lags))[None])[0]
    steps = np.arange(-(found.shape[1] // 2), found.shape[1] // 2 + 1)
    r = np.hypot(lags[:, None], sqrt(2) * steps)
    error = abs(found - body.two_point(r)) / 0.25
    # as the docstring of `judge` promises
    assert error.max() < 0.003
    assert np.average(error[r > 0], weights=1 / r[r > 0]) < 0.0001


def test_one_slice_repeated_is_wrong_across_it_only() -> None:
    image = slice_of_field(1, 256)
    volume = np.repeat(slice_of_field(2, 256)[:, :96, :96], 96, axis=0)
    found = judge([volume], reference(training_data({"zyx": [image]}))).planes
    for plane in ("y", "x", "45z"):
        assert found[plane].s2 > 3 * found["z"].s2
        # No boundary is met along z, half of the plane's. 2600 boundary pixels of a slice, of which
        # a feature holds some ten: 6 %, and twice that as margin.
        assert found[plane].boundary == pytest.approx(0.5, abs=0.12)
    assert found["z"].boundary < 0.12
    for plane in ("45y", "45x"):
        # The diagonal of z and x meets no more than a step along x, which is sqrt(2) shorter:
        # (1 + 1 / sqrt(2)) / 2 of the plane's boundary.
        assert found[plane].boundary == pytest.approx(0.146, abs=0.12)


def test_shuffled_slices_are_wrong_across_the_stack() -> None:
    volume = field(2, 96, 3.0)
    wanted = reference(training_data({"zyx": [slice_of_field(1, 256, 3.0)]}))
    shuffled = np.random.default_rng(0).permutation(volume)
    before, after = judge([volume], wanted).planes, judge([shuffled], wanted).planes
    assert after["z"] == pytest.approx(before["z"], abs=EXACT)
    for plane in ("y", "x", "45y", "45x", "45z"):
        assert after[plane].s2 > before[plane].s2 + 0.05
        assert after[plane].boundary > 0.3


def test_only_diagonal_planes_see_what_axis_planes_cannot_show() -> None:
    # A noise image that moves by one pixel in y and x from slice to slice: every axis plane is
    # noise, but all voxels along (1, 1, 1) are alike.
    n = 128
    noise = np.random.default_rng(0).permutation(n * n).reshape(n, n) % 2
    z, y, x = np.indices((n, n, n), dtype=np.int32)
    volume = noise[(y - z) % n, (x - z) % n]
    found = judge([volume], reference(training_data({"zyx": [noise[None].astype(np.uint8)]})))
    axes, diagonals = ([found.planes[f"{d}{a}"].s2 for a in "zyx"] for d in ("", "45"))
    # n^2 pixels leave 1 / n of noise at every lag; on average over lags 0.8 of that (half-normal)
    assert max(axes) < 1.5 / n
    # One of two diagonals has S2 = phi at the 2 lags (k, k, k) of distance sqrt(3) k, in a plane of
    # 2 pi / sqrt(2) lags per distance: 0.5 / sqrt(3) sum(1/k, k <= 18) / (31 pi / sqrt(2)) = 0.0146
    assert min(diagonals) > 2 / n


def test_anisotropic_sources_are_told_apart() -> None:
    def long_in_z(seed: int) -> np.ndarray:
        lengths = (6.0, 2.0, 2.0)
        return gaussian_random_field((96,) * 3, correlation_length=lengths, seed=seed).volume.labels

    volume = long_in_z(0)
    z, y, x = slices_of(volume).values()
    wanted = reference(training_data({"z": z, "yx": y + x}))
    right = judge([volume], wanted)
    assert list(right.planes) == ["z", "y", "x"]
    assert np.isnan(right.row()["s2_45z"])
    # its own slices, but for the chance that y and x differ, which share their images
    assert right.s2 < 0.02
    assert right.boundary < 0.02
    fresh = judge([long_in_z(1)], wanted)
    turned = judge([volume.swapaxes(0, 1)], wanted)  # long in y
    # a boundary is met every 2 or 6 l, so one of two directions changes threefold
    assert turned.boundary > 0.3 > 3 * fresh.boundary
    assert turned.planes["z"].s2 > 3 * right.s2
    # across both y and z planes, rows and columns are told apart
    assert judge([volume.swapaxes(0, 2)], wanted).planes["y"].boundary < 0.02
    assert judge([volume.swapaxes(0, 2)], wanted).planes["y"].s2 > 3 * right.s2
