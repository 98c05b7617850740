"""Volumes that stay in their file: every measure says the same of them."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusing import refusal
from stored_volumes import SHAPE, both, field

import metrics
from metrics import connectivity, correlation, neighbourhood, pair_counts
from metrics.comparison import measuring
from metrics.connectivity import Clusters
from metrics.description import METRICS, describe
from metrics.io import volumes
from metrics.io.volumes import read, write
from metrics.machine import memory
from metrics.volume import Volume


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every volume counts as large, and every part is small: none divides the volume."""
    for module in (connectivity, correlation, measuring, volumes):
        monkeypatch.setattr(module, "LARGE", 0)
    monkeypatch.setattr(connectivity, "SLAB_VOXELS", 4 * SHAPE[1] * SHAPE[2] + 1)
    monkeypatch.setattr(neighbourhood, "SLAB_VOXELS", 3 * SHAPE[1] * SHAPE[2] + 1)
    monkeypatch.setattr(pair_counts, "BLOCK", (7, 10, 9))


def test_every_measure_says_the_same_part_by_part(tmp_path: Path, in_parts: None) -> None:
    lazy = read(write(field(), tmp_path / "v.ome.zarr") or tmp_path / "v.ome.zarr")
    assert lazy.stored
    found = describe(lazy, metrics=list(METRICS))
    with pytest.MonkeyPatch.context() as patch:
        for module in (connectivity, correlation, measuring, volumes):
            patch.setattr(module, "LARGE", 2**27)
        patch.setattr(connectivity, "SLAB_VOXELS", 2**26)
        patch.setattr(neighbourhood, "SLAB_VOXELS", 2**21)
        expected = describe(field(), metrics=list(METRICS))
    assert set(expected.metric) == set(METRICS)
    for column in expected.columns:
        assert (
            found[column].tolist()
            == pytest.approx(expected[column].tolist(), nan_ok=True, rel=0, abs=0)
            if column == "value"
            else found[column].tolist() == expected[column].tolist()
        )


@pytest.mark.parametrize("periodic", [False, True, "zx"])
def test_neighbours_and_pairs_are_counted_the_same(
    tmp_path: Path, in_parts: None, periodic: bool | str
) -> None:
    whole, lazy = both(tmp_path)
    for estimator in ("faces", "crofton"):
        areas = [
            metrics.interface_areas(v, estimator=estimator, periodic=periodic)
            for v in (whole, lazy)
        ]
        assert areas[0] == areas[1]
    for active in (None, "y"):
        lengths = [metrics.tpb_density(v, active=active, periodic=periodic) for v in (whole, lazy)]
        assert lengths[0] == lengths[1] > 0
    for axis in "zyx":
        for phase, profile in metrics.fraction_profile(lazy, axis=axis).items():
            layers = np.moveaxis(whole.labels == phase, "zyx".index(axis), 0)
            np.testing.assert_allclose(profile, layers.mean(axis=(1, 2)), rtol=1e-15)


@pytest.mark.parametrize("axis", ["z", "y", "x"])
def test_clusters_are_numbered_the_same(in_parts: None, axis: str) -> None:
    for seed, phase in product(range(4), range(3)):
        v = field(seed=seed)
        parts, whole = Clusters.of(v, phase), Clusters.of_mask(v.mask(phase))
        assert len(list(parts.slabs())) == 6
        np.testing.assert_array_equal(parts.labels, whole.labels)
        np.testing.assert_array_equal(parts.sizes, whole.sizes)
        assert repr(parts.percolation(axis)) == repr(whole.percolation(axis))
        np.testing.assert_array_equal(parts.through(axis), whole.through(axis))
        for periodic in (False, True):
            np.testing.assert_array_equal(
                parts.go_through(axis, periodic_sides=periodic),
                whole.go_through(axis, periodic_sides=periodic),
            )


def test_a_cluster_that_comes_back_to_a_slab_is_one(in_parts: None) -> None:
    # A U: two legs in the first slabs that join in the last.
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, 3, 3] = labels[:, 3, 9] = 1
    labels[-1, 3, 3:10] = 1
    clusters = Clusters.of(Volume(labels), 1)
    assert (clusters.count, clusters.largest()) == (1, 2 * SHAPE[0] + 5)
    labels[-1, 3, 6] = 0
    assert Clusters.of(Volume(labels), 1).count == 2


def found_directly(v: Volume, i: int, j: int, r: tuple[int, ...], periodic: bool) -> int:
    """Pairs at a lag by shifting the volume."""
    first, second = v.labels == i, np.roll(v.labels == j, [-step for step in r], (0, 1, 2))
    if not periodic:
        for axis, step in enumerate(r):
            beyond = [slice(None)] * 3
            beyond[axis] = slice(-step, None) if step > 0 else slice(0, -step)
            if step:
                second[tuple(beyond)] = False
    return int((first & second).sum())


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("other", [None, 2])
def test_pairs_are_counted_exactly(in_parts: None, periodic: bool, other: int | None) -> None:
    v, lag = field(), 7
    options: dict[str, Any] = {"phase": 1, "other": other, "max_lag": lag, "periodic": periodic}
    probability, pairs = metrics.two_point_map(v, **options)
    counts = probability * pairs
    for r in [(0, 0, 0), (7, 7, 7), (3, -5, 1), (-7, 2, -6), (0, 0, -7), (6, 0, 0), (-1, -1, 4)]:
        direct = found_directly(v, 1, 1 if other is None else other, r, periodic)
        assert counts[tuple(lag + step for step in r)] == pytest.approx(direct, abs=1e-9)


def test_a_volume_thinner_than_its_lags_and_blocks(in_parts: None) -> None:
    v = field((1, 14, 33))
    options: dict[str, Any] = {"phase": 0, "max_lag": 20}
    parts = metrics.two_point_correlation(v, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(correlation, "LARGE", 2**27)
        whole = metrics.two_point_correlation(v, **options)
    for axis in "zyx":
        np.testing.assert_allclose(parts.axis[axis], whole.axis[axis], atol=2e-6)
    np.testing.assert_allclose(parts.radial, whole.radial, atol=2e-6)
    np.testing.assert_array_equal(parts.radial_pairs, whole.radial_pairs)


@pytest.mark.parametrize("lag", [0, 1, 3, 11])
def test_functions_of_clusters_and_lines_are_the_same(
    tmp_path: Path, in_parts: None, lag: int
) -> None:
    whole, lazy = both(tmp_path)
    clusters = Clusters.of_mask(whole.mask(1)).labels
    curves = metrics.two_point_cluster(lazy, phase=1, max_lag=lag)
    for axis, along in enumerate("zyx"):
        for k in range(lag + 1):
            a = np.moveaxis(clusters, axis, 0)
            same = (a[: len(a) - k] == a[k:]) & (a[k:] > 0)
            assert curves.axis[along][k] == same.mean()
    of = [metrics.lineal_path(v, phase=1, max_lag=lag) for v in (whole, lazy)]
    for axis_name in "zyx":
        np.testing.assert_array_equal(of[0].axis[axis_name], of[1].axis[axis_name])
        chords = [metrics.chord_length(v, phase=1, axis=axis_name) for v in (whole, lazy)]
        assert chords[0].mean == chords[1].mean
        np.testing.assert_array_equal(chords[0].counts, chords[1].counts)
    assert metrics.euler_number(lazy, phase=1) == metrics.euler_number(whole, phase=1)


def test_stored_volumes_are_compared_as_volumes_in_memory_are(tmp_path: Path) -> None:
    volumes_of = []
    for seed in (0, 1):
        path = tmp_path / f"{seed}.ome.zarr"
        write(field((40, 40, 40), seed), path)
        volumes_of.append((read(path), read(path, lazy=True)))
    options: dict[str, Any] = {"subvolume": 20, "metrics": ["volume_fraction", "chord_length"]}
    whole, lazy = (
        metrics.compare(gen, real, workers=workers, **options)
        for (gen, real), workers in zip(zip(*volumes_of, strict=True), (1, 2), strict=True)
    )
    assert lazy.values.equals(whole.values)
    assert lazy.settings == whole.settings


def test_a_stored_volume_is_written_and_cached_as_any_other(tmp_path: Path) -> None:
    whole, lazy = both(tmp_path)
    write(lazy, tmp_path / "again.tif")
    np.testing.assert_array_equal(read(tmp_path / "again.tif").labels, whole.labels)
    question = measuring.Question(("volume_fraction",))
    first = measuring.measure_volume(whole, question, tmp_path / "cache")
    assert measuring.measure_volume(lazy, question, tmp_path / "cache").rows == first.rows
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_long_lags_of_a_large_volume_are_refused_before_the_work(in_parts: None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_counts, "check_memory", memory_of_a_phone)
        assert "ask for shorter lags" in refusal(metrics.two_point_correlation, field(), phase=0)


def memory_of_a_phone(nbytes: int, *, remedy: str) -> None:
    memory.check_memory(nbytes, free=2**16, remedy=remedy)
