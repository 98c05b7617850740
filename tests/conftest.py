"""Fixtures and settings that every test shares."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# The volumes of tests are small: threads of torch, BLAS and numba would only wait for each other,
# up to 20 times as long where other work shares the cores. numba's count would replace that of
# torch, as both use one OpenMP. All read it once, when they are loaded.
for library in ("OMP", "NUMBA"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

# A shell's background job ignores Ctrl-C, and so would the tests of it and their child processes.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: the first call of a numba kernel compiles it. In CI the examples are always the same.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session")
def data_path() -> Callable[[str], Path]:
    """Return a function: file name -> its path under SLICEGAN_DATA, else skip the test."""

    def find(name: str) -> Path:
        folder = os.environ.get("SLICEGAN_DATA")
        if not folder:
            pytest.skip(f"needs {name}: SLICEGAN_DATA is not set")
        path = Path(folder) / name
        if not path.is_file():
            pytest.skip(f"needs {name}: not in SLICEGAN_DATA={folder}")
        return path

    return find


# Tests of what a view in 3D shows. Each takes seconds, and others only need the report.
RENDERING = ("test_report", "test_report_pictures", "test_views")


@pytest.fixture(autouse=True)
def _without_views(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    from metrics.report import charts

    if request.module.__name__ not in RENDERING:
        monkeypatch.setattr(charts, "views", lambda *_: {"views": [], "window": ""})


@pytest.fixture(params=["taufactor", "multigrid", "multigrid_on_arrays"])
def solver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each solver of the effective diffusivity in turn as the default."""
    from metrics.diffusivity import effective_diffusivities, effective_diffusivity

    for function in (effective_diffusivities, effective_diffusivity):
        defaults = function.__kwdefaults__ | {"solver": request.param}
        monkeypatch.setattr(function, "__kwdefaults__", defaults)
    return request.param


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    """Files of two small volumes of one law, generated and real."""
    from comparing import field

    from metrics.io.volumes import write

    for name, seed in (("gen", 0), ("real", 1)):
        write(field(seed), tmp_path / f"{name}.tif")
    return str(tmp_path / "gen.tif"), str(tmp_path / "real.tif")
