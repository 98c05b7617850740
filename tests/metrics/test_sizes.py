"""The memory of each measure as it is said beforehand, beside what a process takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from refusing import refusal

from metrics import ALL_METRICS, compare, peak_bytes, sizes
from metrics.comparison import measuring
from metrics.description import CURVE
from metrics.machine import memory
from metrics.machine.workers import PROCESS_BYTES, SPARE, affordable
from metrics.shapes import gaussian_random_field
from metrics.volume import LARGE

ROOT = Path(__file__).parents[2]
# A process of its own for each measure, on one thread: what it holds beyond what it held when the
# volume was there and all that is compiled was compiled, sampled by the kernel.
MEASURED = """
import json, sys
from metrics import connectivity, correlation, sizes
from metrics.comparison import measuring
from metrics.comparison.measuring import Question, measure_volume, peak_memory
from metrics.shapes import gaussian_random_field
from metrics.machine.threads import at_most

name, shape, fractions, lag, large = json.loads(sys.argv[1])
for module in (connectivity, correlation, measuring, sizes):
    module.LARGE = large

def field(shape):
    return gaussian_random_field(
        tuple(shape), correlation_length=4, fractions=tuple(fractions), seed=0
    ).volume

def measured(v, lag):
    with at_most(1):
        measure_volume(v, Question((name,), lag))

def now():
    with open("/proc/self/status") as status:
        lines = dict(line.split(":") for line in status)
    return 1024 * int(lines["VmRSS"].split()[0])

def forget():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")

measured(field([24] * 3), 4)
v = field(shape)
forget()
before = now()
measured(v, lag)
with open("/proc/self/status") as status:
    peak = [1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM")][0]
print(peak - before)
"""


def taken(
    name: str, shape: tuple[int, ...], fractions: tuple[float, ...], lag: int, large: int = LARGE
) -> int:
    # Freed memory goes back to the kernel at once: else a peak would be that of an earlier step.
    environment = {
        **os.environ,
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "MALLOC_TRIM_THRESHOLD_": "65536",
    }
    run = subprocess.run(
        [sys.executable, "-c", MEASURED, json.dumps([name, shape, fractions, lag, large])],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(run.stdout)


THREE = (0.3, 0.4, 0.3)
APART = ("effective_diffusivity", "volume_fraction", "section_thickness")
ALL = [name for name in ALL_METRICS if name not in APART]
CASES = [
    *((name, (128, 144, 160), THREE, 40) for name in ALL),
    ("effective_diffusivity", (128, 128, 128), (0.02, 0.98), 0),
    ("two_point_correlation", (160, 160, 160), THREE, 80),
    ("two_point_correlation", (60, 300, 200), THREE, 10),
]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux counts peaks")
@pytest.mark.parametrize(("name", "shape", "fractions", "lag"), CASES)
def test_a_process_takes_what_was_said(
    name: str, shape: tuple[int, ...], fractions: tuple[float, ...], lag: int
) -> None:
    found = taken(name, shape, fractions, lag)
    said = peak_bytes(name, shape, len(fractions), max_lag=lag)
    # A fifth, and what little measures leave in the allocator.
    assert found < 1.2 * said + 2**22, (found / np.prod(shape), said / np.prod(shape))
    if name != "effective_diffusivity":
        assert said < 1.2 * found + 2**23, (found / np.prod(shape), said / np.prod(shape))


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux counts peaks")
@pytest.mark.parametrize("name", ["active_tpb_density", "cluster_density", CURVE])
def test_a_process_takes_what_was_said_part_by_part(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shape = (200, 208, 216)  # nearly a slab, and one block
    found = taken(name, shape, THREE, 20, large=2**20)
    monkeypatch.setattr(sizes, "LARGE", 2**20)
    said = peak_bytes(name, shape, 3, max_lag=20)
    assert found < 1.2 * said + 2**22, (found / 2**20, said / 2**20)
    assert said < 1.2 * found + 2**23, (found / 2**20, said / 2**20)


def test_the_memory_of_large_volumes_grows_with_their_layers_alone() -> None:
    names = [name for name in ALL if name not in ("active_tpb_density", "local_thickness")]
    one, two = (peak_bytes(names, (n, 1024, 1024), 3, max_lag=32) for n in (1024, 2048))
    assert one == two < 3 * 2**30
    assert peak_bytes("active_tpb_density", (2048, 1024, 1024), 3) < 2.6 * 2**30
    assert peak_bytes("effective_diffusivity", (1024,) * 3, 3) == 66 * 2**30 + 2**22


def test_a_limit_leaves_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    free, held = memory.free_memory(), psutil.Process().memory_info().rss
    with memory.memory_limit(held + 2**20):
        assert memory.free_memory() < 2**22 < free
    assert memory.free_memory() > 2**22


def test_sub_volumes_are_as_large_as_the_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    question = measuring.Question(("local_thickness",))
    monkeypatch.setattr(measuring, "free_memory", lambda: 2**25)
    side = measuring.largest_affordable((200, 100, 300), 2, question)
    needed = [n * 100 * n * 19 + 2**22 for n in (side, side + 1)]
    assert needed[0] <= 0.8 * 2**25 < needed[1]
    monkeypatch.setattr(measuring, "free_memory", lambda: 0)
    assert measuring.largest_affordable((200, 100, 300), 2, question) == 15


def test_sections_are_thick_layer_by_layer() -> None:
    layer = peak_bytes("local_thickness", (1, 100, 200), 2)
    assert peak_bytes("section_thickness", (50, 100, 200), 2) == layer


def test_measures_one_after_the_other_take_the_most_of_one() -> None:
    shape = (100, 100, 100)
    both = peak_bytes(["local_thickness", "chord_length"], shape, 2)
    assert both == peak_bytes("local_thickness", shape, 2)
    # Clusters are kept from one measure to the next.
    more = peak_bytes(["local_thickness", "cluster_density"], shape, 2) - both
    assert more == 4 * 2 * 100**3


def test_the_two_point_correlation_takes_less_for_short_lags_and_none_over_the_seam() -> None:
    shape, name = (256, 256, 256), "two_point_correlation"
    short, long = (peak_bytes(name, shape, 2, max_lag=lag) for lag in (8, 128))
    assert short < long == peak_bytes(name, shape, 2)
    assert peak_bytes(name, shape, 2, periodic=True) < long


def test_unknown_measures_are_refused() -> None:
    assert "unknown metric 'tortuosity'" in refusal(peak_bytes, "tortuosity", (8, 8, 8), 2)


def test_fewer_processes_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    one = 2**30
    monkeypatch.setattr("joblib.effective_n_jobs", lambda workers: 4)
    for spare, count in ((100 * one, 4), (3 * (one + PROCESS_BYTES), 3), (one, 1)):
        free = int(spare / SPARE) + 2
        monkeypatch.setattr(memory, "free_memory", lambda free=free: free)
        monkeypatch.setattr("metrics.machine.workers.free_memory", lambda free=free: free)
        assert affordable(-1, one) == count
    assert "needs 2 GiB of memory, 1 GiB are free: measure smaller sub-volumes" in refusal(
        affordable, -1, 2 * one
    )


def test_a_comparison_that_does_not_fit_is_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = gaussian_random_field((32,) * 3, correlation_length=2, seed=0).volume
    monkeypatch.setattr("metrics.machine.workers.free_memory", lambda: 2**21)
    monkeypatch.setattr("metrics.comparison.measuring.measure", pytest.fail)
    assert "of memory" in refusal(compare, body, body, workers=1)
