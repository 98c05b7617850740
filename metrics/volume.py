"""A segmented volume: labels, voxel spacing, unit and phases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from metrics.units import normal_unit

AXES = ("z", "y", "x")
MAX_PHASES = 16
# Voxels, 512^3: larger volumes are measured part by part wherever a whole needs memory.
LARGE = 2**27
# Their products and the inverse of these are numbers too.
EDGES = (1e-60, 1e60)


class InputError(ValueError):
    """Input that cannot be used: the message says what is wrong, where, and what would do."""


Span = tuple[int, int]  # from, to
Box = tuple[Span, Span, Span]  # along z, y, x


class Phase(NamedTuple):
    """One phase: its name, its label in the volume, its value in the file it came from."""

    name: str
    label: int
    value: int


@runtime_checkable
class Stored(Protocol):
    """Labels that stay in their file: indexing reads, a window of them stays there too."""

    shape: tuple[int, ...]

    def window(self, window: tuple[slice, slice, slice]) -> Any:
        """Part of the labels, unread."""


@dataclass(frozen=True, eq=False)
class Volume:
    """Labels of a segmented material with the voxel spacing they were measured at.

    Parameters
    ----------
    labels : (Z, Y, X) integer or bool ndarray, or `Stored`
        Phase label of each voxel. Never copied; may be a memory map, or stay in a file.
    spacing : (float, float, float)
        Edge lengths of a voxel in z, y, x, in `unit`.
    unit : str
        Length unit, in any spelling of it; ``"voxel"`` where the voxel size is not known.
    phases : tuple of Phase
        Phases of the material in ascending label order, also those absent from these labels (a
        sub-volume may miss one). Left empty, they are the labels found.

    Raises
    ------
    InputError
        If labels are not 3D integers, are empty, hold a label that is no phase of the volume
        or more than 16 labels (`MAX_PHASES`: a grey image), if labels of phases do not ascend or
        two have one name, or if spacing is not positive.
    """

    labels: NDArray[Any]
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    unit: str = "voxel"
    phases: tuple[Phase, ...] = ()

    def __post_init__(self) -> None:
        labels = self.labels if self.stored else np.asanyarray(self.labels)
        if labels.ndim != 3:
            raise InputError(f"expected a 3D volume, got an array of shape {labels.shape}")
        if labels.size == 0:
            raise InputError(f"volume of shape {labels.shape} holds no voxel")
        if labels.dtype == bool:
            labels = labels.view(np.uint8)
        if labels.dtype.kind not in "iu":
            raise InputError(
                f"expected integer labels, got {labels.dtype}: segment the image first"
            )
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "spacing", check_spacing(self.spacing))
        object.__setattr__(self, "unit", normal_unit(self.unit))
        # Labels that stay in a file are checked where they are read.
        found = [] if self.stored else unique_labels(labels)
        if not self.phases:
            if len(found) > MAX_PHASES:
                raise InputError(
                    f"{len(found)} or more different values look like a grey image: "
                    f"segment it into at most {MAX_PHASES} phases first"
                )
            phases = tuple(Phase(str(label), label, label) for label in found)
            object.__setattr__(self, "phases", phases)
            return
        # Kernels index by phase, and tables by name, unchecked: nothing else may reach them.
        if list(self.phase_labels) != sorted(set(self.phase_labels)):
            raise InputError(f"labels of phases must ascend, got {self.phase_labels}")
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise InputError(f"two phases have one name: {names}")
        # A spreadsheet runs a cell that begins so, and no picture can hold what is not printable.
        if odd := [name for name in names if name.startswith(("=", "@")) or not name.isprintable()]:
            raise InputError(f"phase {odd[0]!r}: a name may hold no control character nor begin so")
        if len(names) > MAX_PHASES:
            raise InputError(f"{len(names)} phases, at most {MAX_PHASES} are possible")
        if unknown := sorted(set(found) - set(self.phase_labels)):
            raise InputError(f"label {unknown[0]} is no phase: they are {self.phase_labels}")

    @property
    def stored(self) -> bool:
        """Whether the labels stay in their file."""
        return isinstance(self.labels, Stored)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        return self.labels.shape

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel, in ``unit**3``."""
        return float(np.prod(self.spacing))

    @property
    def phase_labels(self) -> tuple[int, ...]:
        """Labels of all phases, ascending."""
        return tuple(phase.label for phase in self.phases)

    @property
    def independent_phases(self) -> tuple[Phase, ...]:
        """Phases without what the others already say: of two, what one is the other is not."""
        return self.phases[:1] if len(self.phases) == 2 else self.phases

    def name(self, label: int) -> str:
        """Name of the phase with this label."""
        return next(phase.name for phase in self.phases if phase.label == label)

    def label(self, phase: int | str) -> int:
        """Label of a phase that is given by its label or its name.

        Raises
        ------
        InputError
            If the volume knows no such phase.

        Examples
        --------
        >>> phases = Phase("pore", 0, 0), Phase("ni", 7, 127)
        >>> Volume(np.array([[[0, 7]]]), phases=phases).label("ni")
        7
        """
        known = [p.label for p in self.phases if phase in (p.label, p.name)]
        if not known:
            names = ", ".join(
                str(p.label) if p.name == str(p.label) else f"{p.label} ({p.name})"
                for p in self.phases
            )
            raise InputError(f"no phase {phase}: the volume's phases are {names}")
        return known[0]

    def mask(self, phase: int | str) -> NDArray[np.bool_]:
        """Voxels of one phase; errors as of `label`."""
        mask: NDArray[np.bool_] = np.asarray(self.labels) == self.label(phase)
        return mask

    def __repr__(self) -> str:
        """One line: shape, voxel size, phases with their fractions."""
        shape, size = (" x ".join(f"{n:g}" for n in of) for of in (self.shape, self.spacing))
        if self.stored:
            names = ", ".join(phase.name for phase in self.phases)
            return f"Volume({shape} voxels of {size} {self.unit} in a file; {names})"
        found = np.zeros(len(self.phases), np.int64)
        for layer in self.labels:
            found += [np.count_nonzero(layer == phase.label) for phase in self.phases]
        shares = found / self.labels.size
        phases = ", ".join(
            f"{phase.name} {share:.1%}" for phase, share in zip(self.phases, shares, strict=True)
        )
        return f"Volume({shape} voxels of {size} {self.unit}; {phases})"

    def crop(self, window: tuple[slice, slice, slice]) -> Volume:
        """View of a window, with the same spacing, unit and phases."""
        if isinstance(self.labels, Stored):
            return replace(self, labels=self.labels.window(window))
        return replace(self, labels=self.labels[window])

    def loaded(self) -> Volume:
        """The volume with its labels in memory, contiguous."""
        return replace(self, labels=np.ascontiguousarray(self.labels))


def as_volume(volume: Volume | NDArray[Any]) -> Volume:
    """Return `volume` itself, or an integer array as a `Volume` of unit spacing.

    Examples
    --------
    >>> import numpy as np
    >>> as_volume(np.array([[[0, 255]]])).phase_labels
    (0, 255)
    """
    return volume if isinstance(volume, Volume) else Volume(np.asanyarray(volume))


def axis_index(axis: str) -> int:
    """Array dimension of an axis name."""
    if axis not in AXES:
        raise InputError(f"axis must be one of {', '.join(AXES)}, got {axis!r}")
    return AXES.index(axis)


def check_spacing(spacing: Sequence[float] | float) -> tuple[float, float, float]:
    """Three positive finite edge lengths from three numbers or one."""
    values = np.asarray(spacing, dtype=float).ravel()
    smallest, largest = EDGES
    if values.size not in (1, 3) or not ((smallest <= values) & (values <= largest)).all():
        raise InputError(f"spacing must be one or three positive lengths, got {spacing!r}")
    z, y, x = np.broadcast_to(values, 3).tolist()
    return z, y, x


def periodic_axes(periodic: bool | str) -> tuple[bool, bool, bool]:
    """Which of z, y, x wrap around: all (True), none (False) or those named, e.g. ``"yx"``."""
    if isinstance(periodic, str):
        for axis in periodic:
            axis_index(axis)
        return "z" in periodic, "y" in periodic, "x" in periodic
    return periodic, periodic, periodic


def unique_labels(labels: Iterable[NDArray[Any]]) -> list[int]:
    """Ascending labels of an integer array, slab by slab, so that a memory map stays on disk."""
    found: set[int] = set()
    for slab in labels:
        if slab.dtype == np.uint8:
            found.update(np.flatnonzero(np.bincount(slab.ravel(), minlength=256)).tolist())
        else:
            found.update(np.unique(slab).tolist())
        if len(found) > 256:
            break
    return sorted(found)
