"""Volumes of any size from a trained generator: whole, periodic, or slab by slab into a file."""

from __future__ import annotations

import copy
import math
import operator
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.io.volumes import is_store, write_slices
from metrics.machine.devices import check_device
from metrics.machine.memory import check_memory
from metrics.volume import AXES, InputError, Phase, Volume, periodic_axes
from slicegan.blocks import fill_store
from slicegan.checkpoint import Model
from slicegan.config import Material
from slicegan.ensemble import load_models, member_of
from slicegan.field import Field, slab_bytes, slabs, tile_side
from slicegan.latent import check_key
from slicegan.networks import Generator, admissible

# Intensities are written as if each were a phase.
LEVELS = tuple(Phase(str(level), level, level) for level in range(256))


def generate(
    model: Model | str | os.PathLike[str],
    size: int | Sequence[int],
    *,
    seed: int = 0,
    count: int = 1,
    origin: Sequence[int] = (0, 0, 0),
    periodic: bool | str = "",
    device: str | None = None,
    progress: bool = False,
) -> Any:
    """Generate a volume, or several.

    Each seed has an unbounded volume, of which this is the window that starts at `origin`: windows
    of one seed agree wherever they overlap, up to ties between phases that are equally likely to
    1e-5. It is evaluated tile by tile: beside the result, memory is needed for one tile.

    Parameters
    ----------
    model : Model, path or str
        A model, its file or run folder, or the name of a shipped one. Of an ensemble of n, volume
        number k of a seed is made by member (seed + k) modulo n.
    size : int or (int, int, int)
        Voxels along z, y, x.
    seed : int
        The same seed gives the same volume on the same device, whatever was generated before.
    count : int
        Volumes, independent of each other.
    origin : (int, int, int)
        First voxel of the window along z, y, x; may be negative.
    periodic : str or bool
        Axes, such as ``"zyx"``, along which the volume continues in itself without a seam. Its
        size must there be a multiple of ``generator.stride``.
    device : str, optional
        Such as ``"cuda"``; by default where the generator is.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Volume, or (Z, Y, X) or (Z, Y, X, 3) uint8 ndarray
        Labels with phases, spacing and unit of the training images; an array for a grey or colour
        material. A list of them if `count` is above 1.

    Raises
    ------
    InputError
        If an argument is out of range, the device is not there, or the generator makes only whole
        volumes (a converted one, whose voxels and latent sites do not keep step) and `origin` or
        `periodic` ask for more.

    Examples
    --------
    >>> from slicegan.config import GeneratorConfig
    >>> untrained = Generator(GeneratorConfig(filters=(8, 6, 4, 4))).eval()
    >>> material = Material(phases=(Phase("pore", 0, 0), Phase("ni", 1, 127)))
    >>> generate(Model(untrained, material, {}), (40, 64, 50), periodic="y").shape
    (40, 64, 50)
    """
    if count < 1:
        raise InputError(f"count must be at least 1, got {count}")
    models = [model] if isinstance(model, Model) else load_models(model)
    fields = [_field(one, size, seed, origin, periodic, device) for one in models]
    _check_memory(fields[0], whole=count)
    volumes = [
        _whole(replace(member_of(fields, seed, index), index=index), models[0].material, progress)
        for index in range(count)
    ]
    return volumes if count > 1 else volumes[0]


def stream(
    model: Model | str | os.PathLike[str],
    path: str | os.PathLike[str],
    size: int | Sequence[int],
    *,
    seed: int = 0,
    index: int = 0,
    origin: Sequence[int] = (0, 0, 0),
    periodic: bool | str = "",
    device: str | None = None,
    client: Any = None,
    progress: bool = False,
) -> None:
    """Generate volume number `index` of a seed into a file, one slab of tiles at a time.

    The file holds what `metrics.write` would make of ``generate(...)``, bit for bit, but never more
    than a slab is in memory. It appears once it is complete. A Zarr store is written block by
    block, by many processes if there is a `client`; a call that was interrupted goes on. Its tiles
    are others: phases that are equally likely to 1e-5 may differ.

    Parameters
    ----------
    model, size, seed, origin, periodic, device, progress
        As for `generate`.
    path : path
        ``.tif`` (a BigTIFF above 4 GB), ``.npy`` or another that `metrics.write` knows, which is
        replaced; or a new Zarr store, ``.zarr``.
    index : int
        Number of the volume among those of a seed, from 0.
    client : dask.distributed.Client, optional
        Its workers make the blocks of a Zarr store, in a folder that they see.

    Raises
    ------
    InputError
        As `generate`; also if the file cannot be written.
    """
    if not isinstance(model, Model):
        model = member_of(load_models(model), seed, index)
    material = model.material
    field = replace(_field(model, size, seed, origin, periodic, device), index=index)
    _check_memory(field, whole=0)
    phases = tuple(material.phases) or LEVELS
    if is_store(path):
        fill_store(field, Path(path), material, phases, client=client, progress=progress)
        return
    if client is not None:
        raise InputError(f"{path}: many workers write a Zarr store: name it, such as big.ome.zarr")
    write_slices(
        (image for slab in slabs(field, progress=progress) for image in slab),
        path,
        shape=(*field.shape, *field.samples),
        phases=phases,
        spacing=material.spacing,
        unit=material.unit,
    )


def _field(
    model: Model,
    size: int | Sequence[int],
    seed: int,
    origin: Sequence[int],
    periodic: bool | str,
    device: str | None,
) -> Field:
    """Field and window of a request, if it can be met."""
    check_device(device)
    check_key(seed)
    generator = model.generator
    sizes = _three(size, "size")
    if min(sizes) < 1:
        raise InputError(f"size must be positive, got {size}")
    starts = _three(origin, "origin")
    wraps = periodic_axes(periodic)
    uniform = generator.in_step and all(map(admissible, generator.config.layers))
    if not uniform and (any(starts) or any(wraps)):
        raise InputError(
            "this converted generator makes only whole volumes, whose parts do not fit together: "
            "leave out origin and periodic"
        )
    z, y, x = ((start, start + n) for start, n in zip(starts, sizes, strict=True))
    pz, py, px = (
        _period(axis, n, generator.stride) if wrap else None
        for axis, n, wrap in zip(AXES, sizes, wraps, strict=True)
    )
    tile = tile_side(generator) if uniform else None
    return Field(
        _ready(generator, device), model.material.kind, seed, 0, (z, y, x), (pz, py, px), tile
    )


def _check_memory(field: Field, *, whole: int) -> None:
    """Raise `InputError` if a slab beside so many whole volumes does not fit into memory."""
    voxels = math.prod(field.shape) * math.prod(field.samples)
    remedy = "ask for fewer voxels or volumes"
    if whole:
        remedy += ", or `stream` them into files"
    check_memory(whole * voxels + slab_bytes(field), remedy=remedy)


def _ready(generator: Generator, device: str | None) -> Generator:
    """Return the generator in eval mode on the device: a copy where the caller's is not so."""
    if generator.training or device not in (None, str(next(generator.parameters()).device)):
        return copy.deepcopy(generator).eval().to(device)
    return generator


def _whole(field: Field, material: Material, progress: bool) -> Volume | NDArray[np.uint8]:
    """All slabs as one volume."""
    voxels = np.empty((*field.shape, *field.samples), np.uint8)
    filled = 0
    for slab in slabs(field, progress=progress):
        voxels[filled : filled + len(slab)] = slab
        filled += len(slab)
    if material.kind != "phases":
        return voxels
    return Volume(voxels, material.spacing, material.unit, material.phases)


def _period(axis: str, size: int, stride: int) -> int:
    """Latent sites after which the volume repeats itself, if its size allows that."""
    sites, rest = divmod(size, stride)
    if rest:
        near = f"{sites * stride} or " if sites else ""
        raise InputError(
            f"size {size} along periodic axis {axis} must be a multiple of {stride}: "
            f"use {near}{(sites + 1) * stride}"
        )
    return sites


def _three(numbers: int | Sequence[int], name: str) -> tuple[int, int, int]:
    """Three whole numbers from three or one."""
    try:
        z, y, x = (operator.index(n) for n in np.broadcast_to(np.asarray(numbers), 3))
    except (TypeError, ValueError):
        raise InputError(f"{name} must be one or three whole numbers, got {numbers}") from None
    return z, y, x
