"""The registry of real data: complete, faithful to the published figures, and clear when absent."""

from __future__ import annotations

import hashlib
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import tifffile

from benchmarks import datasets
from benchmarks.datasets import DATASETS, load, path
from metrics.volume import InputError, Volume

TINY = np.array([[[0, 255], [255, 255]]], dtype=np.uint8)


def fractions(volume: Volume) -> dict[str, float]:
    return {phase.name: float(volume.mask(phase.label).mean()) for phase in volume.phases}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve a folder on the loopback that holds what the registry then calls Berea's archive."""
    folder = tmp_path / "served"
    folder.mkdir()
    tifffile.imwrite(folder / "berea.tif", TINY)
    archive = folder / "berea.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(folder / "berea.tif", "berea.tif")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    monkeypatch.setitem(
        DATASETS,
        "berea",
        replace(
            DATASETS["berea"],
            url=f"http://127.0.0.1:{server.server_port}/berea.zip",
            sha256=hashlib.sha256(archive.read_bytes()).hexdigest(),
        ),
    )
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SLICEGAN_DATA", raising=False)
    Thread(target=server.serve_forever, daemon=True).start()
    yield folder
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
def test_every_entry_says_what_it_is_and_where_it_comes_from(dataset: datasets.Dataset) -> None:
    assert dataset.url.startswith("https://")
    assert len(dataset.sha256) == 64
    assert set(dataset.sha256) <= set("0123456789abcdef")
    assert len(dataset.phases) >= 2
    assert dataset.licence
    assert dataset.note
    assert (dataset.voxel is None) == (dataset.unit is None)
    assert bool(dataset.member) == (dataset.url.endswith(".zip") or bool(dataset.requirement))


def test_names_and_files_are_unique() -> None:
    assert len({dataset.file for dataset in DATASETS.values()}) == len(DATASETS)
    assert len({dataset.sha256 for dataset in DATASETS.values()}) == len(DATASETS)


# Fractions as published, to the digits given: half a unit of the fourth digit.
@pytest.mark.parametrize(
    ("name", "shape", "spacing", "expected"),
    [
        ("berea", (400, 400, 400), 3.0, {"pore": 0.1965, "grain": 0.8035}),
        ("nmc", (256, 256, 256), 0.390625, {"pore": 0.4499, "NMC": 0.4005, "binder": 0.1496}),
        (
            "stack",
            (100, 100, 100),
            1.0,
            {"phase 0": 0.3745, "phase 127": 0.2383, "phase 254": 0.3871},
        ),
        ("sofc", (1, 1024, 1024), 1.0, {"phase 0": 0.3592, "phase 1": 0.3326, "phase 2": 0.3082}),
    ],
)
def test_a_local_file_gives_the_published_fractions(data_path, name, shape, spacing, expected):
    data_path(DATASETS[name].file)
    volume = load(name)
    assert volume.shape == shape
    assert volume.spacing == (spacing,) * 3
    assert volume.unit == (DATASETS[name].unit or "voxel")
    assert fractions(volume) == pytest.approx(expected, abs=5e-5)


def test_pores4thought_volumes_have_three_phases(data_path):
    data_path(DATASETS["pores4thought_periodic_0"].file)
    names = [name for name in DATASETS if name.startswith("pores4thought_")]
    pore = [fractions(load(name))["pore"] for name in names]
    assert len(pore) == 10
    # The ten volumes are samples of one generator whose pore fraction scatters by 0.02.
    assert np.ptp(pore) < 0.1
    assert np.mean(pore) == pytest.approx(0.508, abs=0.02)


def test_snow_is_cut_at_otsus_level():
    try:
        metadata.distribution("spam")
    except metadata.PackageNotFoundError:
        pytest.skip("needs the snow tomogram: pip install --no-deps spam==0.9.1")
    volume = load("snow")
    assert volume.shape == (100, 100, 100)
    assert fractions(volume) == pytest.approx({"air": 0.4087, "ice": 0.5913}, abs=5e-5)


def test_snow_without_its_package_names_the_remedy(monkeypatch):
    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.delenv("SLICEGAN_DATA", raising=False)
    monkeypatch.setattr(datasets.metadata, "distribution", missing)
    with pytest.raises(InputError, match=r"pip install --no-deps spam==0\.9\.1$"):
        load("snow")


def test_another_file_under_the_packages_name_is_refused(tmp_path, monkeypatch):
    class Installed:
        def locate_file(self, member: str) -> Path:
            return tmp_path / member

    file = tmp_path / DATASETS["snow"].member
    file.parent.mkdir(parents=True)
    tifffile.imwrite(file, TINY)
    monkeypatch.delenv("SLICEGAN_DATA", raising=False)
    monkeypatch.setattr(datasets.metadata, "distribution", lambda _: Installed())
    with pytest.raises(InputError, match="not the file of spam"):
        load("snow")


def test_a_local_file_goes_before_the_package(tmp_path, monkeypatch):
    grey = np.full((2, 3, 4), 10, dtype=np.uint16)
    grey[0, 0] = 1000
    tifffile.imwrite(tmp_path / "snow.tif", grey)
    monkeypatch.setenv("SLICEGAN_DATA", str(tmp_path))
    assert path("snow") == tmp_path / "snow.tif"
    assert fractions(load("snow")) == pytest.approx({"air": 20 / 24, "ice": 4 / 24})


def test_a_local_file_with_other_phases_is_refused(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "berea.tif", np.arange(12, dtype=np.uint8).reshape(2, 3, 2) // 4)
    monkeypatch.setenv("SLICEGAN_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r"3 phases, berea has 2"):
        load("berea")


def test_an_archive_is_downloaded_checked_and_kept(served):
    volume = load("berea")
    assert np.array_equal(volume.labels, TINY > 0)
    assert volume.spacing == (3.0, 3.0, 3.0)
    assert fractions(volume) == {"pore": 0.25, "grain": 0.75}
    (served / "berea.zip").unlink()
    assert fractions(load("berea")) == {"pore": 0.25, "grain": 0.75}


def test_a_download_with_another_checksum_is_refused(served, monkeypatch):
    monkeypatch.setitem(DATASETS, "berea", replace(DATASETS["berea"], sha256="0" * 64))
    with pytest.raises(InputError, match="sha256 is wrong"):
        load("berea")


def test_missing_data_is_one_line_with_the_way_out(served, monkeypatch):
    nobody = replace(DATASETS["berea"], url="http://127.0.0.1:1/berea.zip")
    monkeypatch.setitem(DATASETS, "berea", nobody)
    with pytest.raises(InputError, match="set SLICEGAN_DATA") as caught:
        load("berea")
    assert "\n" not in str(caught.value)


def test_a_silent_server_is_given_up(served, monkeypatch):
    def silent(self: Quiet) -> None:
        time.sleep(2)

    monkeypatch.setattr(Quiet, "do_GET", silent)
    monkeypatch.setattr(datasets, "TIMEOUT", 0.2)
    started = time.perf_counter()
    with pytest.raises(InputError, match="Timeout"):
        load("berea")
    # The server answers after 2 s, the time-out is 0.2 s: 1.5 s leaves room for a busy machine.
    assert time.perf_counter() - started < 1.5


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match=r"no dataset 'barea': there are berea, ketton"):
        path("barea")


def test_the_script_lists_the_registry(capsys):
    assert datasets.main([]) == 0
    printed = capsys.readouterr().out
    assert all(f"{name}: " in printed for name in DATASETS)
