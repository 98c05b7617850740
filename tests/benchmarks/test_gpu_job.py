"""The GPU job at tiny size on a CPU, where most of what the project uses is not installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import venv
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from packaging.requirements import Requirement

from benchmarks import datasets
from benchmarks.making import gpu_checks, gpu_job, gpu_stages
from benchmarks.making.gpu_checks import Job, Row, drawn_on_cpu
from benchmarks.making.gpu_stages import STAGES, ended_after
from slicegan.losses import generator_loss

ROOT = Path(__file__).parents[2]
WHEELS = ROOT / "benchmarks" / "making" / "gpu_wheels.txt"
# What a borrowed machine has.
GIVEN = (
    *(
        "h5py",
        "jinja2",
        "joblib",
        "lazy-loader",
        "matplotlib",
        "numba",
        "numpy",
        "pandas",
        "psutil",
    ),
    *("safetensors", "scikit-image", "scipy", "tifffile", "torch", "tqdm"),
)


def bare_python(folder: Path) -> Path:
    """Python of a new environment: a borrowed machine's packages and the wheels, nothing else."""
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    wheels = [line for line in WHEELS.read_text().splitlines() if not line.startswith("#")]
    for name in needed(GIVEN) | set(wheels):
        found = distribution(name)
        entries = {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}
        for entry in entries:
            (site / entry).symlink_to(str(found.locate_file(entry)))
    return folder / "bin" / "python"


def needed(names: Iterable[str]) -> set[str]:
    """These packages, and all that they require."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name not in found:
            found.add(name)
            required = map(Requirement, distribution(name).requires or ())
            waiting += [
                r.name for r in required if not r.marker or r.marker.evaluate({"extra": ""})
            ]
    return found


def test_the_job_runs_in_a_bare_environment(tmp_path: Path) -> None:
    """One test, not a fixture of several: each worker would run the job for its own."""
    python, out = bare_python(tmp_path / "bare"), tmp_path / "out"
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(datasets.path("snow"), data / datasets.DATASETS["snow"].file)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["SLICEGAN_DATA"] = str(data)
    command = [str(python), "-m", "benchmarks.making.gpu_job", "--tiny", "--device", "cpu"]
    run = subprocess.run(
        [*command, "--minutes", "4", "--out", str(out)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    for name in STAGES:
        page = (out / f"{name}.md").read_text(encoding="utf-8")
        assert len(pd.read_csv(out / f"{name}.csv")) >= (1 if name == "largest" else 2)
        assert "- stage: done" in page and "- sizes: tiny" in page
        assert f"{name}: done" in run.stdout
    assert (out / "run" / "generator.safetensors").exists()
    # The same computation on the same device is correct, by two solvers, not by one twice.
    table = pd.read_csv(out / "correctness.csv")
    assert len(table) == 6 + 2 + 2
    assert table["met"].all(), table.to_string()
    assert (table["difference"][4:] > 0).any()
    solved = pd.read_csv(out / "solver.csv").set_index(["solver", "side"])["D_eff"].unstack(0)
    np.testing.assert_allclose(solved["ours"], solved["TauFactor"], rtol=0.01)
    assert "the original: not measured, give --reference CHECKOUT" in run.stdout


def test_a_step_that_is_wrong_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    one = gpu_checks._after_steps(cpu, 1)
    monkeypatch.setattr("slicegan.training.generator_loss", lambda *given: -generator_loss(*given))
    two = gpu_checks._after_steps(cpu, 1)
    assert gpu_checks._apart(one, two) > 10 * gpu_checks.SAME_WEIGHTS


def test_missing_data_is_said_before_the_first_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SLICEGAN_DATA", raising=False)
    monkeypatch.setitem(sys.modules, "pooch", None)
    monkeypatch.setattr(gpu_job, "run_stage", lambda *_: pytest.fail("a stage began"))
    assert gpu_job.main(["--device", "cpu", "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "nmc" in error and "set SLICEGAN_DATA to it" in error and error.count("\n") == 1


def test_a_stage_that_is_done_is_left_out_and_one_that_failed_or_was_cut_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []
    answers = {1: "failed with status 1", 3: "ended after 9 s"}

    def run_stage(name: str, *_: Any) -> str:
        seen.append(name)
        (tmp_path / f"{name}.csv").write_text("what,value\na,1\n")
        return answers.get(len(seen), "done")

    monkeypatch.setattr(gpu_job, "run_stage", run_stage)
    argv = ["--device", "cpu", "--out", str(tmp_path), "--stages", "solver,generation"]
    assert gpu_job.main(argv) == 1
    assert seen == ["solver", "generation"]
    for _ in range(3):
        assert gpu_job.main(argv) == 0
    assert seen[2:] == ["solver", "solver"]
    before = (tmp_path / "solver.md").read_text()
    assert gpu_job.main([*argv, "--tiny"]) == 2
    assert len(seen) == 4 and (tmp_path / "solver.md").read_text() == before
    out, err = capsys.readouterr()
    assert "solver: failed with status 1" in out
    assert "of other sizes: name another --out" in err


def test_rows_are_kept_as_they_come_and_end_with_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(job: Job) -> Iterator[Row]:
        k = 0
        while True:
            assert len((tmp_path / "solver.csv").read_text().splitlines()) == (k and k + 1)
            yield {"what": k, "left": job.left()}
            k += 1

    monkeypatch.setitem(gpu_stages.STAGES, "solver", (1.0, endless))
    argv = ["--device", "cpu", "--out", str(tmp_path), "--stage", "solver", "--seconds", "0.05"]
    assert gpu_job.main(argv) == gpu_job.CUT
    table = pd.read_csv(tmp_path / "solver.csv")
    assert len(table) > 1 and (table["left"][:-1] > 0).all()


def test_what_takes_too_long_is_interrupted_and_what_does_not_is_not() -> None:
    start = time.perf_counter()
    with ended_after(0.05):
        time.sleep(60)
    assert time.perf_counter() - start < 30
    with ended_after(0.05):
        pass
    time.sleep(0.1)


def test_wheels_are_installed_without_a_network(tmp_path: Path) -> None:
    wheels, info = tmp_path / "wheels", "small_tool-1.0.dist-info"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "small_tool-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("small_tool.py", "answer = 42\n")
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: small-tool\nVersion: 1.0\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    environment = gpu_job.installed(wheels, tmp_path)
    code = "import small_tool; print(small_tool.answer)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "42\n"


def test_random_numbers_are_those_of_the_seed_wherever_they_are_wanted() -> None:
    def draws() -> list[torch.Tensor]:
        random = torch.Generator().manual_seed(torch.seed() % 2**32)
        with drawn_on_cpu(3):
            return [
                torch.randn(3, generator=random), torch.rand((2, 2), generator=random),
                torch.randint(9, (4,), generator=random), torch.randperm(5, generator=random),
                torch.nn.init.normal_(torch.empty(3), 0.0, 1.0, generator=random),
            ]  # fmt: skip

    for one, other in zip(draws(), draws(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--stages", "solver,cooking"], "cooking is none of correctness, solver"),
        (["--minutes", "0"], "--minutes must be positive"),
        (["--wheels", "nowhere"], "holds no wheel"),
    ],
)
def test_bad_requests_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], named: str
) -> None:
    assert gpu_job.main(["--device", "cpu", "--out", str(tmp_path / "out"), *words]) == 2
    error = capsys.readouterr().err
    assert named in error and error.count("\n") == 1
