"""Kept measurements: equal to new ones, and never those of something else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from comparing import field

import metrics
from metrics.comparison import cache
from metrics.comparison.cache import keep, recall
from metrics.comparison.comparing import compare
from metrics.volume import InputError, Phase, Volume

QUESTION = {"metrics": ["volume_fraction"], "max_lag": 3}


def test_another_volume_or_question_is_not_answered(tmp_path: Path) -> None:
    v = field(0)
    keep(tmp_path, v, QUESTION, [0.1, None])
    assert recall(tmp_path, v, QUESTION) == [0.1, None]
    assert recall(tmp_path, Volume(v.labels.copy(), phases=v.phases), QUESTION) == [0.1, None]
    changed = v.labels.copy()
    changed[0, 0, 0] = 1 - changed[0, 0, 0]
    renamed = (Phase("a", 0, 0), Phase("b", 1, 1))
    others = [
        replace(v, labels=changed),
        replace(v, labels=v.labels.swapaxes(0, 1)),
        replace(v, spacing=(2.0, 1.0, 1.0)),
        replace(v, unit="um"),
        replace(v, phases=renamed),
    ]
    for other in others:
        assert recall(tmp_path, other, QUESTION) is None
    assert recall(tmp_path, v, QUESTION | {"max_lag": 4}) is None


def test_an_entry_of_other_code_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path, field(0), QUESTION, 1)
    monkeypatch.setattr(cache, "_code", lambda: "of another definition")
    assert recall(tmp_path, field(0), QUESTION) is None


def test_a_change_of_any_room_is_other_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = Path(metrics.__file__).parent
    rooms = {file.relative_to(home).as_posix() for file in cache._sources()}
    assert {"surface.py", "solver/multigrid.py", "comparison/cache.py", "io/tiff.py"} <= rooms
    room = tmp_path / "room.py"
    monkeypatch.setattr(cache, "_sources", lambda: [room])
    codes = set()
    for definition in ("a", "b"):
        room.write_text(definition)
        codes.add(cache._code.__wrapped__())
    assert len(codes) == 2


def test_a_comparison_from_the_cache_is_the_same(tmp_path: Path) -> None:
    gen, real = field(0), field(1)
    options = {"workers": 1, "metrics": ["chord_length", "two_point_correlation"]}
    new, kept, again = (
        compare(gen, real, cache=folder, **options)
        for folder in (None, tmp_path / "kept", tmp_path / "kept")
    )
    assert len(list((tmp_path / "kept").iterdir())) == 16  # sub-volumes, 8 of each
    for other in (kept, again):
        for name in ("table", "values", "curves"):
            pd.testing.assert_frame_equal(getattr(new, name), getattr(other, name))


def test_what_is_kept_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"workers": 1, "metrics": ["volume_fraction"], "cache": tmp_path}
    compare(field(0), field(1), **options)
    monkeypatch.setattr("metrics.comparison.measuring.measure", None)
    compare(field(0), field(1), **options)
    with pytest.raises(TypeError):
        compare(field(2), field(1), **options)


def test_an_answer_names_its_device(tmp_path: Path) -> None:
    options = {"workers": 1, "metrics": ["volume_fraction"], "cache": tmp_path}
    compare(field(0), field(1), **options)
    assert len(list(tmp_path.iterdir())) == 16
    compare(field(0), field(1), device="cpu", **options)
    assert len(list(tmp_path.iterdir())) == 32


def test_damage_is_measured_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(tmp_path, field(0), QUESTION, 1)
    (entry,) = tmp_path.iterdir()
    whole = entry.read_bytes()
    for damaged in (b"", whole[:-1], whole[:-1] + b"7", b"[0.1,", b"\n1", whole[1:]):
        entry.write_bytes(damaged)
        assert recall(tmp_path, field(0), QUESTION) is None
        assert capsys.readouterr().err == f"{entry}: damaged, measured anew\n"
    keep(tmp_path, field(0), QUESTION, 1)
    assert recall(tmp_path, field(0), QUESTION) == 1


def test_what_cannot_be_read_or_written_is_one_line(tmp_path: Path) -> None:
    keep(tmp_path, field(0), QUESTION, 1)
    (entry,) = tmp_path.iterdir()
    entry.unlink()
    entry.mkdir()
    with pytest.raises(InputError, match=r"cannot be read .*: check the path"):
        recall(tmp_path, field(0), QUESTION)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        keep(tmp_path / "file", field(0), QUESTION, 1)
