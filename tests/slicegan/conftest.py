"""Runs of training that several files of tests look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_runs import draw_nothing, finished, stopped_in


@pytest.fixture(scope="module")
def without_pictures() -> Iterator[None]:
    """Leave the pictures of runs out."""
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, without_pictures: None) -> Path:
    """Folder of a run of four steps that nothing stopped."""
    return finished(tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, without_pictures: None) -> Path:
    """Folder of the same run, stopped in its third step."""
    return stopped_in(3, tmp_path_factory.mktemp("stopped") / "run")
