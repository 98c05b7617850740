"""Chord lengths of a phase, from its runs of voxels along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Float64, Int64
from metrics.machine.compiled import compiled
from metrics.volume import Volume, as_volume, axis_index


@dataclass(frozen=True, eq=False)
class Chords:
    """Chord lengths of a phase along an axis.

    Attributes
    ----------
    mean : float
        Mean chord length, in unit, of cut chords too; nan where no chord begins or ends.
    lengths : (N,) float64 ndarray
        Lengths of 1..N voxels, in unit; N is the side of the volume along the axis.
    counts : (N,) int64 ndarray
        Complete chords of each length.
    count : int
        Complete chords.
    cut : int
        Chords cut by the edge of the volume.
    """

    mean: float
    lengths: Float64
    counts: Int64
    count: int
    cut: int


class Runs(NamedTuple):
    """Runs of a phase along an axis, by length: entry n counts the runs of n voxels, 0..N."""

    complete: Int64
    cut: Int64


def chord_length(volume: Volume | NDArray[Any], *, phase: int | str, axis: str) -> Chords:
    r"""Chord lengths of a phase along an axis.

    .. math:: \ell_C = \phi \,/\, n_C

    with the volume fraction :math:`\phi` and :math:`n_C` chords per length of line: the mean chord
    length in Torquato's sense. A chord has two ends, so :math:`n_C` is half the changes to or from
    the phase per pair of neighbouring voxels; chords cut by the edge of the volume are not lost,
    and numerator and denominator are both unbiased. An isotropic material has a specific surface
    of 4 phi / l_C.

    Not counted in `counts`: chords cut by the edge. Long ones are cut more often, so the mean of
    `counts` is too small: 4.96 where `mean` gives 10.00 for random voxels of fraction 0.9 (true:
    10) on lines of 20. A chord of n voxels can be complete in N - n - 1 places of a line of N:
    ``counts / (N - n - 1)`` compares lengths without that bias.

    Voxels miss what is shorter than themselves: between random balls the mean chord is about half
    a voxel too long.

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray
    phase : int or str
        Label or name of the phase.
    axis : {"z", "y", "x"}

    Returns
    -------
    Chords
        Lengths in the unit of the volume.

    Raises
    ------
    InputError
        If the volume knows no such phase or axis.

    References
    ----------
    S. Torquato, B. Lu, Chord-length distribution function for two-phase random media, Phys. Rev.
    E 47, 2950, 1993, doi:10.1103/PhysRevE.47.2950.

    Examples
    --------
    >>> import numpy as np
    >>> chords = chord_length(np.array([[[1, 0, 0, 1, 1, 0]]]), phase=0, axis="x")
    >>> chords.counts.tolist(), chords.cut
    ([0, 1, 0, 0, 0, 0], 1)
    """
    v = as_volume(volume)
    label = v.label(phase)
    axis_index(axis)
    return chords_of(v, count_runs(v, [label], [axis])[label, axis], axis)


def chords_of(v: Volume, runs: Runs, axis: str) -> Chords:
    """Chord lengths from runs already counted."""
    step = v.spacing[axis_index(axis)]
    complete, cut = runs
    n = len(complete) - 1
    lines = v.labels.size // n
    fraction = np.arange(n + 1) @ (complete + cut) / v.labels.size
    # A run that fills its line ends nowhere, a cut one on one side.
    ends = 2 * complete.sum() + cut[:-1].sum()
    mean = fraction * 2 * lines * (n - 1) / ends * step if ends else np.nan
    lengths = step * np.arange(1, n + 1, dtype=float)
    return Chords(float(mean), lengths, complete[1:], int(complete.sum()), int(cut.sum()))


def count_runs(
    v: Volume, labels: Sequence[int], axes: Sequence[str]
) -> dict[tuple[int, str], Runs]:
    """Count the runs of phases along axes, going through the layers of the volume once."""
    lines = {(label, axis): _Lines(v.shape, axis) for label in labels for axis in axes}
    for layer in v.labels:
        for label in labels:
            inside = layer == label
            for axis in axes:
                lines[label, axis].add(inside)
    return {key: of.runs for key, of in lines.items()}


class _Lines:
    """All lines of a volume along an axis, that are counted layer by layer."""

    def __init__(self, shape: tuple[int, int, int], axis: str) -> None:
        self._along, self._n = axis_index(axis), shape[axis_index(axis)]
        self.runs = Runs(np.zeros(self._n + 1, np.int64), np.zeros(self._n + 1, np.int64))
        # Lines along z cross all layers, others lie within one.
        layer = shape[1] * shape[2]
        self._open = np.zeros(layer // (1 if self._along == 0 else self._n), np.int64)
        self._layers = 0

    def add(self, inside: NDArray[np.bool_]) -> None:
        """Count the next layer of a phase."""
        along_z = self._along == 0
        steps = inside.reshape(1, -1) if along_z else np.moveaxis(inside, self._along - 1, 0)
        _advance(
            np.ascontiguousarray(steps), self._layers if along_z else 0, self._open, *self.runs
        )
        self._layers += 1
        if not along_z or self._layers == self._n:
            self.runs.cut[:] += np.bincount(self._open[self._open > 0], minlength=self._n + 1)
            self._open[:] = 0


@compiled(nogil=True)
def _advance(inside, first, open_runs, complete, cut):  # type: ignore[no-untyped-def]
    """Walk all lines through the steps `inside` (steps, lines), the first of which is `first`.

    `open_runs` holds the length so far of the run that each line is in, 0 outside the phase.
    """
    steps, lines = inside.shape
    for i in range(steps):
        for j in range(lines):
            length = open_runs[j]
            if inside[i, j]:
                open_runs[j] = length + 1
            elif length:
                if length == first + i:
                    cut[length] += 1
                else:
                    complete[length] += 1
                open_runs[j] = 0
