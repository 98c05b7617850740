"""Processes that measure: one thread each, and none is left when the command has gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numba
import psutil
import pytest

from metrics.machine.threads import at_most, thread_count
from metrics.machine.workers import in_parallel
from metrics.volume import InputError

PATIENCE = 120  # seconds: guards against hanging alone
ENDLESS = """
import os, signal, time
from pathlib import Path
from metrics.machine.workers import in_parallel

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup, if it is above us, has it ignored

def work(k):
    Path("worker", str(os.getpid())).touch()
    time.sleep(1000)

list(in_parallel(work, [(k,) for k in range(4)], 2))
"""


def threads(_: int) -> tuple[int, int, int]:
    return os.getpid(), thread_count(), numba.get_num_threads()


def double(number: int) -> int:
    return 2 * number


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_worker_has_one_thread(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 2)
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    for process, counted, of_numba in in_parallel(threads, [(k,) for k in range(4)], workers):
        assert (process == os.getpid()) == (workers == 1)
        assert (counted, of_numba) == (1, 1)


def test_a_limit_ends_where_it_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 8)
    assert thread_count() == 8
    with pytest.raises(ZeroDivisionError), at_most(3):
        assert thread_count() == 3
        raise ZeroDivisionError
    assert thread_count() == 8


@pytest.mark.parametrize("workers", [1, 2])
def test_answers_come_in_the_order_of_the_questions(workers: int) -> None:
    assert list(in_parallel(double, [(k,) for k in range(9)], workers)) == list(range(0, 18, 2))


def test_no_workers_are_refused() -> None:
    with pytest.raises(InputError, match="workers must be"):
        list(in_parallel(double, [(1,)], 0))


def test_a_worker_that_was_killed_is_one_line() -> None:
    with pytest.raises(InputError, match=r"^a worker process was killed.*fewer workers"):
        list(in_parallel(die, [(k,) for k in range(4)], 2))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_workers_end_with_what_started_them(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "worker").mkdir()
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS], cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}
    )
    try:
        latest = time.monotonic() + PATIENCE
        while len(found := list((tmp_path / "worker").iterdir())) < 2 and time.monotonic() < latest:
            assert process.poll() is None
            time.sleep(0.1)
        workers = [psutil.Process(int(file.name)) for file in found]
        assert len(workers) == 2
        process.send_signal(number)
        process.wait(PATIENCE)
        _, alive = psutil.wait_procs(workers, timeout=PATIENCE)
        assert not alive
    finally:  # a failure here must not be that of another test
        process.kill()
        process.wait()
