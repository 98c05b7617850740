"""Every scalar metric of a volume as one tidy table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import NDArray

from metrics.chords import chords_of, count_runs
from metrics.connectivity import Clusters
from metrics.diffusivity import diffusivity_in
from metrics.fraction import fractions_of
from metrics.neighbourhood import Crossings, Neighbourhood, count_crossings, count_neighbourhood
from metrics.section import (
    lengths_of,
    normals,
    section_euler_density,
    section_thickness,
    triple_points_of,
)
from metrics.solver.methods import check_solver
from metrics.surface import interface_areas, surface_of
from metrics.thickness import local_thickness
from metrics.topology import euler_numbers
from metrics.tpb import active_edge_densities, edge_density
from metrics.volume import AXES, InputError, Volume, as_volume

if TYPE_CHECKING:
    import pandas as pd


class Row(NamedTuple):
    """One value of a volume."""

    metric: str
    phase: str
    axis: str
    value: float
    unit: str
    definition: str


@dataclass(frozen=True)
class Subject:
    """A volume being described, with what several metrics share."""

    volume: Volume
    solver: str
    device: str | None

    @cached_property
    def counts(self) -> Neighbourhood:
        """Voxels, faces and edges, counted once."""
        return count_neighbourhood(self.volume)

    @cached_property
    def crofton(self) -> dict[tuple[int, int], float]:
        """Interface areas by the Crofton estimator, counted once."""
        return interface_areas(self.volume, estimator="crofton")

    @cached_property
    def clusters(self) -> dict[int, Clusters]:
        """Connected clusters of each phase by its label, found once."""
        labels = self.volume.phase_labels
        return dict(zip(labels, Clusters.of_each(self.volume, labels), strict=True))

    def phases(self) -> Iterator[tuple[int, str]]:
        """Label and name of each phase."""
        for phase in self.volume.phases:
            yield phase.label, phase.name

    @cached_property
    def crossings(self) -> Crossings:
        """Steps between phases, counted once."""
        return count_crossings(self.volume)

    def sections(self) -> Iterator[tuple[str, str]]:
        """Axis normal to the sections of the volume, and how a row names it."""
        for axis in normals(self.volume):
            yield axis, across(axis)

    def directions(self) -> Iterator[tuple[int, str, str]]:
        """Label and name of each phase with each axis."""
        for label, name in self.phases():
            for axis in AXES:
                yield label, name, axis

    def unit(self, power: int) -> str:
        """Unit of a length to a power, e.g. ``um`` or ``1/um^2``."""
        exponent = f"^{abs(power)}" if abs(power) > 1 else ""
        return f"{'1/' if power < 0 else ''}{self.volume.unit}{exponent}"


def describe(
    volume: Volume | NDArray[Any],
    *,
    metrics: Sequence[str] | None = None,
    solver: str = "multigrid",
    device: str | None = None,
) -> pd.DataFrame:
    """Measure a volume.

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray
    metrics : sequence of str, optional
        Names among `METRICS`; `DEFAULT_METRICS`, all but the slow local thickness and those of
        sections, if left out.
    solver : str
        Method of `effective_diffusivity`.
    device : str, optional
        Where the solver runs; the CPU if left out.

    Returns
    -------
    pandas.DataFrame
        Columns metric, phase (name, or two names joined by ``-``), axis (z, y, x or empty),
        value, unit, definition. Metrics that need more phases than there are give no row. A value
        that is not defined (no chord) or not reached (no convergence) is nan.

    Raises
    ------
    InputError
        If a metric, the solver or the device is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> table = describe(np.array([[[0, 1, 1, 1]]]), metrics=["volume_fraction"])
    >>> table.value.tolist()
    [0.25, 0.75]
    """
    import pandas as pd

    names = DEFAULT_METRICS if metrics is None else known_metrics(metrics, tuple(METRICS))
    check_solver(solver, device)
    rows, _ = measure(as_volume(volume), names, solver=solver, device=device)
    return pd.DataFrame(rows, columns=list(Row._fields))


def known_metrics(metrics: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return each name once, or raise `InputError` for one that is not among the known."""
    for name in metrics:
        if name not in known:
            raise InputError(f"unknown metric {name!r}: choose from {', '.join(known)}")
    return tuple(dict.fromkeys(metrics))


def measure(
    volume: Volume, metrics: Sequence[str], *, solver: str, device: str | None = None
) -> tuple[list[Row], dict[str, float]]:
    """Rows of a volume, and the seconds that each metric took."""
    subject = Subject(volume, solver, device)
    rows: list[Row] = []
    seconds = {}
    for name in metrics:
        start = perf_counter()
        rows += [Row(name, *row) for row in METRICS[name](subject)]
        seconds[name] = perf_counter() - start
    return rows, seconds


def across(axis: str) -> str:
    """What stands as the axis of a quantity of sections normal to one."""
    return f"normal to {axis}"


Values = Iterator[tuple[str, str, float, str, str]]  # phase, axis, value, unit, definition


def _volume_fraction(s: Subject) -> Values:
    fractions = fractions_of(s.counts)
    for label, name in s.phases():
        yield name, "", fractions[label], "", "voxels of the phase / all voxels"


def _specific_surface_area(s: Subject) -> Values:
    for phase in s.volume.independent_phases:  # two share one surface
        yield phase.name, "", surface_of(s.crofton, phase.label), s.unit(-1), CROFTON


def _interface_area(s: Subject) -> Values:
    if len(s.volume.phases) > 2:
        for (i, j), area in s.crofton.items():
            pair = f"{s.volume.name(i)}-{s.volume.name(j)}"
            yield pair, "", area, s.unit(-1), CROFTON


def _tpb_density(s: Subject) -> Values:
    if len(s.volume.phases) > 2:
        yield "", "", edge_density(s.counts), s.unit(-2), EDGES


def _active_tpb_density(s: Subject) -> Values:
    if len(s.volume.phases) > 2:
        for axis, density in active_edge_densities(s.volume, s.clusters.values()).items():
            yield "", axis, density, s.unit(-2), f"{EDGES}; all three phases through-connected"


def _chord_length(s: Subject) -> Values:
    runs = count_runs(s.volume, s.volume.phase_labels, AXES)
    for label, name, axis in s.directions():
        chords = chords_of(s.volume, runs[label, axis], axis)
        yield name, axis, chords.mean, s.unit(1), "mean chord: phase length / chords per line"


def _euler_density(s: Subject) -> Values:
    size = s.volume.labels.size * s.volume.voxel_volume
    found = euler_numbers(s.volume, s.volume.phase_labels, connectivity=6)
    for label, name in s.phases():
        yield name, "", found[label] / size, s.unit(-3), "Euler number / volume, 6-connected"


def _percolating_fraction(s: Subject) -> Values:
    for label, name, axis in s.directions():
        fraction = s.clusters[label].percolation(axis).percolating_fraction
        yield name, axis, fraction, "", "6-connected to both faces / all voxels of the phase"


def _cluster_density(s: Subject) -> Values:
    size = s.volume.labels.size * s.volume.voxel_volume
    for label, name in s.phases():
        yield name, "", s.clusters[label].count / size, s.unit(-3), "6-connected clusters / volume"


def _largest_cluster(s: Subject) -> Values:
    for label, name in s.phases():
        clusters = s.clusters[label]
        fraction = clusters.largest() / max(clusters.voxels, 1)
        yield name, "", fraction, "", "largest 6-connected cluster / all voxels of the phase"


def _effective_diffusivity(s: Subject) -> Values:
    for label, name, axis in s.directions():
        result = diffusivity_in(
            s.clusters[label], s.volume, axis=axis, solver=s.solver, device=s.device
        )
        definition = (
            "D_eff/D_0, Dirichlet planes half a voxel outside, no flux at the sides "
            f"(TauFactor's convention, solved by {s.solver})"
        )
        yield name, axis, result.value if result.converged else math.nan, "", definition


def _local_thickness(s: Subject) -> Values:
    for label, name in s.phases():
        thickness = local_thickness(s.volume, phase=label)
        yield name, "", thickness.mean, s.unit(1), "mean diameter of the largest ball that fits"


def _section_thickness(s: Subject) -> Values:
    for axis, name in s.sections():
        for label, phase in s.phases():
            diameter = section_thickness(s.volume, phase=label, normal=axis)
            yield phase, name, diameter, s.unit(1), "mean diameter of the largest disc that fits"


def _boundary_length(s: Subject) -> Values:
    for axis, name in s.sections():
        lengths = lengths_of(s.volume, s.crossings, axis)
        for phase in s.volume.independent_phases:  # two share one boundary
            yield phase.name, name, surface_of(lengths, phase.label), s.unit(-1), LINES


def _interface_length(s: Subject) -> Values:
    if len(s.volume.phases) > 2:
        for axis, name in s.sections():
            for (i, j), length in lengths_of(s.volume, s.crossings, axis).items():
                yield f"{s.volume.name(i)}-{s.volume.name(j)}", name, length, s.unit(-1), LINES


def _triple_point_density(s: Subject) -> Values:
    if len(s.volume.phases) > 2:
        for axis, name in s.sections():
            density = triple_points_of(s.counts, axis)
            yield "", name, density, s.unit(-2), "pixel corners with 3 phases / area, half of L_V"


def _section_euler_density(s: Subject) -> Values:
    for axis, name in s.sections():
        for label, phase in s.phases():
            density = section_euler_density(s.volume, phase=label, normal=axis)
            yield phase, name, density, s.unit(-2), "pieces less holes / area, 4-connected"


LINES = "length / area, Cauchy-Crofton, 4 directions, returns weighted (isotropic: pi/4 of S_V)"
CROFTON = "area / total volume, Cauchy-Crofton, 13 directions, returns weighted"
EDGES = "length of voxel edges with 3 phases / total volume (3/2 too long on isotropic lines)"

METRICS: dict[str, Callable[[Subject], Values]] = {
    "volume_fraction": _volume_fraction,
    "specific_surface_area": _specific_surface_area,
    "interface_area": _interface_area,
    "tpb_density": _tpb_density,
    "active_tpb_density": _active_tpb_density,
    "chord_length": _chord_length,
    "euler_density": _euler_density,
    "percolating_fraction": _percolating_fraction,
    "cluster_density": _cluster_density,
    "largest_cluster": _largest_cluster,
    "effective_diffusivity": _effective_diffusivity,
    "local_thickness": _local_thickness,
    "boundary_length": _boundary_length,
    "interface_length": _interface_length,
    "triple_point_density": _triple_point_density,
    "section_euler_density": _section_euler_density,
    "section_thickness": _section_thickness,
}
CURVE = "two_point_correlation"  # a curve, which `comparison` measures and judges
ALL_METRICS = (*METRICS, CURVE)
ON_SECTIONS = (
    "boundary_length",
    "interface_length",
    "triple_point_density",
    "section_euler_density",
    "section_thickness",
)
SLOW = ("local_thickness", "section_thickness")  # measured if asked for
DEFAULT_METRICS = tuple(name for name in METRICS if name not in (*SLOW, *ON_SECTIONS))
COMPARED_METRICS = (*DEFAULT_METRICS, CURVE)
SECTION_METRICS = ("volume_fraction", *ON_SECTIONS, "chord_length", CURVE)
