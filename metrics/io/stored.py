"""Arrays that stay in their file, and are read window by window, in any process."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from metrics.files import one_line
from metrics.machine.memory import allocate
from metrics.volume import InputError

Window = tuple[slice, slice, slice]

LAYER_BYTES = 2**29  # of the layers of chunks that are kept at a time: two, and one that is read
NO_LABEL = 255  # there are at most 16
PIECE = 2**15  # voxels that are labelled together: they stay in the fastest cache


class Stack:
    """A 3D array in chunks, of an open HDF5 file or Zarr store.

    Axes of one channel or one time are dropped.

    Attributes
    ----------
    shape : (int, int, int)
    dtype : dtype
    depth : int
        Layers along z of a chunk: what is read together.
    """

    def __init__(self, array: Any, chunks: Sequence[int]) -> None:
        self._array = array
        self._axes = stack_axes(array.shape)
        self.shape = tuple(array.shape[axis] for axis in self._axes)
        self.dtype = array.dtype
        self.depth = chunks[self._axes[0]]

    def __getitem__(self, window: Window) -> NDArray[Any]:
        """Values of a window, in an array that is nobody else's."""
        index: list[Any] = [0] * self._array.ndim
        for axis, part in zip(self._axes, window, strict=True):
            index[axis] = part
        values: NDArray[Any] = self._array[tuple(index)]
        return values


def stack_axes(shape: Sequence[int]) -> list[int]:
    """Axes that stay where those of length 1 are dropped, as far as there are more than three."""
    single = [axis for axis, length in enumerate(shape) if length == 1]
    dropped = single[: max(0, len(shape) - 3)]
    return [axis for axis in range(len(shape)) if axis not in dropped]


class StoredArray:
    """Values (Z, Y, X) of a window of a file, or what they are labelled, read when asked for.

    Indexing with whole numbers and slices reads, and gives an ndarray; so does ``np.asarray``, in
    memory or on the disk (`metrics.machine.memory.allocate`). Layers along z are read in
    whole chunks, of which the last two are kept: going through the array layer by layer reads each
    chunk once, and from the third on while the one before is worked on. Several threads may read. A
    copy in another process opens the file anew.

    Parameters
    ----------
    name : str
        Of the file, for errors.
    open_values : callable
        Gives what holds the values of the whole file: a `Stack`, or an ndarray mapped from it. It
        can be pickled.
    box : 3 slices
        The window, in voxels of the file.
    ranks : mapping of int to int, optional
        Label of each value. Another value is an `InputError` where it is read.

    Attributes
    ----------
    shape, ndim, size, dtype
        As of the ndarray.
    """

    ndim = 3

    def __init__(
        self,
        name: str,
        open_values: Callable[[], Any],
        box: Window,
        dtype: DTypeLike,
        ranks: Mapping[int, int] | None = None,
    ) -> None:
        self._name, self._open, self._box, self._ranks = name, open_values, box, ranks
        self.shape = tuple(part.stop - part.start for part in box)
        self.size = math.prod(self.shape)
        self.dtype = np.dtype(dtype)
        if self.dtype.kind == "b":
            self.dtype = np.dtype(np.uint8)
        self._open_nothing()

    def _open_nothing(self) -> None:
        """Begin without an open file, layers, or a thread that reads."""
        self._values: Any = None
        self._kept: dict[int, NDArray[Any]] = {}
        self._coming: dict[int, Future[NDArray[Any]]] = {}
        self._lock = threading.Lock()
        self._reader = ThreadPoolExecutor(1)  # its thread begins with the first task

    @classmethod
    def whole(cls, name: str, open_values: Callable[[], Any]) -> StoredArray:
        """All values of a file."""
        values = open_values()
        z, y, x = (slice(0, length) for length in values.shape)
        return cls(name, open_values, (z, y, x), values.dtype)

    def labelled(self, ranks: Mapping[int, int]) -> StoredArray:
        """Labels of the values."""
        return StoredArray(self._name, self._open, self._box, np.uint8, ranks)

    def window(self, window: Window) -> StoredArray:
        """Part of the window, which stays in the file too."""
        if any(part.step not in (None, 1) for part in window):
            raise InputError("a window of a stored volume has steps of 1: load it first")
        inner = (part.indices(length) for part, length in zip(window, self.shape, strict=True))
        return StoredArray(self._name, self._open, self._in_file(inner), self.dtype, self._ranks)

    def __eq__(self, other: object) -> bool:
        raise TypeError("voxels that stay in a file are compared once read: numpy.asarray(labels)")

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[z] for z in range(len(self)))

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read what whole numbers and slices along z, y, x select."""
        index = index if isinstance(index, tuple) else (index,)
        index = (*index, *[slice(None)] * (3 - len(index)))
        if not all(isinstance(part, slice | int | np.integer) for part in index) or any(
            isinstance(part, slice) and (part.step or 1) < 1 for part in index
        ):
            raise InputError("of a stored volume numbers and slices upwards select: load it first")
        # A number is a slice of one, of which the axis is dropped afterwards.
        slices = [
            part if isinstance(part, slice) else slice(part, part + 1 or None) for part in index
        ]
        z, y, x = (
            part.indices(length)[:2] for part, length in zip(slices, self.shape, strict=True)
        )
        if (y, x) == ((0, self.shape[1]), (0, self.shape[2])):
            values = self._layers(*z)
        else:
            values = self._read(z, y, x)
        steps = (slice(None, None, part.step) if isinstance(part, slice) else 0 for part in index)
        return values[tuple(steps)]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Read all of it."""
        del copy  # it always is one
        values = allocate(self.shape, self.dtype)
        for first in range(0, len(self), self._depth):
            part = self[first : first + self._depth]
            values[first : first + len(part)] = part
        self._kept, self._coming = {}, {}
        return values.astype(dtype or self.dtype, copy=False)

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs to open the file itself."""
        own = ("_values", "_kept", "_coming", "_lock", "_reader")
        return {name: value for name, value in self.__dict__.items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open_nothing()

    @property
    def _depth(self) -> int:
        """Layers that are read together."""
        plane = self.shape[1] * self.shape[2] * self._opened.dtype.itemsize
        most = max(1, LAYER_BYTES // max(plane, 1))
        # Where nothing is in chunks, as many as are worth a call.
        return int(min(getattr(self._opened, "depth", most), most))

    @property
    def _opened(self) -> Any:
        """What holds the values, opened once in a process."""
        if self._values is None:
            with one_line(self._name, "read", "is it where this process sees it, and whole?"):
                self._values = self._open()
        return self._values

    def _in_file(self, parts: Iterable[Sequence[int]]) -> Window:
        """A part of the window, as starts and stops, in voxels of the file."""
        z, y, x = (
            slice(outer.start + start, outer.start + max(start, stop))
            for outer, (start, stop, *_) in zip(self._box, parts, strict=True)
        )
        return z, y, x

    def _layers(self, start: int, stop: int) -> NDArray[Any]:
        """Layers of the window from layers of chunks."""
        # Chunks begin at multiples of their depth in the file, not in the window.
        depth, shift = self._depth, self._box[0].start
        parts = []
        for number in range((start + shift) // depth, -(-(stop + shift) // depth)):
            first = max(self._start_of(number), 0)
            parts.append(self._layer(number)[max(start - first, 0) : stop - first])
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([*parts, np.empty((0, *self.shape[1:]), self.dtype)])

    def _layer(self, number: int) -> NDArray[Any]:
        """Layer of chunks by its number in the file, as far as it lies in the window."""
        with self._lock:
            if number not in self._kept:
                coming, self._coming = self._coming.get(number), {}
                layer = coming.result() if coming else self._read_layer(number)
                in_order = number - 1 in self._kept
                self._kept = dict([*self._kept.items()][-1:]) | {number: layer}
                if in_order and self._start_of(number + 1) < len(self):
                    self._coming = {number + 1: self._reader.submit(self._read_layer, number + 1)}
            return self._kept[number]

    def _read_layer(self, number: int) -> NDArray[Any]:
        start, stop = self._start_of(number), self._start_of(number + 1)
        y, x = ((0, length) for length in self.shape[1:])
        return self._read((max(start, 0), min(stop, len(self))), y, x)

    def _start_of(self, number: int) -> int:
        """Layer of the window at which a layer of chunks begins; below 0 if the window cuts it."""
        return number * self._depth - self._box[0].start

    def _read(self, *parts: tuple[int, int]) -> NDArray[Any]:
        """Values or labels of a part of the window."""
        source, window = self._opened, self._in_file(parts)
        with one_line(self._name, "read", "it is damaged, export it again"):
            values = np.asarray(source[window])
            values = values.view(np.uint8) if values.dtype == bool else values
            if self._ranks is not None:
                values = _labels(values, self._ranks, own=isinstance(source, Stack))
        values.flags.writeable = False  # what is kept may be given to others too
        return values


def _labels(values: NDArray[Any], ranks: Mapping[int, int], *, own: bool) -> NDArray[np.uint8]:
    """Labels of values, in their place if that is our own; `InputError` where one has none."""
    ready = values.dtype == np.uint8 and all(value == rank for value, rank in ranks.items())
    if ready and values.max(initial=0) < len(ranks):
        return values
    # A fresh array costs more than the labelling.
    in_place = own and values.dtype == np.uint8 and values.flags.carray
    labels = values if in_place else np.empty(values.shape, np.uint8)
    table = bytes(ranks.get(value, NO_LABEL) for value in range(256))
    for layer, targets in zip(values, labels, strict=True):
        flat, flat_targets = layer.reshape(-1), targets.reshape(-1)
        for first in range(0, flat.size, PIECE):
            piece = flat[first : first + PIECE]
            if values.dtype == np.uint8:  # byte by byte: a fifth of the time of the general way
                found = np.frombuffer(piece.tobytes().translate(table), np.uint8)
            else:
                found = np.full(piece.shape, NO_LABEL, np.uint8)
                for value, rank in ranks.items():
                    np.copyto(found, np.uint8(rank), where=piece == value)
            if found.max() == NO_LABEL:
                raise InputError(
                    f"the value {piece[found == NO_LABEL][0]} is none of the phases "
                    f"{', '.join(map(str, ranks))}: name all of them (phases=)"
                )
            flat_targets[first : first + PIECE] = found
    return labels
