"""Volumes of any size written into a Zarr store block by block, by one process or by many."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import starmap
from pathlib import Path
from typing import Any

import numpy as np

from metrics.io.growing import GrowingStore, growing_store
from metrics.io.omezarr import CHUNK
from metrics.machine.progress import progress_bar
from metrics.machine.scheduler import on_workers
from metrics.volume import Box, InputError, Phase
from slicegan.config import Material
from slicegan.field import Field, lengths, slabs
from slicegan.networks import Generator
from slicegan.settings import to_json

SIDE = 256  # voxels along each side of a block, whole chunks: some seconds of work


def fill_store(
    field: Field,
    path: Path,
    material: Material,
    phases: tuple[Phase, ...],
    *,
    client: Any = None,
    progress: bool = False,
) -> None:
    """Write the window of a field, block by block, into a store that appears once it is complete.

    What an interrupted call has left is kept (`metrics.io.growing`).

    Parameters
    ----------
    field : Field
    path : Path
        Name of a new store, ``.zarr``.
    material : Material
        Its spacing and unit.
    phases : tuple of Phase
        Phases, or grey levels.
    client : dask.distributed.Client, optional
        Its workers make the blocks; they must see the folder of `path`.
    progress : bool
        Show a progress bar.

    Raises
    ------
    InputError
        If the store cannot be written, or the field has colours or cannot be made in parts.
    """
    if field.samples:
        raise InputError(f"{path}: a store holds no colours: choose .tif or .npy")
    if field.tile is None and client is not None:
        raise InputError(
            f"{path}: this converted generator makes only whole volumes: leave out --dask"
        )
    field = _in_tiles(field)
    with growing_store(
        path,
        _request(field),
        shape=field.shape,
        phases=phases,
        spacing=material.spacing,
        unit=material.unit,
    ) as store:
        total = math.prod(field.shape)
        missing = store.blocks(SIDE if field.tile else _whole_side(field))
        left = sum(math.prod(lengths(box)) for box in missing)
        with progress_bar(
            shown=progress, total=total, initial=total - left, unit="voxel", unit_scale=True
        ) as voxels:
            for count in _made(field, store, missing, client):
                voxels.update(count)


def _made(field: Field, store: GrowingStore, boxes: list[Box], client: Any) -> Iterator[int]:
    """Voxels of each block, as it is written."""
    if client is None:
        return starmap(_make, ((field, store, box) for box in boxes))
    everywhere = client.submit(_same, field, pure=False)  # a task too: made again where it is lost
    return on_workers(client, _make, ((everywhere, store, box) for box in boxes))


def _make(field: Field, store: GrowingStore, box: Box) -> int:
    """Generate and write a block; its voxels."""
    z, y, x = (
        (first + start, first + stop)
        for (first, _), (start, stop) in zip(field.window, box, strict=True)
    )
    store.write(box, np.concatenate(list(slabs(replace(field, window=(z, y, x))))))
    return math.prod(lengths(box))


def _same(field: Field) -> Field:
    return field


def _in_tiles(field: Field) -> Field:
    """The field with tiles that divide a block, if it can be made in parts."""
    if field.tile is None:
        return field
    stride = field.generator.stride
    sides = [side for side in range(stride, field.tile + 1, stride) if SIDE % side == 0]
    return replace(field, tile=max(sides, default=stride))


def _whole_side(field: Field) -> int:
    """Whole chunks that hold all of a field."""
    return CHUNK * -(-max(field.shape) // CHUNK)


def _request(field: Field) -> dict[str, Any]:
    """What decides every voxel of a field's window."""
    return {
        "generator": _hash(field.generator),
        "config": to_json(field.generator.config),
        "kind": field.kind,
        "seed": field.seed,
        "index": field.index,
        "window": field.window,
        "periods": field.periods,
    }


def _hash(generator: Generator) -> str:
    digest = hashlib.sha256()
    for name, weight in generator.state_dict().items():
        digest.update(name.encode())
        digest.update(weight.detach().cpu().numpy().tobytes())
    return digest.hexdigest()
