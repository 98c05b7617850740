"""Voxel values in OME-Zarr (OME-NGFF 0.4 and 0.5) and plain Zarr stores, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.io.plain import HEADER_KEY, Header, Slices
from metrics.io.stored import Stack
from metrics.machine.libraries import library
from metrics.volume import AXES, InputError

CHUNK = 128  # voxels along each side: each costs zarr a millisecond, whatever its size
LEVEL = "0"  # the array of full resolution, by its usual name
# How OME-NGFF spells the units that files of ours may have.
UNITS = {
    "um": "micrometer", "nm": "nanometer", "mm": "millimeter", "cm": "centimeter", "m": "meter",
    "pm": "picometer", "Å": "angstrom",
}  # fmt: skip


def read_zarr(path: Path, *, dataset: str | None = None) -> tuple[Stack, Header]:
    """Open the full resolution of an image, or one array of a store; axes of length 1 are dropped.

    Voxel size and unit are those of the OME metadata; `write_zarr` adds names of phases.
    """
    zarr = _zarr()
    node = zarr.open(path, mode="r", path=dataset or "")
    header: Header = {}
    if not isinstance(node, zarr.Array):
        node, header = _finest(node)
    stack = Stack(node, node.chunks)
    if len(stack.shape) != 3:
        raise InputError(
            f"an array of shape {node.shape}: name one 3D array (z, y, x) of the store"
        )
    # Zarr reads a chunk that is not there as 0; a store of `create_store` has all of them.
    if "shape" in header and (missing := node.nchunks - node.nchunks_initialized):
        raise InputError(f"{missing} of {node.nchunks} chunks are missing: copy the store again")
    return stack, header


def write_zarr(
    path: Path,
    slices: Slices,
    *,
    dtype: np.dtype[Any],
    header: Header,
    dataset: str = "",
) -> None:
    """Write slices as the only resolution of an OME-Zarr 0.5 image, whole chunks at a time."""
    if dataset:
        raise InputError(f"a store is written as a whole: leave {dataset} out")
    data = create_store(path, dtype=dtype, header=header)
    # Two writers of one chunk could lose what the first has written: each chunk is written once.
    for first, slab in _slabs(slices, data.chunks[0]):
        data[first : first + len(slab)] = slab


def create_store(path: Path, *, dtype: np.dtype[Any], header: Header) -> Any:
    """A new OME-Zarr 0.5 image of one resolution, and the array of its voxels, still unwritten.

    Chunks of nothing but 0 are stored too, so that what is there has been written.
    """
    zarr = _zarr()
    group = zarr.open_group(path, mode="w-", zarr_format=3)
    shape = tuple(header["shape"])
    data = group.create_array(
        LEVEL,
        shape=shape,
        dtype=dtype,
        chunks=tuple(min(CHUNK, size) for size in shape),
        dimension_names=list(AXES),
        config={"write_empty_chunks": True},
    )
    group.attrs.update({"ome": _metadata(path, header), HEADER_KEY: dict(header)})
    return data


def stored_header(path: Path) -> Header:
    """What `create_store` has noted of a store; nothing if that is no such store, or unfinished."""
    zarr = _zarr()
    try:
        return dict(zarr.open_group(path, mode="r").attrs.get(HEADER_KEY, {}))
    except (OSError, ValueError):
        return {}


def open_level(path: Path) -> Any:
    """The array of a store that `create_store` made, to be written."""
    zarr = _zarr()
    return zarr.open_array(path / LEVEL, mode="r+").with_config({"write_empty_chunks": True})


def written(path: Path, box: Sequence[tuple[int, int]]) -> bool:
    """Whether all chunks of a part of a store, in whole chunks, have been written.

    Zarr writes each under another name first: a chunk is there whole or not at all.
    """
    chunks = (range(start // CHUNK, -(-stop // CHUNK)) for start, stop in box)
    return all(
        (path / LEVEL / "c" / "/".join(map(str, number))).exists() for number in product(*chunks)
    )


def _zarr() -> Any:
    return library("zarr", "a Zarr store", "pip install 'zarr>=3'")


def _slabs(slices: Slices, depth: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """Slices as slabs of so many, each with the number of its first one."""
    first = 0
    while images := list(islice(slices, depth)):
        yield first, np.stack(images)
        first += len(images)


def _metadata(path: Path, header: Header) -> dict[str, Any]:
    """Metadata of OME-NGFF 0.5, section 2.4 (multiscales)."""
    unit = UNITS.get(header["unit"])
    axes = [{"name": axis, "type": "space"} | ({"unit": unit} if unit else {}) for axis in AXES]
    scale = {"type": "scale", "scale": [float(edge) for edge in header["spacing"]]}
    dataset = {"path": LEVEL, "coordinateTransformations": [scale]}
    name = path.name.removesuffix(".zarr").removesuffix(".ome")
    return {
        "version": "0.5",
        "multiscales": [{"name": name, "axes": axes, "datasets": [dataset]}],
    }


def _finest(group: Any) -> tuple[Any, Header]:
    """Array of the full resolution of a group, and what its metadata say."""
    attributes = group.attrs.asdict()
    scales = attributes.get("ome", attributes).get("multiscales")
    if not scales:
        stacks = [name for name, array in group.arrays() if array.ndim >= 3]
        if len(stacks) != 1:
            found = f"holds the 3D arrays {', '.join(stacks)}" if stacks else "holds no 3D array"
            raise InputError(f"no OME image, and it {found}: name one, as in store.zarr/name")
        return group[stacks[0]], dict(attributes.get(HEADER_KEY, {}))
    image = scales[0]
    axes, dataset = _axes(image.get("axes", list(AXES))), image["datasets"][0]
    if tuple(axes)[-3:] != AXES:
        raise InputError(f"axes {', '.join(axes)}: the last three must be z, y, x")
    header: Header = {"spacing": _scale(image, dataset)[-3:]}
    units = {axes[axis] for axis in AXES}
    if len(units) > 1:
        raise InputError(f"axes of different units, {', '.join(sorted(units))}: give one")
    (header["unit"],) = units
    # What `write_zarr` has stored as well is its own, and exact.
    header |= attributes.get(HEADER_KEY, {})
    return group[dataset["path"]], header


def _axes(axes: Sequence[Any]) -> dict[str, str]:
    """Unit of each axis by its name; versions before 0.4 have names alone."""
    named = [{"name": axis} if isinstance(axis, str) else axis for axis in axes]
    return {axis["name"]: axis.get("unit", "") for axis in named}


def _scale(image: Mapping[str, Any], dataset: Mapping[str, Any]) -> list[float]:
    """Edge lengths of a voxel along all axes: the product of all scalings of the image."""
    edges = np.ones(3)
    for transform in (
        *dataset.get("coordinateTransformations", []),
        *image.get("coordinateTransformations", []),
    ):
        if transform["type"] == "scale":
            edges = edges * np.array(transform["scale"][-3:], float)
    return [float(edge) for edge in edges]
