"""A report is written whole or not at all, and only where it may be."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest
from made_up_report import (
    without_plots,
    write,
)

from metrics.report.page import FILES, check_folder
from metrics.volume import InputError


def test_report_replaces_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_plots(monkeypatch)
    write(tmp_path / "out", summary={"run": 1})
    write(tmp_path / "out", summary={"run": 2})
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["run"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (tmp_path / "out" / "distances.csv").unlink()  # as earlier versions wrote it
    write(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(FILES)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["write_text", "rename"])
def test_failure_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    without_plots(monkeypatch)
    write(tmp_path / "old", summary={"run": 1})
    work = getattr(Path, step)

    def fail(path: Path, *args: Any, **kwargs: Any) -> Any:
        # One of the files; the new folder's move, after the old one has been moved away.
        if path.name == "summary.json" or path.parent.name == "new":
            raise error
        return work(path, *args, **kwargs)

    for name in ("old", "new/and/deep"):
        with monkeypatch.context() as patch, pytest.raises((InputError, KeyboardInterrupt)):
            patch.setattr(Path, step, fail)
            write(tmp_path / name, summary={"run": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert {path.name for path in (tmp_path / "old").iterdir()} == set(FILES)
    assert json.loads((tmp_path / "old" / "summary.json").read_text())["run"] == 1


def test_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operating system itself refuses to write more than 1000 bytes to a file."""
    without_plots(monkeypatch)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(InputError, match="cannot write a report to") as caught:
            write(tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_foreign_folders_and_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_plots(monkeypatch)
    for name in ("thesis.tex", "table.csv"):  # one of our names does not make a report
        folder = tmp_path / f"folder of {name}"
        folder.mkdir()
        (folder / name).write_text("mine")
        with pytest.raises(InputError, match="no report: name a new or empty folder"):
            write(folder)
        assert (folder / name).read_text() == "mine"
        assert len(list(folder.iterdir())) == 1
        for below in (folder / name, folder / name / "below"):
            with pytest.raises(InputError, match="cannot write a report"):
                check_folder(below)
    for check in (check_folder, write):  # before the work, also for root, who may all but that
        with pytest.raises(InputError, match="cannot write a report"):
            check(Path("/proc/no/report"))


def test_empty_and_linked_folders_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_plots(monkeypatch)
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert {path.name for path in (tmp_path / "empty").iterdir()} == set(FILES)
