"""Volumes that stay in their file: what is read, and that every measure says the same of them."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import combinations, product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from refusing import refusal

import metrics
from metrics import connectivity, correlation, neighbourhood, pair_counts
from metrics.comparison import measuring
from metrics.connectivity import Clusters
from metrics.description import METRICS, describe
from metrics.io import stored, volumes
from metrics.io.stored import StoredArray
from metrics.io.volumes import read, write
from metrics.machine import memory
from metrics.shapes import gaussian_random_field
from metrics.volume import InputError, Phase, Volume

SHAPE = (23, 18, 21)
CHUNKS = (5, 7, 8)


def field(shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> Volume:
    """Three phases with clusters of every size."""
    made = gaussian_random_field(
        shape, correlation_length=2, fractions=(0.35, 0.4, 0.25), seed=seed
    ).volume
    phases = (Phase("pore", 0, 0), Phase("ni", 1, 127), Phase("ysz", 2, 255))
    return Volume(made.labels, (0.5, 0.5, 0.5), "um", phases)


def store(path: Path, values: np.ndarray, chunks: tuple[int, ...] = CHUNKS) -> Path:
    """One array without metadata, as another program writes it."""
    array = zarr.create_array(path, shape=values.shape, dtype=values.dtype, chunks=chunks)
    array[...] = values
    return path


def opened(path: Path) -> stored.Stack:
    return volumes.read_zarr(path)[0]


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every volume counts as large, and every part is small: none divides the volume."""
    for module in (connectivity, correlation, measuring, volumes):
        monkeypatch.setattr(module, "LARGE", 0)
    monkeypatch.setattr(connectivity, "SLAB_VOXELS", 4 * SHAPE[1] * SHAPE[2] + 1)
    monkeypatch.setattr(neighbourhood, "SLAB_VOXELS", 3 * SHAPE[1] * SHAPE[2] + 1)
    monkeypatch.setattr(pair_counts, "BLOCK", (7, 10, 9))


@given(
    st.tuples(*[st.integers(1, 9)] * 3),
    st.tuples(*[st.integers(1, 9)] * 3),
    st.integers(1, 200),
    st.data(),
)
@settings(max_examples=20, deadline=None)
def test_a_stored_array_reads_as_an_array_does(
    tmp_path_factory: pytest.TempPathFactory,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    layer_bytes: int,
    data: st.DataObject,
) -> None:
    values = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape) % 251
    path = store(
        tmp_path_factory.mktemp("stored") / "v.zarr", values, tuple(map(min, chunks, shape))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "LAYER_BYTES", layer_bytes)
        whole = StoredArray.whole("v", partial(opened, path))
        window = []
        for n in shape:
            start, stop = sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n))))
            window.append(slice(start, stop))
        part, truth = whole.window(tuple(window)), values[tuple(window)]
        assert (part.shape, part.size, len(part)) == (truth.shape, truth.size, len(truth))
        np.testing.assert_array_equal(np.asarray(part), truth)
        for first, last in combinations(range(len(truth) + 1), 2):
            np.testing.assert_array_equal(part[first:last], truth[first:last])
        for layer, expected in zip(part, truth, strict=True):
            np.testing.assert_array_equal(layer, expected)
        if truth.size:
            np.testing.assert_array_equal(part[-1, :, 0], truth[-1, :, 0])
            np.testing.assert_array_equal(part[0, ::2, 1:], truth[0, ::2, 1:])


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """First and last layer of all that is read of a file, as it is read."""
    read: list[tuple[int, int]] = []
    get = stored.Stack.__getitem__

    def noted(stack: stored.Stack, window: Any) -> Any:
        read.append((window[0].start, window[0].stop))
        return get(stack, window)

    monkeypatch.setattr(stored.Stack, "__getitem__", noted)
    return read


def test_layers_that_follow_each_other_are_read_once(
    tmp_path: Path, spans: list[tuple[int, int]]
) -> None:
    values = field().labels
    path = store(tmp_path / "v.zarr", values)
    array = StoredArray.whole("v", partial(opened, path))
    for first in range(len(values) - 1):
        array[first : first + 2]
    assert spans == [(0, 5), (5, 10), (10, 15), (15, 20), (20, 23)]


def test_the_next_layer_is_read_while_the_last_is_worked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store(tmp_path / "v.zarr", field().labels)
    array = StoredArray.whole("v", partial(opened, path))
    third = threading.Event()
    get = stored.Stack.__getitem__

    def read(stack: stored.Stack, window: Any) -> Any:
        if window[0].start == 10:
            third.set()
        return get(stack, window)

    monkeypatch.setattr(stored.Stack, "__getitem__", read)
    _ = array[:5], array[5:10]
    assert third.wait(30)
    again = pickle.loads(pickle.dumps(array))  # with a layer on its way
    np.testing.assert_array_equal(again[10:], array[10:])


def test_what_is_wrong_with_a_layer_is_said_to_whom_it_is_for(tmp_path: Path) -> None:
    values = field().labels.copy()
    values[12] = 9  # in the third layer of chunks, which a thread reads
    path = store(tmp_path / "v.zarr", values)
    volume = read(path, phases={"a": 0, "b": 1, "c": 2}, lazy=True)
    assert volume.labels[5:10].shape == (5, *SHAPE[1:])
    with pytest.raises(InputError, match="the value 9 is none of the phases"):
        for first in range(0, 20, 5):
            _ = volume.labels[first : first + 5]


def test_threads_read_each_layer_once(tmp_path: Path, spans: list[tuple[int, int]]) -> None:
    values = field().labels
    path = store(tmp_path / "v.zarr", values)
    array = StoredArray.whole("v", partial(opened, path))
    with ThreadPoolExecutor(4) as pool:
        layers = list(pool.map(lambda _: array[5:10], range(8)))
    assert spans == [(5, 10)]
    assert all((layer == values[5:10]).all() for layer in layers)


def test_a_mapped_file_is_labelled_elsewhere(tmp_path: Path) -> None:
    values = 127 * field().labels
    np.save(tmp_path / "v.npy", values)
    lazy = read(tmp_path / "v.npy", phases={"a": 0, "b": 127, "c": 254}, lazy=True)
    for window in (np.s_[:], np.s_[:, 2:9, 3:8]):
        np.testing.assert_array_equal(lazy.labels[window], field().labels[window])
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), values)


def contiguous_h5(path: Path, values: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file["volume"] = values


def chunked_h5(path: Path, values: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("volume", data=values[None], chunks=(1, *CHUNKS), compression="gzip")


FILES: dict[str, Callable[[Path, np.ndarray], Any]] = {
    "v.zarr": store,
    "v.npy": np.save,
    "v.tif": tifffile.imwrite,
    "v.h5": contiguous_h5,
    "chunked.h5": chunked_h5,
}


@pytest.mark.parametrize("name", FILES)
def test_labels_are_made_where_they_are_read(tmp_path: Path, name: str) -> None:
    labels = field().labels
    FILES[name](tmp_path / name, np.array([7, 300, 50], np.uint16)[labels])
    lazy, whole = (read(tmp_path / name, lazy=stays) for stays in (True, False))
    assert (lazy.stored, whole.stored) == (True, False)
    assert lazy.phases == whole.phases
    np.testing.assert_array_equal(lazy.labels, whole.labels)
    np.testing.assert_array_equal(np.asarray(lazy.mask("300")), whole.mask("300"))
    assert "in a file; 7, 50, 300" in repr(lazy)
    # Another process opens the file anew.
    part = lazy.crop((slice(2, 9), slice(0, 18), slice(3, 20)))
    sent = pickle.loads(pickle.dumps(part))
    np.testing.assert_array_equal(sent.labels, whole.labels[2:9, :, 3:20])


def test_only_what_is_large_stays_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(field(), tmp_path / "v.ome.zarr")
    assert not read(tmp_path / "v.ome.zarr").stored
    monkeypatch.setattr(volumes, "LARGE", field().labels.size - 1)
    assert read(tmp_path / "v.ome.zarr").stored
    np.save(tmp_path / "v.npy", field().labels)
    assert isinstance(read(tmp_path / "v.npy").labels, np.memmap)


def test_names_spare_the_search_for_values_and_another_value_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "v.ome.zarr"
    write(field(), path)
    with monkeypatch.context() as patch:
        patch.setattr(stored.Stack, "__getitem__", lambda *_: pytest.fail("it was read"))
        lazy = read(path, lazy=True)
        named = read(path, lazy=True, phases={"void": 0, "a": 127, "b": 255})
    assert lazy.phases == field().phases
    assert [phase.name for phase in named.phases] == ["void", "a", "b"]
    zarr.open_array(path / "0", mode="r+")[20, 3, 4] = 9
    metrics.volume_fraction(lazy.crop((slice(0, 19), slice(0, 18), slice(0, 21))))
    message = refusal(metrics.volume_fraction, read(path, lazy=True))
    assert "the value 9 is none of the phases 0, 127, 255" in message


def both(tmp_path: Path) -> tuple[Volume, Volume]:
    """One volume in memory and in a store."""
    write(field(), tmp_path / "v.ome.zarr")
    return field(), read(tmp_path / "v.ome.zarr", lazy=True)


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


def test_a_stored_volume_is_seen_and_guarded(tmp_path: Path) -> None:
    whole, lazy = both(tmp_path)
    np.testing.assert_array_equal(metrics.render(lazy, size=48), metrics.render(whole, size=48))
    layer = lazy.labels[3]
    with pytest.raises(ValueError, match="read-only"):
        layer[0, 0] = 1
    with pytest.raises(TypeError, match=r"numpy\.asarray"):
        lazy.labels == 1  # noqa: B015
    for index in (slice(None, None, -1), [1, 2], None):
        assert "load it first" in refusal(lazy.labels.__getitem__, index)
    assert "steps of 1" in refusal(lazy.crop, (slice(0, 9, 2), slice(0, 9), slice(0, 9)))


def test_a_store_that_is_damaged_or_gone_is_named(tmp_path: Path) -> None:
    _, lazy = both(tmp_path)
    sent = pickle.dumps(lazy)
    chunk = next(
        file for file in (tmp_path / "v.ome.zarr" / "0" / "c").rglob("*") if file.is_file()
    )
    chunk.write_bytes(b"no chunk")
    message = refusal(metrics.volume_fraction, read(tmp_path / "v.ome.zarr", lazy=True))
    assert message.startswith(f"{tmp_path / 'v.ome.zarr'}: cannot be read")
    (tmp_path / "v.ome.zarr").rename(tmp_path / "elsewhere.zarr")
    gone = pickle.loads(sent)
    assert "is it where this process sees it" in refusal(gone.labels.__getitem__, 0)


def test_masks_of_true_and_false_stay_too(tmp_path: Path) -> None:
    path = store(tmp_path / "v.zarr", field().labels == 1)
    lazy = read(path, lazy=True)
    assert (lazy.stored, lazy.phase_labels) == (True, (0, 1))
    np.testing.assert_array_equal(np.asarray(lazy.labels), field().labels == 1)


def test_long_lags_of_a_large_volume_are_refused_before_the_work(in_parts: None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_counts, "check_memory", memory_of_a_phone)
        assert "ask for shorter lags" in refusal(metrics.two_point_correlation, field(), phase=0)


def memory_of_a_phone(nbytes: int, *, remedy: str) -> None:
    memory.check_memory(nbytes, free=2**16, remedy=remedy)
