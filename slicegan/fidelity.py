"""How well generated volumes match the training images, judged by the images alone.

A plane of a generated volume must look like the image: the same volume fractions, the same
two-point correlation S2 and the same length of phase boundaries. All three follow from S2 at the
lags of that plane, pooled over every parallel plane and volume. The images of an isotropic material
also say what planes at 45 degrees to the axes look like, which a critic of axis planes never sees.

Nor does it see that a voxel's law depends on its place between two latent sites: that is the
`slicegan.places` of the volumes, which an image has none of. Nor transport: the effective
diffusivity counts where a measured one is known (`slicegan.targets`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Float64
from metrics.volume import AXES, InputError, Phase, Volume
from slicegan.config import Material
from slicegan.data import TrainingData
from slicegan.places import Lattice, lattice, measurable, periods
from slicegan.plane_maps import (
    PairCounts,
    boundary_length,
    diagonal,
    expected_diagonal,
    pair_counts,
    pooled,
    summed,
    symmetric,
)
from slicegan.sources import PLANES
from slicegan.targets import Target

# Errors of a good generator: a score of 1 is just good enough.
S2_BAR, BOUNDARY_BAR = 0.02, 0.05
DIFFUSIVITY = "diffusivity"  # is known where there is a target
BARS = {
    "fraction": 0.01, "s2": S2_BAR, "boundary": BOUNDARY_BAR, "lattice": 0.03, DIFFUSIVITY: 0.1,
}  # fmt: skip
MAX_LAG = 32
JACKKNIFED, ERROR = ("fraction", "s2", "boundary"), "_se"
DIAGONAL_PLANES = tuple(f"45{axis}" for axis in AXES)
S2_PRECISION = 1e-6  # of `two_point_map`: less than this is nothing


class PlaneErrors(NamedTuple):
    """Errors of one kind of plane, each the worst over phases.

    `s2` is the mean over lags r of |S2_gen(r) - S2_image(r)| / (phi (1 - phi)), every distance |r|
    counting alike as along a curve (weight 1/|r|); `boundary` is the relative error of the length
    of phase boundaries per area.
    """

    s2: float
    boundary: float


@dataclass(frozen=True)
class Fidelity:
    """Errors of generated volumes against the training images.

    Parameters
    ----------
    fraction : float
        Largest difference of a volume fraction, over phases and images.
    planes : mapping of str to PlaneErrors
        Errors of the planes normal to ``z``, ``y``, ``x`` and, if the material is isotropic, of
        the planes ``45z``, ``45y``, ``45x``: they contain that axis and a diagonal of the other two
        (both diagonals are averaged).
    lattices : tuple of Lattice
        Differences between places modulo the two longest periods; none of too few or too small
        volumes.
    diffusivity : float
        Largest relative error of a D_eff that has a target; nan where none has.
    standard_errors : mapping of str to float
        Of `fraction`, `s2` and `boundary`, by the jackknife over volumes, and of `diffusivity`;
        none of a single volume.
    """

    fraction: float
    planes: Mapping[str, PlaneErrors]
    lattices: tuple[Lattice, ...] = ()
    diffusivity: float = math.nan
    standard_errors: Mapping[str, float] = field(default_factory=dict)

    @property
    def s2(self) -> float:
        """Worst S2 error of a plane."""
        return max(errors.s2 for errors in self.planes.values())

    @property
    def boundary(self) -> float:
        """Worst boundary error of a plane."""
        return max(errors.boundary for errors in self.planes.values())

    @property
    def lattice(self) -> float:
        """Worst spread of a phase over places, over its fraction; nan where it is not known."""
        return max((found.worst for found in self.lattices), default=math.nan)

    @property
    def score(self) -> float:
        """Mean of fraction/0.01, s2/0.02, boundary/0.05, lattice/0.03 and diffusivity/0.1.

        Of lattice and diffusivity where they are known. Lower is better, 1 is good enough.
        """
        parts = {name: getattr(self, name) / bar for name, bar in BARS.items()}
        for name in ("lattice", DIFFUSIVITY):
            if math.isnan(parts[name]):
                del parts[name]
        return sum(parts.values()) / len(parts)

    def row(self) -> dict[str, float]:
        """All errors by name, as in the log of a run; nan for what is not known.

        That of the diffusivity is there only if it has a target.
        """
        aimed = () if math.isnan(self.diffusivity) else (DIFFUSIVITY,)
        names = ("fraction", "s2", "boundary", "lattice", *aimed, "score")
        row: dict[str, float] = {name: getattr(self, name) for name in names}
        with_errors = (*JACKKNIFED, *aimed)
        row |= {f"{name}{ERROR}": self.standard_errors.get(name, math.nan) for name in with_errors}
        for plane in (*AXES, *DIAGONAL_PLANES):
            errors = self.planes.get(plane, PlaneErrors(math.nan, math.nan))
            row |= {f"{name}_{plane}": error for name, error in errors._asdict().items()}
        return row


def against_bars(row: Mapping[str, float]) -> str:
    """The known errors of a row in words, each with what is good enough.

    Examples
    --------
    >>> against_bars({"fraction": 0.004, "s2": 0.05, "boundary": 0.03})
    'fraction 0.004 (good: 0.01), s2 0.05 (good: 0.02), boundary 0.03 (good: 0.05)'
    >>> against_bars({"s2": 0.05, "s2_se": 0.007})
    's2 0.05 +- 0.007 (good: 0.02)'
    """
    known = {name: bar for name, bar in BARS.items() if math.isfinite(row.get(name, math.nan))}
    return ", ".join(f"{name} {with_error(row, name)} (good: {known[name]:g})" for name in known)


def with_error(row: Mapping[str, float], name: str) -> str:
    """A figure of a row, with its standard error where it is known."""
    error = row.get(f"{name}{ERROR}", math.nan)
    return f"{row.get(name, math.nan):.2g}" + (f" +- {error:.1g}" if math.isfinite(error) else "")


@dataclass(frozen=True, eq=False)
class Reference:
    """What the training images say, measured once by `reference`.

    Parameters
    ----------
    material : Material
        What the images show.
    isotropic : bool
        Whether one image stands for planes of every direction.
    thresholds : (T,) ndarray
        Intensities that cut grey and colour images into T + 1 phases; empty for segmented ones.
    maps : mapping of str to (phases, 2 L + 1, 2 L + 1) ndarray
        S2 on the plane normal to each axis at lags up to L pixels, lag zero in the middle; of the
        first phase alone where there are two.
    targets : tuple of Target
        Measured effective diffusivities.
    """

    material: Material
    isotropic: bool
    thresholds: Float64
    maps: Mapping[str, Float64]
    targets: tuple[Target, ...] = ()


def reference(data: TrainingData) -> Reference:
    """Measure the training images: S2 of each phase, every pair of pixels counting alike.

    Maps are averaged over the turns and flips that training allows. Grey and colour images (mean of
    the channels) are cut into phases at their quartiles. Lags reach to 32 pixels or half the
    shortest side of an image.

    Raises
    ------
    InputError
        If the images hold only one value.
    """
    kind = data.material.kind
    stacks = [[_values(t.cpu().numpy(), kind) for t in source.images] for source in data.sources]
    everything = [stack for of_source in stacks for stack in of_source]
    if min(stack.min() for stack in everything) == max(stack.max() for stack in everything):
        raise InputError("the training images hold only one value: there is nothing to match")
    thresholds = np.empty(0) if kind == "phases" else _quartiles(everything)
    lag = min(MAX_LAG, min(min(stack.shape[1:]) for stack in everything) // 2)
    maps: dict[str, Float64] = {}
    for source, of_source in zip(data.sources, stacks, strict=True):
        images = (image[np.newaxis] for stack in of_source for image in stack)
        segmented = _segmented(images, data.material, thresholds)
        s2 = pooled(pair_counts(volume, lag) for volume in segmented)[:, 0]
        maps |= dict.fromkeys(source.axes, symmetric(s2, source))
    return Reference(data.material, data.isotropic, thresholds, maps, data.targets)


def judge(
    volumes: Sequence[Volume | NDArray[Any]], reference: Reference, *, stride: int = 32
) -> Fidelity:
    """Errors of generated volumes, taken together, against the training images.

    Lags reach to half the shortest side of a volume, but no further than those of the reference.
    A phase or boundary that an image lacks altogether has no relative error there: it shows in
    `fraction` and in the other planes.
    At 45 degrees the image's S2 is exact at lags along the axis and along the diagonal; between
    them it is interpolated by cubic splines, to 0.003 phi (1 - phi) at any lag and 0.0001 on
    average where the correlation length is 1.5 voxels (tested on a random field of known law).

    Parameters
    ----------
    volumes : sequence of Volume or ndarray
        Labels (Z, Y, X) as in the training images, or uint8 intensities (Z, Y, X[, C]).
    reference : Reference
        Of the training images.
    stride : int
        Voxels a latent site of the generator: places are taken modulo the two largest divisors of
        it up to 16 (`slicegan.places`), if the volumes are several and hold two such periods.

    Raises
    ------
    InputError
        If there is no volume, or one is not 3D, too thin or not of the images' kind.

    Examples
    --------
    >>> import torch
    >>> from slicegan.sources import Source
    >>> labels = np.indices((8, 8, 8), dtype=np.uint8).sum(axis=0) // 2 % 2
    >>> source = Source(("z", "y", "x"), (torch.from_numpy(labels),), channels=2, turns=True)
    >>> material = Material("phases", (Phase("pore", 0, 0), Phase("grain", 1, 1)))
    >>> wanted = reference(TrainingData(material, (source,), True, ()))
    >>> round(judge([labels], wanted).fraction, 6)
    0.0
    """
    if not len(volumes):
        raise InputError("no volume to judge: give at least one")
    arrays = [_values(volume, reference.material.kind) for volume in volumes]
    reach = reference.maps["z"].shape[-1] // 2
    lag = min(reach, min(min(array.shape) for array in arrays) // 2)
    if lag < 2:
        raise InputError("images and volumes must have four voxels or more along every side")
    segmented = list(_segmented(arrays, reference.material, reference.thresholds))
    counts, images = [pair_counts(volume, lag) for volume in segmented], _images(reference, lag)
    found = _against(pooled(counts), images)
    lattices = tuple(lattice(segmented, n) for n in periods(stride) if measurable(segmented, n))
    errors = _jackknife(counts, images)
    diffusivity = math.nan
    if reference.targets:
        diffusivity, error = _worst_diffusivity(segmented, reference)
        errors[DIFFUSIVITY] = error
    return replace(found, lattices=lattices, diffusivity=diffusivity, standard_errors=errors)


def _worst_diffusivity(volumes: Sequence[Volume], reference: Reference) -> tuple[float, float]:
    """Largest relative error of a mean D_eff that has a target, and its standard error."""
    found = []
    for target in reference.targets:
        ratios = target.measured(volumes, reference.material) / target.value
        ratios = ratios[np.isfinite(ratios)]  # of solves that converged
        if not len(ratios):
            return math.inf, math.nan
        error = float(ratios.std(ddof=1)) / math.sqrt(len(ratios)) if len(ratios) > 1 else math.nan
        found.append((abs(float(ratios.mean()) - 1), error))
    return max(found, key=lambda pair: pair[0])


class _Image(NamedTuple):
    """S2 (phases, rows, columns) of a kind of plane, and the units of its lags."""

    s2: Float64
    steps: tuple[float, float]


def _images(reference: Reference, lag: int) -> dict[str, _Image]:
    """What planes of each kind should show, at lags up to `lag`."""
    reach = reference.maps["z"].shape[-1] // 2
    inner = slice(reach - lag, reach + lag + 1)
    edge = dict(zip(AXES, reference.material.spacing, strict=True))
    images = {
        axis: _Image(s2[:, inner, inner], (edge[PLANES[axis][0]], edge[PLANES[axis][1]]))
        for axis, s2 in reference.maps.items()
    }
    if reference.isotropic:
        steps = (edge["z"], math.sqrt(2) * edge["z"])
        at_45 = _Image(expected_diagonal(images["z"].s2), steps)
        images |= dict.fromkeys(DIAGONAL_PLANES, at_45)
    return images


def _against(generated: Float64, images: Mapping[str, _Image]) -> Fidelity:
    """Errors of S2 (phases, z, y, x) of volumes against that of the images."""
    lag = generated.shape[-1] // 2
    phi = generated[:, lag, lag, lag]
    fraction = max(float(abs(images[axis].s2[:, lag, lag] - phi).max()) for axis in AXES)
    found = {axis: generated.take(lag, axis=k + 1) for k, axis in enumerate(AXES)}
    found |= {f"45{axis}": diagonal(generated, k) for k, axis in enumerate(AXES)}
    planes = {plane: _errors(found[plane], *image) for plane, image in images.items()}
    return Fidelity(fraction, planes)


def _jackknife(counts: Sequence[PairCounts], images: Mapping[str, _Image]) -> dict[str, float]:
    """Standard errors from what each volume changes when it is left out."""
    n = len(counts)
    if n < 2:
        return {}
    total = summed(counts)
    without = [
        _against((total.hits - one.hits) / (total.pairs - one.pairs), images) for one in counts
    ]
    return {
        name: math.sqrt(n - 1) * float(np.std([getattr(found, name) for found in without]))
        for name in JACKKNIFED
    }


def _errors(generated: Float64, image: Float64, steps: tuple[float, float]) -> PlaneErrors:
    """Compare S2 (phases, rows, columns) at the lags of a plane; `steps` are the lags' units."""
    middle = [n // 2 for n in image.shape[1:]]
    down, across = (np.arange(-n, n + 1) * step for n, step in zip(middle, steps, strict=True))
    r = np.hypot(down[:, np.newaxis], across)
    inside = (r > 0) & (r <= down[-1]) & (r <= across[-1])
    difference = np.average(abs(generated - image)[:, inside], axis=1, weights=1 / r[inside])
    phi = image[:, *middle]
    length = boundary_length(image, steps)
    return PlaneErrors(
        s2=_worst(difference, phi * (1 - phi)),
        boundary=_worst(abs(boundary_length(generated, steps) - length), length),
    )


def _worst(error: Float64, size: Float64) -> float:
    """Largest relative error; one of nothing is none."""
    some = size > S2_PRECISION
    return float(np.max(error[some] / size[some], initial=0.0))


def _segmented(
    volumes: Iterable[NDArray[Any]], material: Material, thresholds: Float64
) -> Iterable[Volume]:
    """Volumes of phases; intensities are cut at thresholds."""
    if material.kind == "phases":
        return (Volume(labels, phases=material.phases) for labels in volumes)
    levels = tuple(Phase(str(k), k, k) for k in range(len(thresholds) + 1))
    return (Volume(np.searchsorted(thresholds, values), phases=levels) for values in volumes)


def _values(volume: Volume | NDArray[Any], kind: str) -> NDArray[Any]:
    """Labels as they are, or intensities averaged over channels: three dimensions."""
    array = volume.labels if isinstance(volume, Volume) else np.asarray(volume)
    if kind == "phases":
        return array
    if array.dtype != np.uint8 or array.ndim not in (3, 4):
        got = f"{array.dtype} of shape {array.shape}"
        raise InputError(f"expected uint8 intensities (Z, Y, X) or (Z, Y, X, channels), got {got}")
    return array if array.ndim == 3 else array.mean(axis=3)


def _quartiles(stacks: Sequence[NDArray[Any]]) -> Float64:
    """Quartiles of all pixels, each a value that occurs, so that no class is empty."""
    values = np.concatenate([stack.ravel() for stack in stacks])
    thresholds = np.unique(np.quantile(values, (0.25, 0.5, 0.75), method="lower"))
    return thresholds[thresholds < values.max()]
