"""The number of threads follows what the process is allowed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("allowed", ["1", "2"])
def test_thread_count_follows_the_environment(allowed: str) -> None:
    code = "from metrics.machine.threads import thread_count; print(thread_count())"
    environment = {**os.environ, "NUMBA_NUM_THREADS": allowed}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == allowed
