"""The memory that is free, and what is kept on the disk where it does not suffice."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import psutil
import pytest

import metrics
from metrics.io.volumes import read, write
from metrics.machine import memory
from metrics.machine.memory import allocate, check_memory, free_memory
from metrics.shapes import gaussian_random_field
from metrics.volume import InputError, Phase

ROOT = Path(__file__).parents[2]


def test_what_does_not_fit_is_refused_with_both_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 2**30)
    check_memory(2**30)
    with pytest.raises(InputError, match=r"needs 3 GiB of memory, 1 GiB are free: crop it"):
        check_memory(3 * 2**30)


def test_no_more_than_the_machine_has() -> None:
    assert 0 < free_memory() <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("most", "used"),
    [
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ],
)
def test_a_container_has_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: str, used: str
) -> None:
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    assert memory._of_container() == []
    (tmp_path / "memory").mkdir()
    (tmp_path / most).write_text("5000000\n")
    (tmp_path / used).write_text("1000000\n")
    assert memory._of_container() == [4000000]
    assert free_memory() == 4000000
    (tmp_path / most).write_text("max\n")
    assert memory._of_container() == []


@pytest.mark.skipif(sys.platform == "win32", reason="ulimit is of Unix")
def test_a_shell_with_a_limit_has_less() -> None:
    code = "from metrics.machine.memory import free_memory; print(free_memory())"
    run = subprocess.run(
        ["bash", "-c", f"ulimit -v 4000000; {sys.executable} -c '{code}'"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert 0 < int(run.stdout) < 4000000 * 1024


def test_what_is_too_large_for_memory_is_kept_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(memory, "free_memory", lambda: 2000)
    small, large = allocate((10, 10, 10), "u1"), allocate((10, 10, 11), "u1")
    large[:] = 7
    assert mapped(large) and not mapped(small)
    assert (large == 7).all() and large.flags.carray
    assert type(large) is np.ndarray  # which workers take as it is
    assert not list(tmp_path.iterdir())  # the file goes with the array
    disk = SimpleNamespace(free=1000)
    monkeypatch.setattr(memory.shutil, "disk_usage", lambda _: disk)
    with pytest.raises(InputError, match="set TMPDIR to a folder on a larger disk"):
        allocate((10, 10, 11), "u1")


@pytest.mark.parametrize("name", ["v.tif", "v.zarr", "v.h5", "folder"])
def test_volumes_beyond_memory_are_read_and_compared_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    volume = gaussian_random_field((40, 44, 36), correlation_length=2, seed=0).volume
    # Values that are no labels: those must be mapped, too.
    phases = (Phase("pore", 0, 10), Phase("grain", 1, 300))
    write(replace(volume, phases=phases), tmp_path / name)
    if name == "v.h5":  # as other programs write it, in chunks
        with h5py.File(tmp_path / name, "r+") as file:
            values = file["volume"][()]
            del file["volume"]
            file.create_dataset("volume", data=values, chunks=(16, 16, 16), compression="gzip")
    inside = read(tmp_path / name)
    monkeypatch.setattr(memory, "free_memory", lambda: 10_000)
    outside = read(tmp_path / name)
    assert mapped(outside.labels) and not mapped(inside.labels)
    np.testing.assert_array_equal(outside.labels, inside.labels)
    assert outside.phases == inside.phases
    monkeypatch.undo()
    tables = [
        metrics.compare(volume, v, metrics=["volume_fraction", "tpb_density"], workers=2).table
        for v in (inside, outside)
    ]
    pd.testing.assert_frame_equal(*tables)


def mapped(array: np.ndarray) -> bool:
    """Whether an array lies in a file."""
    base: object = array
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    return isinstance(base, np.memmap)
