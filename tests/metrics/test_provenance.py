"""Versions and machine are named, whatever is missing."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from metrics.machine import provenance


def test_versions_are_those_that_run() -> None:
    assert provenance.versions()["numpy"] == np.__version__


def test_a_package_that_is_not_installed_is_no_reason_to_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(provenance, "version", missing)
    assert provenance.versions()["slicegan"] == "not installed"


def test_machine_says_how_many_cores() -> None:
    assert "cores" in provenance.machine()
