"""Connected clusters of a phase, and those that reach from one face of the volume to the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.volume import Volume, as_volume, axis_index

PART = 2**24  # voxels


@dataclass(frozen=True, eq=False)
class Percolation:
    """Connectivity of one phase along one axis.

    Parameters
    ----------
    percolating_fraction : float
        Through-connected voxels of the phase / all voxels of the phase; 0 where the phase is
        absent.
    clusters : int
        Number of 6-connected clusters of the phase.
    through_clusters : int
        How many of them touch both faces normal to the axis.
    labels : (Z, Y, X) unsigned ndarray or None
        Cluster number of each voxel, 1..`clusters`; 0 outside the phase.
    """

    percolating_fraction: float
    clusters: int
    through_clusters: int
    labels: NDArray[Any] | None = None

    @property
    def percolates(self) -> bool:
        """Whether any cluster is through-connected."""
        return self.through_clusters > 0


def percolation(
    volume: Volume | NDArray[Any], *, phase: int | str, axis: str, labels: bool = False
) -> Percolation:
    r"""Part of a phase that connects the two faces of the volume normal to an axis.

    .. math:: p = \frac{|\{x \in P : x \leftrightarrow \text{first layer},\
        x \leftrightarrow \text{last layer}\}|}{|P|}

    Voxels are connected through faces (6 neighbours), the neighbourhood through which the
    finite-volume flux of `metrics.diffusivity` runs. Contacts over an edge or a corner do not
    count, so that thin necks below the resolution look broken, and nothing is periodic. Small
    volumes percolate more easily than large ones. Peak memory beyond the input is 8 bytes a
    voxel, 4 of them the cluster numbers (measured on 300^3).

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray
        Segmented volume.
    phase : int or str
        Label or name of the phase.
    axis : {"z", "y", "x"}
        Direction to connect along. A cluster is through-connected if it has voxels in the first
        and in the last layer; in a volume of a single layer each cluster is.
    labels : bool
        Also return the cluster number of each voxel.

    Returns
    -------
    Percolation
        Dimensionless fraction, cluster counts and, on request, cluster numbers.

    Raises
    ------
    InputError
        If the volume has no such phase or the axis has another name.

    References
    ----------
    Stauffer D., Aharony A. (1994) Introduction to Percolation Theory, 2nd ed.
    doi:10.1201/9781315274386.
    Silversmith W. (2021) cc3d: connected components on multilabel 3D images.
    doi:10.5281/zenodo.5719536.

    Examples
    --------
    >>> import numpy as np
    >>> bar_and_stub = np.array([[[1, 0, 1]], [[1, 0, 0]], [[1, 0, 0]]])
    >>> percolation(bar_and_stub, phase=1, axis="z")
    Percolation(percolating_fraction=0.75, clusters=2, through_clusters=1, labels=None)
    """
    return Clusters.of(as_volume(volume), phase).percolation(axis, labels=labels)


def through_mask(
    volume: Volume | NDArray[Any], *, phase: int | str, axis: str, periodic_sides: bool = False
) -> NDArray[np.bool_]:
    """Voxels of a phase in clusters that touch both faces normal to an axis.

    Parameters, connectivity, errors and memory are those of `percolation`; if `periodic_sides`,
    clusters also go on from each side to the opposite one.

    Returns
    -------
    (Z, Y, X) bool ndarray
        True where a voxel of the phase is through-connected.

    Examples
    --------
    >>> import numpy as np
    >>> through_mask(np.array([[[1, 0, 1]], [[1, 0, 0]]]), phase=1, axis="z")[0].tolist()
    [[True, False, False]]
    """
    return Clusters.of(as_volume(volume), phase).through(axis, periodic_sides=periodic_sides)


@dataclass(frozen=True, eq=False)
class Clusters:
    """Connected clusters of a phase, for all that is asked of them.

    Attributes
    ----------
    voxels : int
        Of the phase.
    count : int
        Clusters.
    labels : (Z, Y, X) unsigned ndarray
        Number of the cluster of each voxel, 1..`count`; 0 outside the phase.
    """

    voxels: int
    count: int
    labels: NDArray[Any]

    @classmethod
    def of(cls, v: Volume, phase: int | str) -> Clusters:
        """Label the clusters of a phase; errors as in `percolation`."""
        return cls.of_mask(v.mask(phase))

    @classmethod
    def of_mask(cls, mask: NDArray[np.bool_]) -> Clusters:
        """Label the clusters of where a mask is True."""
        import cc3d

        mask = np.asarray(mask)
        labels, count = cc3d.connected_components(
            mask, connectivity=6, binary_image=True, return_N=True
        )
        return cls(int(np.count_nonzero(mask)), count, labels)

    def percolation(self, axis: str, *, labels: bool = False) -> Percolation:
        """What `metrics.percolation` says of the phase."""
        through = self._go_through(axis, False)
        voxels = int(np.count_nonzero(_members(self.labels, through)))
        return Percolation(
            percolating_fraction=voxels / max(self.voxels, 1),
            clusters=self.count,
            through_clusters=int(np.count_nonzero(through)),
            labels=self.labels if labels else None,
        )

    def largest(self) -> int:
        """Voxels of the largest cluster; 0 where the phase is absent."""
        sizes = np.zeros(self.count + 1, np.int64)
        flat = self.labels.ravel(order="K")
        # Part by part: counting takes 8 bytes a voxel.
        for start in range(0, flat.size, PART):
            sizes += np.bincount(flat[start : start + PART], minlength=self.count + 1)
        return int(sizes[1:].max(initial=0))

    def through(self, axis: str, *, periodic_sides: bool = False) -> NDArray[np.bool_]:
        """What `metrics.through_mask` says of the phase."""
        return _members(self.labels, self._go_through(axis, periodic_sides))

    def _go_through(self, axis: str, periodic_sides: bool) -> NDArray[np.bool_]:
        """For each number, whether its cluster touches both faces; 0 does not."""
        along = axis_index(axis)
        joined: NDArray[np.integer] = np.arange(self.count + 1)
        if periodic_sides:
            joined = _joined(self.labels, self.count, [k for k in range(3) if k != along])
        first, last = (joined[np.unique(self.labels.take(end, axis=along))] for end in (0, -1))
        through = np.isin(joined, np.intersect1d(first, last))
        through[0] = False
        return through


def _joined(clusters: NDArray[Any], count: int, axes: Sequence[int]) -> NDArray[np.integer]:
    """Number of what each cluster is part of where opposite faces touch; 0 remains by itself."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    faces = [[clusters.take(layer, axis=k).ravel() for k in axes] for layer in (0, -1)]
    one, other = (np.concatenate(of) for of in faces)
    touch = (one > 0) & (other > 0)
    pairs = one[touch], other[touch]
    graph = coo_array((np.ones(len(pairs[0])), pairs), shape=(count + 1, count + 1))
    return connected_components(graph, directed=False)[1]


def _members(clusters: NDArray[Any], wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of the wanted clusters."""
    members = np.empty_like(clusters, dtype=bool)
    # Layer by layer: an index array costs 8 bytes an element.
    for layer, numbers in zip(members, clusters, strict=True):
        layer[...] = wanted[numbers]
    return members
