"""Progress is live on a terminal, and short in a file."""

from __future__ import annotations

import io
import sys

import pytest

from metrics.machine.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "interval"), [(io.StringIO(), 30), (Terminal(), 0.1)])
def test_a_file_gets_a_line_every_half_minute(
    stream: io.StringIO, interval: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar(shown=True, total=1000, unit="step") as steps:
        assert steps.mininterval == interval
        assert steps.maxinterval >= interval  # after which a thread of tqdm writes
        for _ in range(1000):
            steps.update()
    # The first line, and the last one at the end.
    assert stream.getvalue().count("step/s]") >= 1
    if interval == 30:
        assert stream.getvalue().count("\r") <= 3
    stream.truncate(0)
    assert list(progress_bar(range(3), shown=False)) == [0, 1, 2]
    assert not stream.getvalue().strip("\0")
