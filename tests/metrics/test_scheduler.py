"""Tasks by Dask: the same results as without, also where workers are lost."""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from refusing import refusal
from tasks import dies, dies_once, refuses

import metrics
from metrics.io import growing, omezarr
from metrics.io.growing import growing_store
from metrics.io.volumes import read, write
from metrics.machine import scheduler
from metrics.machine.scheduler import connected, on_workers
from metrics.machine.workers import in_parallel
from metrics.shapes import gaussian_random_field
from metrics.volume import Phase, Volume
from slicegan import blocks
from slicegan.checkpoint import load_model
from slicegan.cli import main
from slicegan.generation import generate, stream


def field(shape: tuple[int, int, int], seed: int) -> Volume:
    """Two phases."""
    return gaussian_random_field(
        shape, correlation_length=2, fractions=(0.4, 0.6), seed=seed
    ).volume


# Dask leaves the closing of its sockets to the end of the process.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with connected("local", 2) as found:
        yield found


def test_results_come_in_the_order_of_their_tasks(client: Any) -> None:
    numbers = range(50)
    assert list(on_workers(client, operator.mul, ((n, n) for n in numbers))) == [
        n * n for n in numbers
    ]


def test_few_tasks_are_under_way_at_a_time(client: Any) -> None:
    taken: list[int] = []

    def tasks() -> Iterator[tuple[int, int]]:
        for number in range(100):
            taken.append(number)
            yield number, 1

    results = on_workers(client, operator.add, tasks())
    assert next(results) == 1
    assert len(taken) == scheduler.AHEAD * 2 + 1
    results.close()  # type: ignore[attr-defined]


def test_the_tasks_of_a_lost_worker_are_done_once_by_another(client: Any, tmp_path: Path) -> None:
    marks = ((tmp_path / str(number % 4), number) for number in range(12))
    assert list(on_workers(client, dies_once, marks)) == list(range(12))
    assert len(list(tmp_path.iterdir())) == 4


def test_a_task_that_loses_every_worker_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scheduler, "PATIENCE", "2s")
    with connected("local", 1) as client:
        assert "workers were lost" in refusal(list, on_workers(client, dies, [(1,)]))


def test_the_error_of_a_task_comes_back(client: Any) -> None:
    assert "number 3" in refusal(list, on_workers(client, refuses, [(3,)]))
    assert list(on_workers(client, operator.add, [(1, 2)])) == [3]


def test_a_scheduler_that_is_not_there_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(scheduler, "TIMEOUT", "1s")
    for where in ("tcp://127.0.0.1:1", "nonsense"):
        assert f"--dask {where}: no scheduler answers" in refusal(connected(where).__enter__)
    assert "no such file" in refusal(connected(str(tmp_path / "scheduler.json")).__enter__)
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert "pip install 'slicegan[large]'" in refusal(connected("local").__enter__)


def test_comparisons_are_the_same_with_and_without(client: Any, tmp_path: Path) -> None:
    for seed in (0, 1):
        write(field((40, 40, 40), seed), tmp_path / f"{seed}.ome.zarr")
    gen, real = (read(tmp_path / f"{seed}.ome.zarr", lazy=True) for seed in (0, 1))
    options: dict[str, Any] = {"subvolume": 20, "metrics": ["volume_fraction", "chord_length"]}
    found = metrics.compare(gen, real, client=client, **options)
    expected = metrics.compare(gen.loaded(), real.loaded(), workers=1, **options)
    assert found.values.equals(expected.values)
    assert found.table.equals(expected.table)
    assert found.answer.sentence == expected.answer.sentence


def test_the_commands_measure_by_dask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], client: Any
) -> None:
    volume, out = str(tmp_path / "v.tif"), str(tmp_path / "t.csv")
    write(field((20, 20, 20), 0), volume)
    where = client.scheduler.address
    words = ["measure", volume, "--metrics", "volume_fraction", "--out", out]
    assert main([*words, "--dask", where]) == 0
    by_dask = (tmp_path / "t.csv").read_text()
    assert main(words) == 0
    assert (tmp_path / "t.csv").read_text() == by_dask
    capsys.readouterr()
    assert main(["compare", volume, volume, "--dask", where, "--metrics", "volume_fraction",
                 "--out", str(tmp_path / "out"), "--quiet"]) == 0  # fmt: skip
    assert (tmp_path / "out" / "report.html").exists()
    assert main(["generate", "snow", "--size", "64", "--out", volume, "--dask", where]) == 2
    assert "name it, as big.ome.zarr" in capsys.readouterr().err


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of one chunk, as tiles that divide it are."""
    for module in (blocks, growing, omezarr):
        monkeypatch.setattr(module, "CHUNK", 64)
    monkeypatch.setattr(blocks, "SIDE", 64)
    monkeypatch.setattr("slicegan.generation.tile_side", lambda _: 64)


@pytest.mark.parametrize("periodic", ["", "zyx"])
def test_a_store_of_many_writers_is_the_volume(
    client: Any, tmp_path: Path, small_blocks: None, periodic: str
) -> None:
    options: dict[str, Any] = {"size": (64, 160, 96), "seed": 3, "periodic": periodic}
    stream("snow", tmp_path / "v.ome.zarr", client=client, **options)
    assert (read(tmp_path / "v.ome.zarr").labels == generate("snow", **options).labels).all()
    chunks = [file for file in (tmp_path / "v.ome.zarr" / "0" / "c").rglob("*") if file.is_file()]
    assert len(chunks) == 1 * 3 * 2
    assert [path.name for path in tmp_path.iterdir()] == ["v.ome.zarr"]


def test_every_chunk_of_four_writers_is_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (growing, omezarr):
        monkeypatch.setattr(module, "CHUNK", 8)
    labels = np.random.default_rng(0).integers(0, 3, (40, 36, 44), dtype=np.uint8)
    of_store: dict[str, Any] = {
        "shape": labels.shape,
        "phases": tuple(Phase(name, k, 90 * k) for k, name in enumerate("abc")),
        "spacing": (1, 1, 1),
        "unit": "um",
    }
    with growing_store(tmp_path / "v.zarr", {}, **of_store) as store:
        parts = [(box, labels[tuple(slice(*span) for span in box)]) for box in store.blocks(16)]
        assert len(list(in_parallel(store.write, parts, 4))) == 27
    array = zarr.open_array(tmp_path / "v.zarr" / "0", mode="r")
    for corner in product(*(range(0, n, 8) for n in labels.shape)):
        chunk = tuple(slice(start, start + 8) for start in corner)
        found, expected = array[chunk], 90 * labels[chunk]
        assert sha256(found.tobytes()).digest() == sha256(expected.tobytes()).digest()


def test_an_interrupted_store_goes_on_where_it_was(
    tmp_path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, made = tmp_path / "v.ome.zarr", []
    make = blocks._make

    def interrupted(field: Any, store: Any, box: Any) -> int:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(box)
        return make(field, store, box)

    monkeypatch.setattr(blocks, "_make", interrupted)
    options: dict[str, Any] = {"size": (64, 160, 96), "seed": 3}
    with pytest.raises(KeyboardInterrupt):
        stream("snow", path, **options)
    assert not path.exists()
    monkeypatch.setattr(blocks, "_make", lambda *given: made.append(given[2]) or make(*given))  # type: ignore[func-returns-value]
    assert "begun with other settings" in refusal(stream, "snow", path, **{**options, "seed": 4})
    model = load_model("snow")
    model.generator.config = replace(model.generator.config, leak=0.3)  # of the same weights
    assert "begun with other settings" in refusal(stream, model, path, **options)
    stream("snow", path, **options)
    assert len(made) == len(set(made)) == 6
    assert (read(path).labels == generate("snow", **options).labels).all()
    stream("snow", path, **options)  # the same again
    assert len(made) == 6
    assert "is there already" in refusal(stream, "snow", path, **{**options, "seed": 4})


def test_a_chunk_of_nothing_but_the_first_phase_is_written_too(
    tmp_path: Path, small_blocks: None
) -> None:
    of_store: dict[str, Any] = {
        "shape": (70, 64, 64),
        "phases": (Phase("pore", 0, 0), Phase("ni", 1, 255)),
        "spacing": (1, 1, 1),
        "unit": "um",
    }
    with growing_store(tmp_path / "v.zarr", {}, **of_store) as store:
        for box in store.blocks(64):
            store.write(box, np.zeros([stop - start for start, stop in box], np.uint8))
        assert not store.blocks(64)
        again = growing_store(tmp_path / "v.zarr", {}, **of_store)
        assert "another process writes it" in refusal(again.__enter__)
    assert zarr.open_array(tmp_path / "v.zarr" / "0", mode="r")[...].sum() == 0
