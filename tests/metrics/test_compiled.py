"""Compiled loops where nothing can be kept."""

from __future__ import annotations

import errno

import numpy as np
import pytest
from numba.core.caching import CacheImpl, IndexDataCacheFile

from metrics.machine import compiled as room
from metrics.machine.compiled import compiled


@pytest.fixture(autouse=True)
def nothing_said() -> None:
    room.say_once.cache_clear()


def twice(x):  # type: ignore[no-untyped-def]
    return 2 * x


def test_without_a_folder_loops_are_compiled_and_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    for _ in range(2):
        assert compiled(nogil=True)(twice)(3) == 6
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "no folder can be written" in said and "NUMBA_CACHE_DIR" in said


def test_a_full_disk_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(IndexDataCacheFile, "save", full)
    loop = compiled(twice)
    assert loop(3) == 6
    assert loop(np.float32(1.5)) == 3  # another type, another attempt
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "No space left" in said
