"""Read and write segmented volumes: TIFF, folder of slices, npy, HDF5, Zarr and raw."""

from __future__ import annotations

import inspect
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from metrics.files import check_space, one_line, replacing
from metrics.io.folder import read_folder, write_folder
from metrics.io.labels import label_values, original_slices, original_values
from metrics.io.omezarr import read_zarr, write_zarr
from metrics.io.plain import Header, read_h5, read_npy, read_raw, write_h5, write_npy, write_raw
from metrics.io.stored import Stack, StoredArray
from metrics.io.surfaces import SURFACES, VOXELS, write_surface, write_vti
from metrics.io.tiff import read_tiff, write_tiff
from metrics.units import normal_unit
from metrics.volume import (
    LARGE,
    InputError,
    Phase,
    Volume,
    as_volume,
    check_spacing,
    unique_labels,
)

Reader = Callable[..., tuple[NDArray[Any] | Stack, Header]]
Writer = Callable[..., None]

# What reads and what writes a file, by its suffix.
RAW = (".raw", ".bin", ".dat")
FORMATS: dict[str, tuple[Reader, Writer]] = {
    ".tif": (read_tiff, write_tiff),
    ".tiff": (read_tiff, write_tiff),
    ".npy": (read_npy, write_npy),
    ".h5": (read_h5, write_h5),
    ".hdf5": (read_h5, write_h5),
    ".zarr": (read_zarr, write_zarr),
    **dict.fromkeys(RAW, (read_raw, write_raw)),
}
REMEDY = "it is damaged or not what its name says, export it again"
UNCOMPRESSED = (write_npy, write_raw, write_h5)
DEFLATE_MOST = 1032  # times smaller, at most


def read(
    path: str | os.PathLike[str],
    *,
    phases: Mapping[str, int] | None = None,
    spacing: Sequence[float] | float | None = None,
    unit: str | None = None,
    dataset: str | None = None,
    shape: tuple[int, int, int] | None = None,
    dtype: DTypeLike | None = None,
    lazy: bool | None = None,
) -> Volume:
    """Read a segmented volume; its values become labels 0..n-1 by rank.

    Nothing is guessed: without a voxel size in the file (ImageJ or OME metadata, or a file that
    `write` made) or in `spacing`, lengths are in voxels. Values that already are 0..n-1 in an
    uncompressed file stay a read-only memory map.

    More than 512^3 voxels of a Zarr store, or of HDF5 in chunks, stay in the file: ``labels`` is
    then a `metrics.io.stored.StoredArray`, of which indexing gives an ndarray, and measuring reads
    what it needs. Phases are those that `phases` or the file name; without names all of it is read
    once, for its values.

    Parameters
    ----------
    path : path
        ``.tif``/``.tiff``; a folder of ``.png``, ``.tif`` or ``.bmp`` slices, numbered without
        gaps; ``.npy``; ``.h5``/``.hdf5``, also as ``file.h5:/dataset``; ``.zarr`` (OME-Zarr 0.4 and
        0.5, or one 3D array), also as ``store.zarr/array``; ``.raw``/``.bin``/``.dat``.
    phases : mapping of str to int, optional
        Name and value in the file of every phase, in label order. A value may be absent from the
        file: that phase then has no voxel. By default those that `write` stored, else the values
        found, ascending.
    spacing : (float, float, float) or float, optional
        Edge lengths of a voxel in z, y, x, in `unit`, which must be known; overrides the file.
    unit : str, optional
        Length unit; overrides the file. All spellings of a unit become one (`metrics.units`).
    dataset : str, optional
        Dataset of an HDF5 file or Zarr store; may be left out if only one is 3D.
    shape : (int, int, int), optional
        Voxels along z, y, x of a raw file, x fastest.
    dtype : dtype, optional
        Voxel type of a raw file, with its byte order, e.g. ``">u2"``.
    lazy : bool, optional
        Leave the voxels in the file whatever their number, also those of an uncompressed file
        (True), or read them now (False). Compressed TIFF and folders of slices are always read.

    Returns
    -------
    Volume
        Labels, spacing, unit and phases; ``Phase.value`` is the value in the file.

    Raises
    ------
    InputError
        If the file is missing, damaged, not a 3D stack of integers, or a grey image (more than
        16 different values), or if an option does not fit it.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/cell.npy", np.array([[[0, 127], [254, 127]]]))
    ...     read(f"{folder}/cell.npy", phases={"pore": 0, "ni": 127, "ysz": 254}).phases[1]
    Phase(name='ni', label=1, value=127)
    """
    options = {"dataset": dataset, "shape": shape, "dtype": dtype}
    options = {name: value for name, value in options.items() if value is not None}
    with one_line(path, "read", REMEDY):
        values, header = _opened(path, options, lazy)
        lengths, length_unit = _voxel_size(header, spacing, unit)
        labels, named = label_values(values, phases, header.get("phases", []))
        return Volume(labels, spacing=lengths, unit=length_unit, phases=named)


def grey_voxels(
    path: str | os.PathLike[str],
    *,
    spacing: Sequence[float] | float | None = None,
    unit: str | None = None,
) -> tuple[NDArray[Any], tuple[tuple[float, float, float], str]]:
    """Grey values (Z, Y, X) of a volume as they are in the file, its voxel size and unit.

    Files, `spacing`, `unit` and errors are those of `read`; values may be real numbers.
    """
    with one_line(path, "read", REMEDY):
        values, header = _opened(path, {}, lazy=False)
        if values.ndim != 3 or not values.size:
            raise InputError(f"an array of shape {values.shape}: save one 3D volume (z, y, x)")
        if values.dtype.kind not in "iuf":
            raise InputError(f"{values.dtype} values are no greys")
        if values.dtype.kind == "f" and not all(np.isfinite(layer).all() for layer in values):
            raise InputError("holds NaN or infinite values: fill or cut them away")
        return np.asarray(values), _voxel_size(header, spacing, unit)


def _opened(
    path: str | os.PathLike[str], options: dict[str, Any], lazy: bool | None
) -> tuple[NDArray[Any] | StoredArray, Header]:
    """Values of a file, in memory, mapped or still in the file, and its header."""
    location, inner = split_path(path)
    if inner and options.setdefault("dataset", inner) != inner:
        raise InputError("two datasets are named: leave out dataset= or the one in the path")
    reader = _reader(location, options)
    opened, header = reader(location, **options)
    if not isinstance(opened, Stack) and not _stays(opened, lazy):
        return opened, header
    values = StoredArray.whole(os.fspath(path), partial(_values, reader, location, options))
    return values if _stays(opened, lazy) else np.asarray(values), header


def _voxel_size(
    header: Header, spacing: Sequence[float] | float | None, unit: str | None
) -> tuple[tuple[float, float, float], str]:
    """Spacing and unit as the caller says, else as the file does."""
    lengths = check_spacing(header.get("spacing", 1.0) if spacing is None else spacing)
    stored_unit = normal_unit(header.get("unit", ""))
    length_unit = stored_unit if unit is None else normal_unit(unit)
    if spacing is not None and length_unit == "voxel":
        raise InputError("a spacing without a unit: give its unit too, e.g. um")
    unknown = spacing is None and stored_unit == "voxel" and lengths == (1.0, 1.0, 1.0)
    if unknown and length_unit != "voxel":
        raise InputError(f"unit {unit!r} without a voxel size: give its spacing too")
    return lengths, length_unit


def _values(reader: Reader, path: Path, options: Mapping[str, Any]) -> NDArray[Any] | Stack:
    """Values of a file, opened anew."""
    return reader(path, **options)[0]


def _stays(values: NDArray[Any] | Stack, lazy: bool | None) -> bool:
    """Whether values are left in their file."""
    if lazy is None:
        return isinstance(values, Stack) and math.prod(values.shape) > LARGE
    return lazy and isinstance(values, Stack | np.memmap) and len(values.shape) == 3


def write(
    volume: Volume | NDArray[Any],
    path: str | os.PathLike[str],
    *,
    phase: int | str | None = None,
) -> None:
    """Write a volume as the original values of its phases, whole or not at all.

    Values are stored as uint8, or as uint16 if one is above 255. TIFF (ImageJ, deflated; above
    4 GB a BigTIFF that ImageJ opens without voxel size), HDF5 and OME-Zarr (0.5, chunks of 128^3)
    keep spacing, unit, phase names and phases without voxels. Not so ``.npy``, raw files (x
    fastest, little-endian) and folders
    of PNG slices: they hold the values alone.

    For other programs: ``.vti`` (ParaView) holds values, spacing, unit and names of phases, and
    ``.stl`` and ``.ply`` the closed surface of one phase as triangles in the volume's unit, half
    way between its voxels and others. `read` does not read these.

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray
        Segmented volume.
    path : path
        ``.tif``, ``.tiff``, ``.npy``, ``.raw``, ``.bin``, ``.dat``, ``.h5`` or ``.hdf5`` (also
        ``file.h5:/dataset``, by default ``/volume``; other datasets in the file stay), ``.vti``,
        ``.stl``, ``.ply``, or the name of a new store, ``.zarr``, or of a new folder, without
        suffix. An existing file is replaced.
    phase : int or str, optional
        Label or name of the phase whose surface a ``.stl`` or ``.ply`` file holds.

    Raises
    ------
    InputError
        If a value does not fit into uint16, two phases share one, the target cannot be written, or
        `phase` is missing for a surface, unknown, or given for voxels.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Volume(np.array([[[0, 1]]]), (2.0, 0.5, 0.5), "um"), f"{folder}/cell.tif")
    ...     read(f"{folder}/cell.tif").spacing
    (2.0, 0.5, 0.5)
    """
    v, suffix = as_volume(volume), Path(path).suffix.lower()
    if suffix in SURFACES:
        write_surface(v, Path(path), phase=phase)
        return
    if phase is not None:
        raise InputError(f"{path}: phase= is for surfaces, {', '.join(SURFACES)}: leave it out")
    if suffix in VOXELS:
        write_vti(v, Path(path))
        return
    write_slices(
        v.labels,
        path,
        shape=v.shape,
        spacing=v.spacing,
        unit=v.unit,
        phases=v.phases,
        present=unique_labels(v.labels),
    )


def write_slices(
    slices: Iterable[NDArray[Any]],
    path: str | os.PathLike[str],
    *,
    shape: tuple[int, ...],
    phases: Sequence[Phase],
    spacing: Sequence[float] | float = 1.0,
    unit: str = "voxel",
    present: Iterable[int] | None = None,
) -> None:
    """Write a volume slice by slice, so that it never is in memory as a whole.

    Files are as those of `write`. They appear once all slices are there, or not at all.

    Parameters
    ----------
    slices : iterable of (Y, X) integer ndarray
        Labels of the slices in ascending z; or (Y, X, 3): red, green and blue.
    path : path
        As for `write`.
    shape : (int, int, int)
        Voxels along z, y, x; in colour (Z, Y, X, 3).
    phases : sequence of Phase
        Name, label and value of every phase.
    spacing : (float, float, float) or float
        Edge lengths of a voxel in z, y, x, in `unit`.
    unit : str
        Length unit.
    present : iterable of int, optional
        Labels that occur, if that is known beforehand: others do not enlarge the stored type.

    Raises
    ------
    InputError
        As `write`; also if a slice has another shape, holds a label that is no phase, or slices
        are missing or left over, or if the disk has too little space for an uncompressed file.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     images = (np.full((4, 5), z % 2) for z in range(3))
    ...     phases = [Phase("pore", 0, 0), Phase("ni", 1, 127)]
    ...     write_slices(images, f"{folder}/cell.tif", shape=(3, 4, 5), phases=phases)
    ...     read(f"{folder}/cell.tif").shape
    (3, 4, 5)
    """
    with one_line(path, "written", "free some space or choose another folder"):
        location, dataset = split_path(path)
        _, writer = _format(location, folder=not location.suffix)
        values, dtype = original_values(phases, present)
        check_disk(location, math.prod(shape) * dtype.itemsize)
        header = {
            "shape": list(shape),
            "spacing": list(check_spacing(spacing)),
            "unit": unit,
            "phases": [[phase.name, phase.value] for phase in phases],
        }
        options = {"dataset": dataset} if dataset else {}
        with replacing(location, extend=writer is write_h5) as temporary:
            images = iter(slices)
            stored = original_slices(images, shape, values, dtype)
            writer(temporary, stored, dtype=dtype, header=header, **options)
            if next(images, None) is not None:
                raise InputError(f"more slices than the shape {shape} holds")


def check_disk(path: Path, nbytes: int) -> None:
    """Raise `InputError` if so many bytes of voxels cannot fit onto the disk of a path.

    A compressed format may take next to nothing, but never less than DEFLATE can.
    """
    location, _ = split_path(path)
    _, writer = _format(location, folder=not location.suffix)
    plain = writer in UNCOMPRESSED
    remedy = "ask for less, or choose another folder" + ", or .tif, which is compressed" * plain
    needed, bound = (nbytes, "") if plain else (nbytes // DEFLATE_MOST, "at least ")
    check_space(location.parent, needed, bound=bound, remedy=remedy)


def is_store(path: str | os.PathLike[str]) -> bool:
    """Whether a path is that of a Zarr store."""
    return Path(path).suffix.lower() == ".zarr"


def split_path(path: str | os.PathLike[str]) -> tuple[Path, str]:
    """File and dataset of ``file.h5:/dataset`` and ``store.zarr/array``; else no dataset."""
    pattern = r"(.+\.(?:h5|hdf5)):/?(.+)|(.+\.zarr):?/+(.*[^/])/*"
    match = re.fullmatch(pattern, os.fspath(path), flags=re.IGNORECASE)
    return (Path(match[1] or match[3]), match[2] or match[4]) if match else (Path(path), "")


def _reader(path: Path, options: Mapping[str, Any]) -> Reader:
    """Reader for a path, if there is something to read and all options concern it."""
    if not path.exists():
        raise InputError("no such file or folder: check the path")
    reader, _ = _format(path, folder=path.is_dir())
    unused = options.keys() - inspect.signature(reader).parameters.keys()
    if unused:
        raise InputError(f"{', '.join(sorted(unused))}= does not apply to this type: leave it out")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError("the file is empty: copy or export it again")
    return reader


def _format(path: Path, *, folder: bool) -> tuple[Reader, Writer]:
    """Return what reads and what writes a path."""
    if folder and not is_store(path):  # which is a folder itself
        return read_folder, write_folder
    if path.suffix.lower() not in FORMATS:
        raise InputError(
            f"unknown type {path.suffix!r}: use {', '.join(FORMATS)} or a folder of slices"
        )
    return FORMATS[path.suffix.lower()]
