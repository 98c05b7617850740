"""Volumes for other programs: voxels for ParaView, the surface of a phase for meshing and CAD."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.files import check_space, one_line, replacing
from metrics.io.labels import original_slices, original_values
from metrics.machine.libraries import library
from metrics.machine.memory import allocate, check_memory
from metrics.volume import InputError, Volume, unique_labels

VOXELS, SURFACES = (".vti",), (".stl", ".ply")
SURFACE_BYTES = 40  # a voxel, of the surface of the binder of an electrode
TRIANGLE_BYTES = 50  # in a file, at most


def vtk() -> Any:
    """The library pyvista, whose import takes a second; errors as of `library`."""
    return library("pyvista", "what shows or writes volumes in 3D", "pip install pyvista")


def write_vti(volume: Volume, path: Path) -> None:
    """Write the values of all voxels as VTK image data, for ParaView; whole or not at all.

    The array ``phase`` of the cells holds the value of each phase in its file; axes are x, y, z as
    usual there, and lengths in the volume's unit.
    """
    with one_line(path, "written", "free some space or choose another folder"):
        pyvista = vtk()
        values, dtype = original_values(volume.phases, unique_labels(volume.labels))
        corners = [size + 1 for size in volume.shape[::-1]]
        image = pyvista.ImageData(dimensions=corners, spacing=volume.spacing[::-1])
        stored = allocate(volume.shape, dtype)
        slices = original_slices(volume.labels, volume.shape, values, dtype)
        for target, one in zip(stored, slices, strict=True):
            target[:] = one
        image.cell_data["phase"] = stored.ravel()
        image.field_data["unit"] = [_ascii(volume.unit)]
        image.field_data["phases"] = [f"{_ascii(p.name)}={p.value}" for p in volume.phases]
        _check_disk(path, stored.nbytes)
        with replacing(path) as temporary:
            image.save(temporary)


def write_surface(volume: Volume, path: Path, *, phase: int | str | None) -> None:
    """Write the closed surface of a phase as triangles, whole or not at all.

    Raises
    ------
    InputError
        If no phase is named, or it does not occur, or the file cannot be written.
    """
    with one_line(path, "written", "free some space or choose another folder"):
        if phase is None:
            names = ", ".join(repr(known.name) for known in volume.phases)
            raise InputError(f"a surface is of one phase: name it with phase=, one of {names}")
        mask = volume.mask(phase)
        if not mask.any():
            raise InputError(f"phase {phase!r} has no voxel, and so no surface")
        surface = phase_surface(mask, volume.spacing)
        _check_disk(path, TRIANGLE_BYTES * surface.n_cells)
        with replacing(path) as temporary:
            surface.save(temporary)


def phase_surface(mask: NDArray[np.bool_], spacing: Sequence[float]) -> Any:
    """Closed surface of what is True, as pyvista's PolyData with coordinates x, y, z.

    Marching cubes (Lorensen and Cline 1987, by scikit-image) half way between voxels inside and
    outside; the faces of the volume close it. The first voxel's corner is the origin. Triangles
    run counter-clockwise seen from outside.
    """
    from skimage.measure import marching_cubes

    check_memory(SURFACE_BYTES * mask.size, remedy="crop the volume")
    edges = tuple(map(float, spacing))
    padded = np.pad(mask, 1).astype(np.float32)
    # Lewiner's variant has edges that four triangles share, where meshing programs stop.
    points, triangles, _, _ = marching_cubes(padded, 0.5, spacing=edges, method="lorensen")
    # The first voxel of the padding has its middle at 0. Triangles that run clockwise in z, y, x
    # run counter-clockwise in x, y, z.
    points = (points - 0.5 * np.array(edges))[:, ::-1]
    return vtk().PolyData.from_regular_faces(points, triangles)


def _ascii(name: str) -> str:
    """A name in the letters that VTK knows, others as their code."""
    return name.encode("ascii", "backslashreplace").decode()


def _check_disk(path: Path, nbytes: int) -> None:
    """Raise `InputError` if so much may not fit: VTK does not say that a disk was full."""
    check_space(path.parent, nbytes, bound="up to ", remedy="choose another folder")
