"""Volume fractions: exact counts, whole and layer by layer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from metrics.fraction import fraction_profile, volume_fraction
from metrics.shapes import laminate, overlapping_spheres
from metrics.volume import InputError, Phase, Volume

LABELS = arrays(np.int64, st.tuples(*[st.integers(1, 5)] * 3), elements=st.sampled_from([-3, 0, 9]))


@given(LABELS)
def test_fractions_count_voxels_and_sum_to_one(labels: np.ndarray) -> None:
    fractions = volume_fraction(labels)
    assert fractions == {int(p): np.mean(labels == p) for p in np.unique(labels)}
    assert sum(fractions.values()) == pytest.approx(1, abs=1e-15)  # rounding of at most 3 terms


@given(LABELS)
def test_profile_averages_to_the_fraction(labels: np.ndarray) -> None:
    for axis in "zyx":
        for phase, profile in fraction_profile(labels, axis=axis).items():
            assert profile.mean() == pytest.approx(volume_fraction(labels)[phase], abs=1e-12)


@pytest.mark.parametrize("view", [lambda a: a[::2], np.asfortranarray, lambda a: a.astype(bool)])
def test_any_memory_layout(view: object) -> None:
    labels = view(np.random.default_rng(0).integers(0, 2, (6, 5, 4)))  # type: ignore[operator]
    assert volume_fraction(labels)[1] == labels.mean()


def test_known_but_absent_phase_is_zero() -> None:
    v = Volume(np.zeros((2, 2, 2), int), phases=(Phase("a", 0, 0), Phase("b", 1, 1)))
    assert volume_fraction(v) == {0: 1.0, 1: 0.0}


def test_laminate_profile_shows_the_layers_on_one_axis_only() -> None:
    body = laminate((6, 4, 4), thicknesses=(1, 2), axis="z")
    assert fraction_profile(body.volume, axis="z")[1].tolist() == [0, 1, 1, 0, 1, 1]
    assert fraction_profile(body.volume, axis="y")[1] == pytest.approx([2 / 3] * 4)
    assert volume_fraction(body.volume) == pytest.approx(body.volume_fraction)


def test_overlapping_spheres_have_the_fraction_of_their_law() -> None:
    bodies = [overlapping_spheres((48, 48, 48), radius=5, density=0.001, seed=s) for s in range(8)]
    found = [volume_fraction(b.volume)[0] for b in bodies]
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert abs(np.mean(found) - bodies[0].volume_fraction[0]) < 4 * error  # 4 standard errors


def test_unknown_axis() -> None:
    with pytest.raises(InputError, match="axis"):
        fraction_profile(np.zeros((2, 2, 2), int), axis="w")
