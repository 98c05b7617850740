"""From the values in a file to labels 0..n-1, and back."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.io.blur import blurred_values
from metrics.io.plain import Slices
from metrics.io.stored import StoredArray
from metrics.machine.memory import allocate, check_memory
from metrics.volume import MAX_PHASES, InputError, Phase, unique_labels


def label_values(
    values: NDArray[Any] | StoredArray,
    named: Mapping[str, int] | None,
    saved: Sequence[tuple[str, int]],
) -> tuple[Any, tuple[Phase, ...]]:
    """Labels 0..n-1 of a file's values, and the phases as named by the caller, else by the file.

    Labels are ranks, unless the names give another order. An array of values may be overwritten.
    Values that the caller does not name must be phases by the places where they lie
    (`metrics.io.blur`). Of a stored array the values that caller or file name are taken for all
    that there are, unread: another one is refused where it is met.
    """
    values = _integers(values)
    names = list(named.items()) if named is not None else list(saved)
    trusted = isinstance(values, StoredArray) and bool(names)
    found = [value for _, value in names] if trusted else unique_labels(values)
    if len(found) > MAX_PHASES:
        raise InputError(
            f"a grey image, more than {MAX_PHASES} different values: segment it first "
            "(slicegan segment)"
        )
    if named is None and not trusted and (blurred := blurred_values(values, found)):
        raise InputError(
            f"not segmented: the values {', '.join(map(str, blurred))} occur only along boundaries "
            "between others, as JPEG, binning or interpolation leave them: save labels as PNG or "
            "TIFF and resample by nearest neighbour, or name the phases with all their values"
        )
    # Saved phases are void where another program changed the values since.
    valid = list(saved) if set(found) <= {value for _, value in saved} else []
    pairs = valid or [(str(value), value) for value in found]
    if named is not None:
        pairs = list(named.items())
        if wrong := [name for name, value in valid if named.get(name, value) != value]:
            raise InputError(
                f"phases={dict(pairs)} contradicts the file, where {wrong[0]} is "
                f"{dict(valid)[wrong[0]]}: leave out phases, or use other names"
            )
    try:
        phases = tuple(
            Phase(str(name), label, operator.index(value))
            for label, (name, value) in enumerate(pairs)
        )
    except TypeError:
        raise InputError(f"phases={dict(pairs)} must map names to whole numbers") from None
    ranks = {phase.value: phase.label for phase in phases}
    if not set(found) <= ranks.keys() or len(ranks) < len(phases):
        raise InputError(
            f"phases={dict(pairs)} must name each value in the file once: the values are {found}"
        )
    if isinstance(values, StoredArray):
        return values.labelled(ranks), phases
    # A phase without voxels may have a value that the type of the file cannot hold.
    return _ranked(values, {value: ranks[value] for value in found}), phases


def original_values(
    phases: Sequence[Phase], present: Iterable[int] | None = None
) -> tuple[dict[int, int], np.dtype[Any]]:
    """Value of each label, and the smallest type that holds them.

    With `present`, the labels known to occur: a phase without voxels must not make the type larger.
    """
    values = {phase.label: phase.value for phase in phases}
    if len(set(values.values())) < len(values):
        raise InputError("two phases have the same value: give each its own")
    if min(values.values()) < 0 or max(values.values()) >= 2**16:
        raise InputError(f"values {list(values.values())} do not fit into uint16: use 0 to 65535")
    if present is not None:
        values = {label: values[label] for label in present}
    return values, np.dtype("u1" if max(values.values()) < 2**8 else "<u2")


def original_slices(
    slices: Iterable[NDArray[Any]],
    shape: tuple[int, ...],
    values: Mapping[int, int],
    dtype: np.dtype[Any],
) -> Slices:
    """Yield slices of labels as values until the shape is full; raise unless they fit it."""
    count = 0
    for count, labels in enumerate(islice(slices, shape[0]), start=1):
        if labels.shape != tuple(shape[1:]):
            raise InputError(f"slice {count} of shape {labels.shape} is no part of {shape}")
        if not np.isin(labels, list(values)).all():
            raise InputError(f"slice {count} holds labels that are no phase: {list(values)} are")
        yield _translate(labels, values, np.empty(labels.shape, dtype))
    if count < shape[0]:
        raise InputError(f"{count} slices do not fill the shape {shape}")


def _integers(values: NDArray[Any] | StoredArray) -> NDArray[Any] | StoredArray:
    """Return the values if they are a 3D array of integers."""
    if isinstance(values, StoredArray) and values.dtype.kind not in "iu":
        values = np.asarray(values)
    if isinstance(values, StoredArray):
        return values
    if values.ndim == 2:
        raise InputError(
            f"a 2D image of shape {values.shape}: read a folder of slices, or stack them first"
        )
    if values.ndim != 3:
        raise InputError(f"an array of shape {values.shape}: save one 3D volume (z, y, x)")
    if values.dtype.kind == "f" and all((slab == np.rint(slab)).all() for slab in values):
        check_memory(8 * values.size)
        return values.astype(np.int64)
    if values.dtype.kind not in "iub":
        nans = sum(np.isnan(slab).sum() for slab in values) if values.dtype.kind == "f" else 0
        raise InputError(
            f"{values.dtype} values{f', {nans} of them NaN' if nans else ''}: "
            "segment the volume and save integer phase labels"
        )
    return values.view(np.uint8) if values.dtype == bool else values


def _ranked(values: NDArray[Any], ranks: Mapping[int, int]) -> NDArray[Any]:
    """Values as labels; untouched if they are labels, in place if nobody else holds them."""
    ready = values.dtype == np.uint8 or (isinstance(values, np.memmap) and values.dtype.isnative)
    if ready and all(value == rank for value, rank in ranks.items()):
        return values
    if values.dtype == np.uint8 and values.flags.carray:
        labels = values
    else:
        labels = allocate(values.shape, np.uint8)
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
