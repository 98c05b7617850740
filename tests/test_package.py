"""What is published installs by itself, with all that it needs to generate and to measure."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
USE = """\
import metrics, slicegan
from slicegan.settings import presets
print(slicegan.__file__, slicegan.__version__, presets())
assert metrics.volume_fraction(slicegan.generate("snow", 32, seed=0))
"""


def python(*words: str, cwd: Path, path: Path | None = None) -> str:
    """What a fresh interpreter says that finds packages in a folder first."""
    environment = os.environ | ({"PYTHONPATH": str(path)} if path else {})
    done = subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the sdist, made of what git tracks, and of the wheel made from the sdist."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, tracked.stdout.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    python("-m", "build", "--no-isolation", "--outdir", str(out), str(source), cwd=source)
    return out


def test_both_archives_are_fit_to_publish(built: Path) -> None:
    files = sorted(built.iterdir())
    assert [file.suffix for file in files] == [".whl", ".gz"]
    python("-m", "twine", "check", "--strict", *map(str, files), cwd=built)
    with tarfile.open(files[1]) as archive:
        names = {Path(*Path(name).parts[1:]).as_posix() for name in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "slicegan/presets/narrow.json"} <= names


def test_the_wheel_works_away_from_the_checkout(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    alone, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    install = ("-m", "pip", "install", "-q", "--no-deps", "--target", str(alone), str(wheel))
    python(*install, cwd=elsewhere)
    said = python("-c", USE, cwd=elsewhere, path=alone)
    assert str(alone) in said and version("slicegan") in said
    assert not (alone / "benchmarks").exists()  # scripts of a checkout
    python("-m", "slicegan", "info", "nmc-slice", cwd=elsewhere, path=alone)
