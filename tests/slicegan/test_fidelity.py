"""Fidelity: counted by hand, identities, intensities, and what cannot be judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from math import hypot, nan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_images import slices_of, training_data

from metrics.shapes import gaussian_random_field
from metrics.volume import InputError, Volume
from slicegan.config import Kind
from slicegan.fidelity import Fidelity, PlaneErrors, judge, reference
from slicegan.plane_maps import expected_diagonal

# `two_point_map` promises 1e-6, which relative errors divide by phi (1 - phi) or a boundary > 0.05
EXACT = 1e-4
NOISE = st.builds(
    lambda seed, shape: np.random.default_rng(seed).integers(0, 2, shape, dtype=np.uint8),
    st.integers(0, 2**32 - 1),
    st.tuples(*[st.integers(8, 11)] * 3),
)


def neighbours(labels: np.ndarray, shift: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Voxels and those a shift away, wherever both are inside."""
    ends = [
        (slice(max(0, -s), n - max(0, s)), slice(max(0, s), n - max(0, -s)))
        for s, n in zip(shift, labels.shape, strict=True)
    ]
    return labels[tuple(a for a, _ in ends)], labels[tuple(b for _, b in ends)]


def counted(labels: np.ndarray, phase: int, shift: Sequence[int]) -> float:
    """S2 by shifting masks."""
    here, there = neighbours(labels == phase, shift)
    return float((here & there).mean())


def test_equals_direct_counting() -> None:
    random = np.random.default_rng(0)
    images = {axis: random.integers(0, 3, (1, 9, 10)).astype(np.uint8) for axis in "zyx"}
    volume = random.integers(0, 3, (7, 6, 8)).astype(np.uint8)
    spacing = {"z": 3.0, "y": 1.0, "x": 2.0}
    data = training_data(
        {axis: [image] for axis, image in images.items()}, phases=3, spacing=(3.0, 1.0, 2.0)
    )
    found = judge([volume], reference(data))
    lag = 3  # half the volume's shortest side
    fraction = 0.0
    for axis, (down, across) in {"z": "yx", "y": "zx", "x": "zy"}.items():
        s2 = boundary = 0.0
        for phase in range(3):
            phi = float((images[axis] == phase).mean())
            fraction = max(fraction, abs(phi - float((volume == phase).mean())))
            total = weights = 0.0
            lengths = np.zeros(2)
            for i in range(-lag, lag + 1):
                for j in range(-lag, lag + 1):
                    shift = {"z": 0, "y": 0, "x": 0, down: i, across: j}
                    of_volume = counted(volume, phase, [shift[a] for a in "zyx"])
                    of_image = counted(images[axis], phase, (0, i, j))
                    r = hypot(i * spacing[down], j * spacing[across])
                    if 0 < r <= lag * min(spacing[down], spacing[across]):
                        total += abs(of_volume - of_image) / r
                        weights += 1 / r
                    if (i, j) in ((1, 0), (0, 1)):
                        step = spacing[down] if i else spacing[across]
                        here = (float((volume == phase).mean()), phi)
                        lengths += (np.array(here) - (of_volume, of_image)) / step
            s2 = max(s2, total / weights / (phi * (1 - phi)))
            boundary = max(boundary, abs(lengths[0] / lengths[1] - 1))
        assert found.planes[axis] == pytest.approx((s2, boundary), abs=EXACT)
    assert found.fraction == pytest.approx(fraction, abs=EXACT)


def test_standard_errors_are_the_spread_over_samples() -> None:
    """Volumes off by more than their noise, whose errors are therefore linear in it."""
    wanted = reference(training_data({"zyx": [field(0, 0.4, (1, 256, 256))]}))
    samples = [
        judge([field(10 * k + j, 0.5, (24,) * 3) for j in range(4)], wanted) for k in range(1, 61)
    ]
    for name in ("fraction", "s2", "boundary"):
        spread = np.std([getattr(found, name) for found in samples], ddof=1)
        said = np.sqrt(np.mean([found.standard_errors[name] ** 2 for found in samples]))
        # The spread of 60 has an error of 9 %, twice that is allowed, and the worst of six planes a
        # bias; an error of a single volume instead of the mean of four would be twice as large.
        assert said == pytest.approx(spread, rel=0.25), name
    assert judge([field(0, 0.5, (24,) * 3)], wanted).standard_errors == {}


def field(seed: int, fraction: float, shape: tuple[int, int, int]) -> np.ndarray:
    body = gaussian_random_field(
        shape, correlation_length=2, seed=seed, fractions=(fraction, 1 - fraction)
    )
    return np.asarray(body.volume.labels).astype(np.uint8)


def test_diagonal_planes_equal_direct_counting() -> None:
    random = np.random.default_rng(1)
    image = random.integers(0, 2, (1, 24, 24)).astype(np.uint8)
    volume = random.integers(0, 2, (8, 8, 8)).astype(np.uint8)
    volume[:, :, 4:] |= volume[:, :, :4]  # so that axes and diagonals differ
    found = judge([volume], reference(training_data({"zyx": [image]})))
    lag, reach = 4, 2  # 2 sqrt(2) < 4 < 3 sqrt(2)
    turned = [np.rot90(image, k, (1, 2)) for k in range(2)]
    map_of_image = np.array(
        [
            [
                np.mean([counted(t, 0, (0, i, s * j)) for t in turned for s in (1, -1)])
                for j in range(-lag, lag + 1)
            ]
            for i in range(-lag, lag + 1)
        ]
    )
    expected = expected_diagonal(map_of_image[np.newaxis])[0]
    phi = map_of_image[lag, lag]
    for axis in range(3):
        total = weights = 0.0
        lengths = np.zeros(2)
        for u in range(-lag, lag + 1):
            for v in range(-reach, reach + 1):
                both = [np.insert([v, s * v], axis, u) for s in (1, -1)]
                of_volume = np.mean([counted(volume, 0, shift) for shift in both])
                r = hypot(u, sqrt(2) * v)
                if 0 < r <= sqrt(2) * reach:
                    total += abs(of_volume - expected[lag + u, reach + v]) / r
                    weights += 1 / r
                if (u, v) in ((1, 0), (0, 1)):
                    of_image = map_of_image[
                        lag + u + v, lag + v
                    ]  # (1, 0) or (1, 1): on the lattice
                    here = np.array([(volume == 0).mean(), phi])
                    lengths += (here - (of_volume, of_image)) / (1 if u else sqrt(2))
        s2, boundary = found.planes[f"45{'zyx'[axis]}"]
        assert s2 == pytest.approx(total / weights / (phi * (1 - phi)), abs=EXACT)
        assert boundary == pytest.approx(abs(lengths[0] / lengths[1] - 1), abs=EXACT)


@settings(max_examples=10)
@given(labels=NOISE)
def test_a_volume_matches_its_own_slices(labels: np.ndarray) -> None:
    found = judge([labels], reference(training_data(slices_of(labels))))
    assert found.score == pytest.approx(0, abs=1e-2)  # EXACT over bars of 0.01 or more
    assert found.row()["s2_x"] == pytest.approx(0, abs=EXACT)


@settings(max_examples=10)
@given(labels=NOISE, order=st.permutations(range(3)))
def test_the_order_of_phases_does_not_matter(labels: np.ndarray, order: list[int]) -> None:
    labels[:4] += 1  # phases 0 and 1 in some slices, 1 and 2 in others
    image = np.random.default_rng(0).integers(0, 3, (1, 16, 16)).astype(np.uint8)
    table = np.array(order, np.uint8)
    found, permuted = (
        judge([v], reference(training_data({"zyx": [i]}, phases=3)))
        for v, i in ((labels, image), (table[labels], table[image]))
    )
    # The score: EXACT over bars.
    assert permuted.row() == pytest.approx(found.row(), abs=1e-2, nan_ok=True)
    assert permuted.planes["x"] == pytest.approx(found.planes["x"], abs=EXACT)


def test_flips_that_training_allows_are_no_error() -> None:
    # steps that lead down to the right, and the same steps flipped, in equal parts
    stripes = (np.indices((1, 32, 32))[1:].sum(axis=0) // 4 % 2).astype(np.uint8)
    both = np.stack([*stripes, *stripes[:, ::-1]])
    volume = np.concatenate([np.repeat(image[None], 16, axis=0) for image in both])
    one_way, either = (
        judge([volume], reference(training_data({"zyx"[:1]: [stripes], "yx": [both]}, flips=flips)))
        for flips in ((False, False), (True, False))
    )
    assert either.planes["z"].s2 == pytest.approx(0, abs=EXACT)
    assert one_way.planes["z"].s2 > 0.1


@pytest.mark.parametrize("kind", ["grey", "colour"])
def test_intensities_are_judged_by_quartiles(kind: Kind) -> None:
    def made(labels: np.ndarray, levels: Sequence[int]) -> np.ndarray:
        grey = np.array(levels, np.uint8)[labels]
        return np.stack([grey] * 3, axis=-1) if kind == "colour" else grey[..., None]

    shape = (64, 64, 64)
    labels = gaussian_random_field(
        shape, correlation_length=2, fractions=(0.3, 0.25, 0.25, 0.2), seed=0
    ).volume.labels
    image = made(labels, (10, 50, 90, 200))
    wanted = reference(training_data({"zyx": [image]}, kind=kind))
    as_phases = reference(training_data({"zyx": [labels]}, phases=4))
    # a quarter, half and three quarters lie within the first, second and third level
    both = [image, image[::-1]], [labels, labels[::-1]]
    assert judge(both[0], wanted).row() == pytest.approx(judge(both[1], as_phases).row())
    darker = judge([made(labels, (0, 0, 0, 200))], wanted)
    assert darker.fraction == pytest.approx((labels > 0).mean() - (labels > 2).mean(), abs=EXACT)


def test_an_image_of_few_intensities_has_no_empty_class() -> None:
    image = np.zeros((1, 16, 16, 1), np.uint8)
    image[:, ::4] = 255
    wanted = reference(training_data({"zyx": [image]}, kind="grey"))
    assert wanted.thresholds.tolist() == [0]
    assert wanted.maps["z"].shape[0] == 1  # two classes


def test_a_phase_that_is_lost_shows_in_the_fraction() -> None:
    image = np.random.default_rng(0).integers(0, 3, (1, 16, 16)).astype(np.uint8)
    wanted = reference(training_data({"zyx": [image]}, phases=3))
    found = judge([np.zeros((8, 8, 8), np.uint8)], wanted)
    assert found.fraction == pytest.approx(float((image > 0).mean()), abs=EXACT)
    assert found.boundary == pytest.approx(1, abs=EXACT)


def test_volumes_are_pooled() -> None:
    random = np.random.default_rng(0)
    image = random.integers(0, 2, (1, 16, 16)).astype(np.uint8)
    volume = random.integers(0, 2, (8, 8, 8)).astype(np.uint8)
    wanted = reference(training_data({"zyx": [image]}))
    once, twice = judge([volume], wanted), judge([Volume(volume)] * 2, wanted)
    assert replace(twice, standard_errors={}).row() == pytest.approx(once.row(), nan_ok=True)
    assert set(twice.standard_errors.values()) == {0.0}
    halves = judge([np.zeros_like(volume), np.ones_like(volume)], wanted)
    assert halves.fraction == pytest.approx(abs(image.mean() - 0.5), abs=EXACT)


def test_score_is_the_mean_over_bars() -> None:
    found = Fidelity(0.02, {"z": PlaneErrors(0.01, 0.1), "y": PlaneErrors(0.02, 0.05)})
    assert (found.s2, found.boundary) == (0.02, 0.1)
    assert found.score == pytest.approx((2 + 1 + 2) / 3)
    expected = {"fraction": 0.02, "s2_y": 0.02, "boundary_z": 0.1, "s2_x": nan, "boundary_45x": nan}
    expected["lattice"] = nan
    row = found.row()
    assert len(row) == 5 + 3 + 2 * 6
    assert {name: row[name] for name in expected} == pytest.approx(expected, nan_ok=True)


def test_a_lattice_that_no_plane_shows_is_judged() -> None:
    """One law for all places, and one whose second phase is rarer where z + y + x is 0 mod 16."""
    random = np.random.default_rng(0)
    fields = random.random((6, 32, 32, 32))
    place = np.indices((32, 32, 32)).sum(axis=0) % 16
    flat, planted = (
        [(field < share).astype(np.uint8) for field in fields]
        for share in (0.4, np.where(place < 8, 0.48, 0.32))
    )
    wanted = reference(training_data({"zyx": [(random.random((1, 512, 512)) < 0.4) * np.uint8(1)]}))
    before, after = judge(flat, wanted), judge(planted, wanted)
    assert after.fraction < 0.01 and before.fraction < 0.01  # planes do not see it
    assert after.lattice == pytest.approx(0.08 / 0.4, rel=0.1)  # of the rarer phase
    assert before.lattice < 0.03
    assert after.row()["lattice"] == after.lattice
    three = [after.fraction / 0.01, after.s2 / 0.02, after.boundary / 0.05]
    assert after.score == pytest.approx((sum(three) + after.lattice / 0.03) / 4)
    # Of a stride whose divisors it does not repeat with, the same volumes have none.
    assert [found.period for found in after.lattices] == [16, 8]
    assert [found.period for found in judge(planted, wanted, stride=27).lattices] == [9, 3]
    assert judge(planted, wanted, stride=3).lattice < 0.03
    # One volume cannot tell a lattice from noise.
    assert math.isnan(judge(planted[:1], wanted).lattice)


@pytest.mark.parametrize(
    ("volumes", "message"),
    [
        ([], "at least one"),
        ([np.zeros((3, 8, 8), np.uint8)], "four voxels"),
        ([np.zeros((8, 8), np.uint8)], "3D volume"),
        ([np.full((8, 8, 8), 5)], "label 5 is no phase"),
        ([np.zeros((8, 8, 8))], "integer labels"),
    ],
)
def test_volumes_that_cannot_be_judged(volumes: list[np.ndarray], message: str) -> None:
    image = np.eye(16, dtype=np.uint8)[None]
    wanted = reference(training_data({"zyx": [image]}))
    with pytest.raises(InputError, match=message):
        judge(volumes, wanted)


def test_intensities_must_be_bytes() -> None:
    image = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    wanted = reference(training_data({"zyx": [image]}, kind="grey"))
    with pytest.raises(InputError, match="expected uint8 intensities"):
        judge([np.zeros((8, 8, 8))], wanted)


def test_images_of_one_value_are_refused() -> None:
    with pytest.raises(InputError, match="only one value"):
        reference(training_data({"zyx": [np.zeros((1, 16, 16), np.uint8)]}))
