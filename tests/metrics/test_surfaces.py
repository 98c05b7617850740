"""Voxels and surfaces for other programs, read back by the library that they are made for."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import pyvista
from refusing import refusal

import metrics
from metrics.io.surfaces import phase_surface
from metrics.shapes import sphere
from metrics.volume import Phase, Volume

PHASES = (Phase("pore", 0, 0), Phase("ni", 1, 127), Phase("ysz", 2, 300))


def enclosed(surface: pyvista.PolyData) -> float:
    """Volume by the divergence theorem: positive where triangles run counter-clockwise outside."""
    corners = surface.points.astype(float)[surface.regular_faces]
    return float(np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))) / 6


def test_paraview_gets_values_edges_and_names_with_x_first(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 3, (4, 5, 6))
    metrics.write(Volume(labels, (3.0, 2.0, 0.5), "um", PHASES), tmp_path / "v.vti")
    found = pyvista.read(tmp_path / "v.vti")
    assert found.dimensions == (7, 6, 5)
    assert found.spacing == (0.5, 2.0, 3.0)
    values = np.array([0, 127, 300])[labels]
    assert (found.cell_data["phase"].reshape(4, 5, 6) == values).all()
    # Cell (z, y, x) lies at its index times its edges.
    place = np.array(found.GetCell(found.n_cells - 1).GetBounds())
    assert place == pytest.approx([2.5, 3.0, 8.0, 10.0, 9.0, 12.0])
    assert list(found.field_data["phases"]) == ["pore=0", "ni=127", "ysz=300"]
    assert list(found.field_data["unit"]) == ["um"]


def test_names_beyond_ascii_are_written_as_their_codes(tmp_path: Path) -> None:
    phases = (Phase("Größe", 0, 0), Phase("\u03b1", 1, 1))
    metrics.write(Volume(np.zeros((2, 2, 2), int), 1.0, "Å", phases), tmp_path / "v.vti")
    found = pyvista.read(tmp_path / "v.vti")
    assert list(found.field_data["phases"]) == ["Gr\\xf6\\xdfe=0", "\\u03b1=1"]


def test_what_may_not_fit_onto_the_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    v = Volume(np.eye(4, dtype=int)[None].repeat(3, axis=0), phases=PHASES)
    full = SimpleNamespace(free=20)
    monkeypatch.setattr("metrics.files.shutil.disk_usage", lambda _: full)
    for name, phase in (("v.vti", None), ("v.stl", "ni")):
        assert "GiB on the disk" in refusal(metrics.write, v, tmp_path / name, phase=phase)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".stl", ".ply"])
def test_a_voxel_keeps_its_place_and_its_edges(tmp_path: Path, suffix: str) -> None:
    labels = np.zeros((5, 6, 7), int)
    labels[1, 2, 3] = 1
    v = Volume(labels, (3.0, 2.0, 0.5), "um", PHASES)
    metrics.write(v, tmp_path / f"v{suffix}", phase="ni")
    found = pyvista.read(tmp_path / f"v{suffix}")
    assert np.array(found.bounds) == pytest.approx([1.5, 2.0, 4.0, 6.0, 3.0, 6.0], abs=1e-6)
    # The octahedron through the middles of its six faces.
    assert enclosed(found) == pytest.approx(3.0 / 6, rel=1e-6)


def test_the_surface_of_a_ball_is_closed_and_looks_outwards() -> None:
    mask = sphere((48, 48, 48), radius=16.0).volume.mask(1)
    surface = phase_surface(mask, (1.0, 1.0, 1.0))
    assert surface.n_open_edges == 0 and surface.is_manifold
    # Marching cubes cuts corners of voxels off: a shell of a fraction of a voxel.
    assert enclosed(surface) == pytest.approx(mask.sum(), rel=0.01)


def test_what_touches_the_faces_is_closed_there() -> None:
    mask = np.random.default_rng(0).random((12, 13, 14)) < 0.5
    surface = phase_surface(mask, (1.0, 2.0, 3.0))
    assert surface.n_open_edges == 0 and surface.is_manifold
    assert surface.bounds == pytest.approx((0, 42, 0, 26, 0, 12))
    assert enclosed(surface) > 0


def test_bad_requests_are_refused_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    v = Volume(np.eye(4, dtype=int)[None].repeat(3, axis=0), phases=PHASES)
    assert "one of 'pore', 'ni', 'ysz'" in refusal(metrics.write, v, tmp_path / "v.stl")
    assert "no phase gold" in refusal(metrics.write, v, tmp_path / "v.stl", phase="gold")
    assert "has no voxel" in refusal(metrics.write, v, tmp_path / "v.ply", phase="ysz")
    assert "leave it out" in refusal(metrics.write, v, tmp_path / "v.tif", phase="ni")
    assert "leave it out" in refusal(metrics.write, v, tmp_path / "v.vti", phase="ni")
    missing = tmp_path / "no" / "v.stl"
    assert str(missing) in refusal(metrics.write, v, missing, phase="ni")
    assert "unknown type" in refusal(metrics.read, _touched(tmp_path / "v.vti"))
    monkeypatch.setitem(sys.modules, "pyvista", None)
    assert "pip install pyvista" in refusal(metrics.write, v, tmp_path / "w.stl", phase="ni")
    assert [path.name for path in tmp_path.iterdir()] == ["v.vti"]


def _touched(path: Path) -> Path:
    path.write_text("x")
    return path
