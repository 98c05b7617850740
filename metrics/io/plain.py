"""Voxel values in npy, raw and HDF5 files, and what the readers of all formats share."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from metrics.io.stored import Stack, stack_axes
from metrics.volume import InputError

# What a file says beside its voxels: "shape", "spacing", "unit", "phases" ([name, value] pairs).
Header = dict[str, Any]
Slices = Iterator[NDArray[Any]]

HEADER_KEY = "segmented_volume"


def read_npy(path: Path) -> tuple[NDArray[Any], Header]:
    """Memory map of an npy file."""
    # Unlike np.load this can neither unpickle nor open a zip of arrays.
    return np.lib.format.open_memmap(path, mode="r"), {}


def write_npy(path: Path, slices: Slices, *, dtype: np.dtype[Any], header: Header) -> None:
    """Write slices as one array; not by a memory map, where a full disk would kill the process."""
    description = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": tuple(header["shape"]),
    }
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, description)
        file.writelines(image.data for image in slices)


def read_raw(
    path: Path,
    *,
    shape: tuple[int, int, int] | None = None,
    dtype: DTypeLike | None = None,
) -> tuple[NDArray[Any], Header]:
    """Memory map of a file of bare voxels, whose size must agree with shape and type."""
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


def write_raw(path: Path, slices: Slices, *, dtype: np.dtype[Any], header: Header) -> None:
    """Write slices as bare voxels."""
    with path.open("wb") as file:
        file.writelines(image.data for image in slices)


def read_h5(path: Path, *, dataset: str | None = None) -> tuple[NDArray[Any] | Stack, Header]:
    """Open one dataset, by default the only 3D one; memory-mapped where it is contiguous."""
    import h5py

    with ExitStack() as opened:
        file = opened.enter_context(h5py.File(path))
        stacks: list[str] = []
        file.visititems(lambda name, item: stacks.append(name) if _is_stack(item) else None)
        if dataset is None and not stacks:
            raise InputError("it holds no 3D dataset")
        if dataset is None and len(stacks) > 1:
            raise InputError(
                f"choose one of its 3D datasets as {path.name}:/dataset: {', '.join(stacks)}"
            )
        data = file.get(dataset or stacks[0])
        if not isinstance(data, h5py.Dataset):
            raise InputError(f"no dataset {dataset!r}: its 3D datasets are {', '.join(stacks)}")
        header = json.loads(data.attrs.get(HEADER_KEY, "{}"))
        # Only a contiguous dataset of this very file has an offset.
        offset = data.id.get_offset()
        if offset is not None and data.dtype.kind in "iub":
            shape = tuple(data.shape[axis] for axis in stack_axes(data.shape))
            return np.memmap(path, data.dtype, mode="r", offset=offset, shape=shape), header
        if not data.id.get_storage_size():
            raise InputError(
                f"{data.name} has a shape, {data.shape}, and no voxels: export it again"
            )
        opened.pop_all()  # the dataset keeps its file open as long as it is in use
        return Stack(data, data.chunks or data.shape), header


def _is_stack(item: Any) -> bool:
    """Whether an HDF5 object is a 3D dataset."""
    return len(stack_axes(getattr(item, "shape", None) or ())) == 3


def write_h5(
    path: Path,
    slices: Slices,
    *,
    dtype: np.dtype[Any],
    header: Header,
    dataset: str = "volume",
) -> None:
    """Write slices as one dataset, with the header in an attribute; other datasets stay."""
    import h5py

    with h5py.File(path, "a") as file:
        if dataset in file:
            del file[dataset]
        # Contiguous, so that it can be memory-mapped.
        data = file.create_dataset(dataset, shape=tuple(header["shape"]), dtype=dtype)
        for z, image in enumerate(slices):
            data[z] = image
        data.attrs[HEADER_KEY] = json.dumps(header)
