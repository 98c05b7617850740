"""Connected clusters of a phase, and those that reach from one face of the volume to the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Int64
from metrics.machine.memory import allocate
from metrics.volume import AXES, LARGE, Volume, as_volume, axis_index

Numbers = NDArray[Any]  # of clusters, unsigned
Ends = tuple[NDArray[Any], NDArray[Any]]

PART = 2**20  # voxels
SLAB_VOXELS = 2**25


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
    voxel, 4 of them the cluster numbers (measured on 300^3); of more than 512^3 voxels that of a
    slab, unless `labels` are wanted.

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

    Parameters, connectivity and errors are those of `percolation`; if `periodic_sides`, clusters
    also go on from each side to the opposite one. Memory likewise, and 1 byte a voxel; of more than
    512^3 voxels 4 bytes more if `periodic_sides`.

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
    shape : (int, int, int)
        Voxels of the volume along z, y, x.
    voxels : int
        Of the phase.
    sizes : (count + 1,) int64 ndarray
        Voxels of the clusters 1..count; of 0, which is none, 0.
    ends : dict of str to (ndarray, ndarray)
        For each axis the numbers of the clusters in the first and in the last layer.
    slabs : callable
        Gives the number of the cluster of each voxel, 0 outside the phase, as unsigned ndarrays of
        layers along z in turn: one of up to 512^3 voxels, many of a larger volume.
    """

    shape: tuple[int, int, int]
    voxels: int
    sizes: Int64
    ends: dict[str, Ends]
    slabs: Callable[[], Iterator[Numbers]]

    @classmethod
    def of(cls, v: Volume, phase: int | str) -> Clusters:
        """Find the clusters of a phase; errors as in `percolation`."""
        return next(cls.of_each(v, [v.label(phase)]))

    @classmethod
    def of_each(cls, v: Volume, labels: Sequence[int]) -> Iterator[Clusters]:
        """Find the clusters of each of these phases, in turn up to 512^3 voxels."""
        if v.labels.size <= LARGE:
            return (cls.of_mask(v.mask(label)) for label in labels)
        return iter(_of_slabs(v, labels))

    @classmethod
    def of_mask(cls, mask: NDArray[np.bool_]) -> Clusters:
        """Find the clusters of where a mask is True."""
        numbers, count = _numbered(np.asarray(mask))
        sizes, ends = _sizes(numbers, count), _ends(numbers, count)
        return cls(mask.shape, int(sizes.sum()), sizes, ends, lambda: iter([numbers]))

    @property
    def count(self) -> int:
        """How many clusters there are."""
        return len(self.sizes) - 1

    @property
    def labels(self) -> Numbers:
        """Number of the cluster of each voxel, whole."""
        return _whole(self.slabs(), self.shape)

    def percolation(self, axis: str, *, labels: bool = False) -> Percolation:
        """What `metrics.percolation` says of the phase."""
        through = self.go_through(axis)
        return Percolation(
            percolating_fraction=int(self.sizes[through].sum()) / max(self.voxels, 1),
            clusters=self.count,
            through_clusters=int(np.count_nonzero(through)),
            labels=self.labels if labels else None,
        )

    def largest(self) -> int:
        """Voxels of the largest cluster; 0 where the phase is absent."""
        return int(self.sizes.max())

    def through(self, axis: str, *, periodic_sides: bool = False) -> NDArray[np.bool_]:
        """What `metrics.through_mask` says of the phase."""
        through = self.go_through(axis, periodic_sides=periodic_sides)
        return _whole((_members(numbers, through) for numbers in self.slabs()), self.shape)

    def go_through(self, axis: str, *, periodic_sides: bool = False) -> NDArray[np.bool_]:
        """For each number, whether its cluster touches both faces; 0 does not."""
        along = axis_index(axis)
        joined: NDArray[np.integer] = np.arange(self.count + 1)
        if periodic_sides:
            joined = _joined(self.labels, self.count, [k for k in range(3) if k != along])
        first, last = (joined[numbers] for numbers in self.ends[axis])
        through = np.isin(joined, np.intersect1d(first, last))
        through[0] = False
        return through


def _of_slabs(v: Volume, labels: Sequence[int]) -> list[Clusters]:
    """Clusters of phases, found slab by slab and joined where slabs touch.

    The volume is gone through once for all of them, and only one slab is in memory; whoever wants
    numbers again has them found again.
    """
    step = max(1, SLAB_VOXELS // (v.shape[1] * v.shape[2]))
    spans = [(z, min(z + step, v.shape[0])) for z in range(0, v.shape[0], step)]
    phases = [_Joining(v.shape[1:]) for _ in labels]
    for first, last in spans:
        slab = v.labels[first:last]
        for label, phase in zip(labels, phases, strict=True):
            phase.add(*_numbered(slab == label))
    return [phase.clusters(v, label, spans) for label, phase in zip(labels, phases, strict=True)]


class _Joining:
    """Clusters of a phase, from slab to slab.

    Every cluster of a slab is a node; nodes that touch across slabs are one cluster.
    """

    def __init__(self, layer: tuple[int, int]) -> None:
        self.sizes = [np.zeros(1, np.int64)]
        self.ends: list[dict[str, Ends]] = []
        self.offsets = [0]
        self.links = [np.empty((2, 0), np.int64)]
        self.below = np.zeros(layer, np.int64)

    def add(self, numbers: Numbers, count: int) -> None:
        """The next slab, with the number of the cluster of each voxel."""
        offset = self.offsets[-1]
        self.sizes.append(_sizes(numbers, count)[1:])
        of_slab = _ends(numbers, count)
        self.ends.append(
            {axis: (_moved(a, offset), _moved(b, offset)) for axis, (a, b) in of_slab.items()}
        )
        bottom = _moved(numbers[0], offset)
        touch = (self.below > 0) & (bottom > 0)
        self.links.append(_distinct(np.stack([self.below[touch], bottom[touch]])))
        self.below = _moved(numbers[-1], offset)
        self.offsets.append(offset + count)

    def clusters(self, v: Volume, label: int, spans: Sequence[tuple[int, int]]) -> Clusters:
        """All slabs as one, whose numbers are found anew in the same spans of layers."""
        table = _components(np.concatenate(self.links, axis=1), self.offsets[-1] + 1)

        def slabs() -> Iterator[Numbers]:
            for (first, last), offset in zip(spans, self.offsets[:-1], strict=True):
                numbers, count = _numbered(v.labels[first:last] == label)
                own = np.append(0, table[offset + 1 : offset + count + 1]).astype(np.uint32)
                numbers = numbers.astype(np.uint32, copy=False)
                for layer in numbers:
                    layer[...] = own[layer]
                yield numbers

        of_nodes = np.concatenate(self.sizes)
        of_clusters = np.zeros(table.max() + 1, np.int64)
        np.add.at(of_clusters, table, of_nodes)
        # Sides go on from slab to slab; the first and the last layer lie in one slab each.
        ends = {}
        for axis in AXES:
            outer = (self.ends[:1], self.ends[-1:]) if axis == "z" else (self.ends, self.ends)
            nodes = [[of[axis][k] for of in some] for k, some in enumerate(outer)]
            first, last = (table[np.concatenate(of)] for of in nodes)
            ends[axis] = first, last
        return Clusters(v.shape, int(of_nodes.sum()), of_clusters, ends, slabs)


def _numbered(mask: NDArray[np.bool_]) -> tuple[Numbers, int]:
    """Number of the cluster of each voxel, and how many clusters there are."""
    import cc3d

    numbers, count = cc3d.connected_components(
        mask, connectivity=6, binary_image=True, return_N=True
    )
    return numbers, count


def _sizes(numbers: Numbers, count: int) -> Int64:
    """Voxels of each cluster, with 0 for none."""
    sizes = np.zeros(count + 1, np.int64)
    flat = numbers.ravel(order="K")
    # Part by part: counting takes 8 bytes a voxel.
    for start in range(0, flat.size, PART):
        sizes += np.bincount(flat[start : start + PART], minlength=count + 1)
    sizes[0] = 0
    return sizes


def _ends(numbers: Numbers, count: int) -> dict[str, Ends]:
    """Numbers in the first and the last layer along each axis."""

    def found(layer: Numbers) -> NDArray[np.int64]:
        seen = np.zeros(count + 1, bool)  # far faster than to sort them
        seen[layer] = True
        return np.flatnonzero(seen)

    return {
        axis: (found(numbers.take(0, axis=k)), found(numbers.take(-1, axis=k)))
        for k, axis in enumerate(AXES)
    }


def _distinct(pairs: Int64) -> Int64:
    """Each of the pairs (2, N) once: neighbours are mostly alike, the rest is sorted."""
    changes = np.ones(pairs.shape[1], bool)
    changes[1:] = (pairs[:, 1:] != pairs[:, :-1]).any(axis=0)
    return np.unique(pairs[:, changes], axis=1)


def _moved(numbers: Numbers, offset: int) -> Int64:
    """Numbers of clusters of a slab among those of all slabs; 0 stays."""
    return np.where(numbers > 0, numbers.astype(np.int64) + offset, 0)


def _components(links: Int64, nodes: int) -> Int64:
    """Number of the component of each node, in the order of their first nodes."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(links.shape[1], bool), tuple(links)), shape=(nodes, nodes))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _joined(clusters: Numbers, count: int, axes: Sequence[int]) -> Int64:
    """Number of what each cluster is part of where opposite faces touch; 0 remains by itself."""
    faces = [[clusters.take(layer, axis=k).ravel() for k in axes] for layer in (0, -1)]
    one, other = (np.concatenate(of) for of in faces)
    touch = (one > 0) & (other > 0)
    return _components(np.stack([one[touch], other[touch]]), count + 1)


def _members(clusters: Numbers, wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of the wanted clusters."""
    members = np.empty_like(clusters, dtype=bool)
    # Layer by layer: an index array costs 8 bytes an element.
    for layer, numbers in zip(members, clusters, strict=True):
        layer[...] = wanted[numbers]
    return members


def _whole(slabs: Iterable[NDArray[Any]], shape: tuple[int, int, int]) -> NDArray[Any]:
    """Slabs as one array; one slab as it is."""
    whole, filled = None, 0
    for slab in slabs:
        if len(slab) == shape[0]:
            return slab
        whole = allocate(shape, slab.dtype) if whole is None else whole
        whole[filled : filled + len(slab)] = slab
        filled += len(slab)
    assert whole is not None
    return whole
