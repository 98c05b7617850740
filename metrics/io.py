"""Read and write segmented volumes: TIFF, folder of slices, npy, HDF5 and raw."""

from __future__ import annotations

import inspect
import json
import operator
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from metrics.tiff import HEADER_KEY, Header, check_memory, read_tiff, write_tiff
from metrics.volume import (
    MAX_PHASES,
    InputError,
    Phase,
    Volume,
    as_volume,
    check_spacing,
    unique_labels,
)

SLICE_SUFFIXES = (".png", ".tif", ".tiff", ".bmp")
MICROMETRE = {"um", "\u00b5m", "\u03bcm", "micron", "micrometer", "micrometre"}
NO_UNIT = {"", "voxel", "voxels", "pixel", "pixels", "px"}

Slices = Iterator[NDArray[Any]]


def read(
    path: str | os.PathLike[str],
    *,
    phases: Mapping[str, int] | None = None,
    spacing: Sequence[float] | float | None = None,
    unit: str | None = None,
    dataset: str | None = None,
    shape: tuple[int, int, int] | None = None,
    dtype: DTypeLike | None = None,
) -> Volume:
    """Read a segmented volume; its values become labels 0..n-1 by rank.

    Nothing is guessed: without a voxel size in the file (ImageJ or OME metadata, or a file that
    `write` made) or in `spacing`, lengths are in voxels. Values that already are 0..n-1 in an
    uncompressed file stay a read-only memory map.

    Parameters
    ----------
    path : path
        ``.tif``/``.tiff``; a folder of ``.png``, ``.tif`` or ``.bmp`` slices, numbered without
        gaps; ``.npy``; ``.h5``/``.hdf5``, also as ``file.h5:/dataset``; ``.raw``/``.bin``/``.dat``.
    phases : mapping of str to int, optional
        Name and value in the file of every phase, in label order. A value may be absent from the
        file: that phase then has no voxel. By default those that `write` stored, else the values
        found, ascending.
    spacing : (float, float, float) or float, optional
        Edge lengths of a voxel in z, y, x, in `unit`; overrides the file.
    unit : str, optional
        Length unit; overrides the file. All spellings of micrometre become ``"um"``.
    dataset : str, optional
        Dataset of an HDF5 file; may be left out if only one is 3D.
    shape : (int, int, int), optional
        Voxels along z, y, x of a raw file, x fastest.
    dtype : dtype, optional
        Voxel type of a raw file, with its byte order, e.g. ``">u2"``.

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
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/cell.npy", np.array([[[0, 127], [254, 127]]]))
    ...     read(f"{folder}/cell.npy", phases={"pore": 0, "ni": 127, "ysz": 254}).phases[1]
    Phase(name='ni', label=1, value=127)
    """
    options = {"dataset": dataset, "shape": shape, "dtype": dtype}
    options = {name: value for name, value in options.items() if value is not None}
    with _one_line(path, "read", "it is damaged or not what its name says, export it again"):
        location, inner = _split(path)
        if inner and options.setdefault("dataset", inner) != inner:
            raise InputError("two datasets are named: leave out dataset= or the one in the path")
        values, header = _reader(location, options)(location, **options)
        values = _integers(values)
        labels, named = _label(values, phases, header.get("phases"))
        return Volume(
            labels,
            spacing=check_spacing(header.get("spacing", 1.0) if spacing is None else spacing),
            unit=_normal_unit(header.get("unit", "") if unit is None else unit),
            phases=named,
        )


def write(volume: Volume | NDArray[Any], path: str | os.PathLike[str]) -> None:
    """Write a volume as the original values of its phases, whole or not at all.

    Values are stored as uint8, or as uint16 if one is above 255. TIFF (ImageJ, deflated; above
    4 GB a BigTIFF that ImageJ opens without voxel size) and HDF5 keep spacing, unit, phase names
    and phases without voxels. Not so ``.npy``, raw files (x fastest, little-endian) and folders
    of PNG slices: they hold the values alone.

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray
        Segmented volume.
    path : path
        ``.tif``, ``.tiff``, ``.npy``, ``.raw``, ``.bin``, ``.dat``, ``.h5`` or ``.hdf5`` (also
        ``file.h5:/dataset``, by default ``/volume``; other datasets in the file stay), or the
        name of a new folder, without suffix. An existing file is replaced.

    Raises
    ------
    InputError
        If a value does not fit into uint16, two phases share one, or the target cannot be
        written.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Volume(np.array([[[0, 1]]]), (2.0, 0.5, 0.5), "um"), f"{folder}/cell.tif")
    ...     read(f"{folder}/cell.tif").spacing
    (2.0, 0.5, 0.5)
    """
    v = as_volume(volume)
    with _one_line(path, "written", "free some space or choose another folder"):
        location, dataset = _split(path)
        writer = WRITERS.get(location.suffix.lower())
        if writer is None:
            raise InputError(f"unknown type {location.suffix!r}: use {', '.join(WRITERS)[2:]}")
        values = _original_values(v)
        dtype = np.dtype("u1" if max(values.values()) < 2**8 else "<u2")
        header = {
            "shape": list(v.shape),
            "spacing": list(v.spacing),
            "unit": v.unit,
            "phases": [[phase.name, phase.value] for phase in v.phases],
        }
        slices = (_translate(labels, values, np.empty(v.shape[1:], dtype)) for labels in v.labels)
        options = {"dataset": dataset} if dataset else {}
        with _replacing(location, extend=writer is _write_h5) as temporary:
            writer(temporary, slices, dtype=dtype, header=header, **options)


@contextmanager
def _one_line(path: str | os.PathLike[str], done: str, remedy: str) -> Iterator[None]:
    """Put the file's name before every `InputError`, and turn every other error into one.

    A damaged file can raise anything in the library that decodes it; the cause stays attached.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error.__cause__
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = " ".join(str(reason).split())[:200]
        raise InputError(f"{path}: cannot be {done} ({reason}): {remedy}") from error


def _split(path: str | os.PathLike[str]) -> tuple[Path, str]:
    """File and dataset of ``file.h5:/dataset``; no dataset for any other path."""
    match = re.fullmatch(r"(.+\.(?:h5|hdf5)):/?(.+)", os.fspath(path), flags=re.IGNORECASE)
    return (Path(match[1]), match[2]) if match else (Path(path), "")


def _reader(path: Path, options: Mapping[str, Any]) -> Callable[..., tuple[NDArray[Any], Header]]:
    """Reader for a path, if there is something to read and all options concern it."""
    if not path.exists():
        raise InputError("no such file or folder: check the path")
    reader = _read_folder if path.is_dir() else READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"unknown type {path.suffix!r}: use {', '.join(READERS)} or a folder of slices"
        )
    unused = options.keys() - inspect.signature(reader).parameters.keys()
    if unused:
        raise InputError(f"{', '.join(sorted(unused))}= does not apply to this type: leave it out")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError("the file is empty: copy or export it again")
    return reader


def _read_npy(path: Path) -> tuple[NDArray[Any], Header]:
    # Unlike np.load this can neither unpickle nor open a zip of arrays.
    return np.lib.format.open_memmap(path, mode="r"), {}


def _read_raw(
    path: Path,
    *,
    shape: tuple[int, int, int] | None = None,
    dtype: DTypeLike | None = None,
) -> tuple[NDArray[Any], Header]:
    if shape is None or dtype is None:
        raise InputError('a raw file needs shape=(z, y, x) and dtype=, e.g. dtype="uint8"')
    try:
        depth, height, width = (operator.index(length) for length in shape)
        kind = np.dtype(dtype)
    except (TypeError, ValueError):
        raise InputError(
            f"shape={shape!r} must be three voxel counts z, y, x and dtype={dtype!r} a numpy type"
        ) from None
    needed = depth * height * width * kind.itemsize
    stored = path.stat().st_size
    if min(depth, height, width) < 1 or needed != stored:
        raise InputError(
            f"holds {stored} bytes, but shape {depth, height, width} of {kind} needs {needed}: "
            "check shape= and dtype="
        )
    return np.memmap(path, kind, mode="r", shape=(depth, height, width)), {}


def _read_h5(path: Path, *, dataset: str | None = None) -> tuple[NDArray[Any], Header]:
    import h5py

    with h5py.File(path) as file:
        stacks: list[str] = []
        file.visititems(lambda name, item: stacks.append(name) if _is_stack(item) else None)
        if dataset is None and len(stacks) != 1:
            raise InputError(
                f"choose one of its 3D datasets as {path.name}:/dataset: {', '.join(stacks)}"
                if stacks
                else "it holds no 3D dataset"
            )
        name = dataset or stacks[0]
        if not isinstance(file.get(name), h5py.Dataset):
            raise InputError(f"no dataset {name!r}: its 3D datasets are {', '.join(stacks)}")
        data = file[name]
        header = json.loads(data.attrs.get(HEADER_KEY, "{}"))
        # Only a contiguous dataset of this very file has an offset.
        offset = data.id.get_offset()
        if offset is not None and data.dtype.kind in "iub":
            return np.memmap(path, data.dtype, mode="r", offset=offset, shape=data.shape), header
        check_memory(data.nbytes)
        return data[()], header


def _is_stack(item: Any) -> bool:
    """Whether an HDF5 object is a 3D dataset."""
    return len(getattr(item, "shape", None) or ()) == 3


def _read_folder(path: Path) -> tuple[NDArray[Any], Header]:
    files = _in_order(
        [
            file
            for file in path.iterdir()
            if file.suffix.lower() in SLICE_SUFFIXES and not file.name.startswith(".")
        ]
    )
    first = _read_slice(files[0])
    check_memory(first.nbytes * len(files))
    values = np.empty((len(files), *first.shape), first.dtype)
    for target, file in zip(values, files, strict=True):
        image = _read_slice(file)
        if (image.shape, image.dtype) != (first.shape, first.dtype):
            raise InputError(
                f"{file.name} is {image.shape} {image.dtype}, {files[0].name} is {first.shape} "
                f"{first.dtype}: slices must be alike"
            )
        target[:] = image
    return values, {}


def _in_order(files: Sequence[Path]) -> list[Path]:
    """Slices by the one number in which their names differ; it must rise in steps of 1."""
    if not files:
        raise InputError(
            f"no slice in the folder: use {', '.join(SLICE_SUFFIXES)} (JPEG blurs labels)"
        )
    if len({re.sub(r"\d+", "#", file.name) for file in files}) > 1:
        raise InputError("names of slices must differ in their number alone: move others away")
    numbers = np.array([[int(n) for n in re.findall(r"\d+", file.name)] for file in files])
    if len(files) == 1:
        return list(files)
    varying = np.ptp(numbers, axis=0) > 0
    if varying.sum() != 1:
        raise InputError("names of slices must differ in one number, e.g. slice_000.png")
    order = numbers[:, varying].ravel()
    steps = np.diff(np.sort(order))
    if (steps != 1).any():
        at = int(np.sort(order)[np.flatnonzero(steps != 1)[0]])
        raise InputError(f"slice {at + 1} is missing or {at} is there twice: complete the folder")
    return [files[i] for i in np.argsort(order)]


def _read_slice(path: Path) -> NDArray[Any]:
    """One greyscale, bilevel or palette image (by its indices)."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            pixels = np.asarray(image)
            frames = getattr(image, "n_frames", 1)
    except Exception as error:
        raise InputError(f"slice {path.name} cannot be read ({error}): export it again") from error
    if pixels.ndim != 2 or frames != 1:
        raise InputError(f"{path.name} is in colour or a stack: slices must be 2D greyscale")
    return pixels


def _integers(values: NDArray[Any]) -> NDArray[Any]:
    """Return the values if they are a 3D array of integers."""
    if values.ndim == 2:
        raise InputError(
            f"a 2D image of shape {values.shape}: read a folder of slices, or stack them first"
        )
    if values.ndim != 3:
        raise InputError(f"an array of shape {values.shape}: save one 3D volume (z, y, x)")
    if values.dtype.kind == "f":
        nans = sum(int(np.isnan(slab).sum()) for slab in values)
        raise InputError(
            f"{values.dtype} values{f', {nans} of them NaN' * bool(nans)}: "
            "segment the volume and save integer phase labels"
        )
    if values.dtype.kind not in "iub":
        raise InputError(f"{values.dtype} values: save integer phase labels")
    return values.view(np.uint8) if values.dtype == bool else values


def _label(
    values: NDArray[Any],
    named: Mapping[str, int] | None,
    saved: Sequence[tuple[str, int]] | None,
) -> tuple[NDArray[Any], tuple[Phase, ...]]:
    """Labels by rank, and the phases as named by the caller, else by the file."""
    found = unique_labels(values)
    if len(found) > MAX_PHASES:
        raise InputError(
            f"a grey image, more than {MAX_PHASES} different values: segment it first (e.g. Otsu)"
        )
    pairs = [(str(value), value) for value in found]
    # Saved phases are void where another program changed the values since.
    if saved is not None and set(found) <= {value for _, value in saved}:
        pairs = [(str(name), int(value)) for name, value in saved]
    if named is not None:
        pairs = [(str(name), _whole(value)) for name, value in named.items()]
    unnamed = set(found) - {value for _, value in pairs}
    if unnamed or len({value for _, value in pairs}) < len(pairs):
        raise InputError(
            f"phases={dict(pairs)} must name each value in the file once: the values are {found}"
        )
    phases = tuple(Phase(name, label, value) for label, (name, value) in enumerate(pairs))
    ranks = {phase.value: phase.label for phase in phases if phase.value in found}
    return _ranked(values, ranks), phases


def _whole(value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise InputError(f"phases= must map names to whole numbers, got {value!r}") from None


def _ranked(values: NDArray[Any], ranks: Mapping[int, int]) -> NDArray[Any]:
    """Values as labels; untouched if they are labels, in place if nobody else holds them."""
    ready = values.dtype == np.uint8 or (isinstance(values, np.memmap) and values.dtype.isnative)
    if ready and all(value == rank for value, rank in ranks.items()):
        return values
    if values.dtype == np.uint8 and values.flags.carray:
        labels = values
    else:
        check_memory(values.size)
        labels = np.empty(values.shape, np.uint8)
    for slab, target in zip(values, labels, strict=True):
        _translate(slab, ranks, target)
    return labels


def _translate(slab: NDArray[Any], table: Mapping[int, int], out: NDArray[Any]) -> NDArray[Any]:
    """Fill `out` with the image of each number of the slab under the table."""
    from skimage.util import map_array

    # A copy in native byte order: map_array takes neither foreign nor read-only buffers.
    native = slab.astype(slab.dtype.newbyteorder("="))
    old = np.array(list(table), dtype=native.dtype)
    new = np.array(list(table.values()), dtype=out.dtype)
    map_array(native, old, new, out=out)
    return out


def _normal_unit(unit: str) -> str:
    """One spelling for the micrometre and for no unit."""
    unit = unit.strip()
    if unit.lower().removesuffix("s") in MICROMETRE:
        return "um"
    return "voxel" if unit.lower() in NO_UNIT else unit


def _original_values(v: Volume) -> dict[int, int]:
    """Value to store for each label that has a voxel."""
    values = {phase.label: phase.value for phase in v.phases}
    if len(set(values.values())) < len(values):
        raise InputError("two phases have the same value: give each its own")
    if min(values.values()) < 0 or max(values.values()) >= 2**16:
        raise InputError(f"values {list(values.values())} do not fit into uint16: use 0 to 65535")
    return {label: values[label] for label in unique_labels(v.labels)}


@contextmanager
def _replacing(path: Path, *, extend: bool) -> Iterator[Path]:
    """Temporary path beside the target, moved onto it if all went well, else removed.

    With `extend` it starts as a copy of the target, if there is one.
    """
    if path.is_dir() and any(path.iterdir()):
        raise InputError("is a folder with something in it: choose a new name")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as folder:
        temporary = Path(folder, path.name)
        if extend and path.exists():
            shutil.copyfile(path, temporary)
        yield temporary
        temporary.replace(path)


def _write_npy(path: Path, slices: Slices, *, dtype: np.dtype[Any], header: Header) -> None:
    description = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": tuple(header["shape"]),
    }
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, description)
        file.writelines(image.data for image in slices)


def _write_raw(path: Path, slices: Slices, *, dtype: np.dtype[Any], header: Header) -> None:
    with path.open("wb") as file:
        file.writelines(image.data for image in slices)


def _write_h5(
    path: Path,
    slices: Slices,
    *,
    dtype: np.dtype[Any],
    header: Header,
    dataset: str = "volume",
) -> None:
    import h5py

    with h5py.File(path, "a") as file:
        if dataset in file:
            del file[dataset]
        # Contiguous, so that it can be memory-mapped.
        data = file.create_dataset(dataset, shape=tuple(header["shape"]), dtype=dtype)
        for z, image in enumerate(slices):
            data[z] = image
        data.attrs[HEADER_KEY] = json.dumps(header)


def _write_folder(path: Path, slices: Slices, *, dtype: np.dtype[Any], header: Header) -> None:
    from PIL import Image

    path.mkdir()
    for z, image in enumerate(slices):
        Image.fromarray(image).save(path / f"{z:04d}.png")


READERS: dict[str, Callable[..., tuple[NDArray[Any], Header]]] = {
    ".tif": read_tiff,
    ".tiff": read_tiff,
    ".npy": _read_npy,
    ".h5": _read_h5,
    ".hdf5": _read_h5,
    ".raw": _read_raw,
    ".bin": _read_raw,
    ".dat": _read_raw,
}
WRITERS: dict[str, Callable[..., None]] = {
    "": _write_folder,
    ".tif": write_tiff,
    ".tiff": write_tiff,
    ".npy": _write_npy,
    ".h5": _write_h5,
    ".hdf5": _write_h5,
    ".raw": _write_raw,
    ".bin": _write_raw,
    ".dat": _write_raw,
}
