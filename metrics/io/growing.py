"""An OME-Zarr store that many processes write at once, part by part, and that can be resumed."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.files import LOCK, held, one_line
from metrics.io.labels import original_values
from metrics.io.omezarr import CHUNK, create_store, open_level, stored_header, written
from metrics.io.volumes import check_disk
from metrics.volume import Box, InputError, Phase

UNFINISHED = ".unfinished"
REMEDY = "free some space or choose another folder"


@dataclass(frozen=True)
class GrowingStore:
    """A store that is being written.

    Attributes
    ----------
    path : Path
        Where it lies meanwhile.
    shape : (int, int, int)
    values : (n,) ndarray
        Value in the file of each label.
    """

    path: Path
    shape: tuple[int, int, int]
    values: NDArray[Any]

    def blocks(self, side: int) -> list[Box]:
        """Blocks of whole chunks that are not written yet; `side` is a multiple of `CHUNK`."""
        # Two writers of one chunk could lose what the first has written.
        assert side % CHUNK == 0
        z, y, x = ([(k, min(k + side, n)) for k in range(0, n, side)] for n in self.shape)
        return [box for box in product(z, y, x) if not written(self.path, box)]

    def write(self, box: Box, labels: NDArray[np.uint8]) -> None:
        """Write the labels of a block; from any process."""
        with one_line(self.path, "written", REMEDY):
            open_level(self.path)[tuple(slice(*span) for span in box)] = self.values[labels]


@contextmanager
def growing_store(
    path: Path,
    request: Mapping[str, Any],
    *,
    shape: tuple[int, int, int],
    phases: Sequence[Phase],
    spacing: Sequence[float],
    unit: str,
) -> Iterator[GrowingStore]:
    """Store to be filled with blocks; it gets its name once all are written.

    Until then, also after an interruption, it lies beside it as ``NAME.unfinished``, and the same
    request finds there what was written before. A store that is complete, of the same request, is
    left as it is.

    Parameters
    ----------
    path : Path
        Name of a new store.
    request : mapping
        What decides every voxel, as JSON can hold it.
    shape, phases, spacing, unit
        As in `metrics.io.volumes.write_slices`.

    Raises
    ------
    InputError
        If the name is taken by something else, the disk has too little space, another process
        writes the store, or what was begun there is another request.
    """
    place = path.with_name(path.name + UNFINISHED)
    store = place / path.name
    with ExitStack() as stack:
        with one_line(path, "written", REMEDY):
            values, dtype = original_values(phases)
            header = {
                "shape": list(shape),
                "spacing": list(spacing),
                "unit": unit,
                "phases": [[phase.name, phase.value] for phase in phases],
                "request": dict(request),
            }
            done = path.exists()
            if not done:
                check_disk(path, math.prod(shape) * dtype.itemsize)
                place.mkdir(exist_ok=True)
                taken = "another process writes it: wait, or choose another name"
                stack.enter_context(held(place / LOCK, taken))
                _begin(store, header, dtype)
            elif not _same(path, header):
                raise InputError("is there already, and another: choose a new name")
        stored = np.array([values[phase.label] for phase in phases], dtype)
        yield GrowingStore(path if done else store, shape, stored)
        if done:
            return
        with one_line(path, "written", REMEDY):
            for left in store.rglob("*.partial"):  # by writers that were killed
                left.unlink()
            store.rename(path)
            shutil.rmtree(place)


def _begin(store: Path, header: Mapping[str, Any], dtype: np.dtype[Any]) -> None:
    """Create the store, or see that what was begun is the same."""
    if stored_header(store):
        if not _same(store, header):
            raise InputError(
                f"{store.parent.name} was begun with other settings: delete it, or finish it"
            )
        return
    # The header comes last: a store without one was left while it was created.
    shutil.rmtree(store, ignore_errors=True)
    create_store(store, dtype=dtype, header=dict(header))


def _same(store: Path, header: Mapping[str, Any]) -> bool:
    """Whether a store is, or will be, what is asked for."""
    return bool(stored_header(store) == json.loads(json.dumps(header)))
