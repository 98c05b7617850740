"""Volumes that stay in their file: what is read, when, and what is refused."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import combinations
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
from stored_volumes import CHUNKS, SHAPE, both, field, store

import metrics
from metrics.io import stored, volumes
from metrics.io.stored import StoredArray
from metrics.io.volumes import read, write
from metrics.volume import InputError


def opened(path: Path) -> stored.Stack:
    return volumes.read_zarr(path)[0]


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
