r"""The lattice of a generator: means that differ from place to place of its stride.

In a stationary material every voxel has one law. A transposed convolution writes each place between
two latent sites with weights of its own (checkerboard artefacts: Odena et al. 2016,
10.23915/distill.00003), so that a phase may be frequent at some places and never occur at others,
whatever its mean. No fraction, surface or S2 of one volume shows it; means over places modulo the
stride do, once the noise of sampling is taken off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metrics.arrays import Float64
from metrics.intervals import Estimate, Interval
from metrics.volume import InputError, Phase, Volume

LONGEST = 16  # voxels: of longer periods, a volume of 128 holds too few
PRESENT = 1e-6  # fraction of a phase, of which less is nothing


@dataclass(frozen=True, eq=False)
class Lattice:
    """Means of each phase over places modulo a period, and how they differ beyond sampling noise.

    Parameters
    ----------
    phases : tuple of Phase
    means : (phases, n, n, n) ndarray
        Mean of each phase at each place (z, y, x) modulo n voxels, over all volumes.
    spread : tuple of Interval
        Of each phase: standard deviation over places of the law's mean, over the phase's fraction,
        0 for a stationary law, with a 95 % interval.
    """

    phases: tuple[Phase, ...]
    means: Float64
    spread: tuple[Interval, ...]

    @property
    def period(self) -> int:
        """Voxels."""
        return self.means.shape[-1]

    @property
    def worst(self) -> float:
        """Largest spread of a phase."""
        return max(interval.value for interval in self.spread)


def periods(stride: int) -> tuple[int, ...]:
    """The two largest divisors of a stride up to 16: to judge by, in a run.

    Examples
    --------
    >>> periods(32), periods(27), periods(1)
    ((16, 8), (9, 3), (1,))
    """
    return tuple(n for n in range(LONGEST, 0, -1) if stride % n == 0)[:2]


def lattice(volumes: Sequence[Volume], period: int) -> Lattice:
    r"""Differences between places modulo a period.

    With m_v(p) the mean of a phase in volume v at place p, less that over all places, the mean over
    pairs of different volumes

    .. math:: s^2 = \left\langle m_u(p)\, m_v(p) \right\rangle_{p,\; u \ne v}

    is an unbiased estimate of the variance over places of the law's mean, since noise of different
    volumes is independent. A negative one counts as none. The interval is Student's, of s^2 by the
    jackknife over volumes (nan limits of two).

    Parameters
    ----------
    volumes : sequence of Volume
        Independent, of one shape and with the same phases; the first voxel of each is at place 0.
        What is left over at the end of an axis is not counted.
    period : int
        Voxels.

    Raises
    ------
    InputError
        If there are fewer than two volumes, or one is shorter than two periods.

    Examples
    --------
    >>> labels = np.random.default_rng(0).integers(0, 2, (2, 16, 16, 16))
    >>> labels[..., ::4] = 1
    >>> found = lattice([Volume(v) for v in labels], 4)
    >>> [round(interval.value, 1) for interval in found.spread]
    [0.6, 0.3]
    """
    if not measurable(volumes, period):
        raise InputError(
            f"places modulo {period} voxels need two volumes or more, of two periods or more along "
            "every axis: give more or larger ones"
        )
    means = np.array([_place_means(volume, period) for volume in volumes])  # (V, phases, n, n, n)
    return Lattice(
        tuple(volumes[0].phases),
        means.mean(axis=0),
        tuple(_spread(means[:, k].reshape(len(means), -1)) for k in range(means.shape[1])),
    )


def measurable(volumes: Sequence[Volume], period: int) -> bool:
    """Whether there are volumes enough, and large enough."""
    return len(volumes) > 1 and min(min(volume.shape) for volume in volumes) >= 2 * period


def _place_means(volume: Volume, n: int) -> Float64:
    z, y, x = (size // n for size in volume.shape)
    cells = volume.labels[: z * n, : y * n, : x * n].reshape(z, n, y, n, x, n)
    return np.array([(cells == label).mean(axis=(0, 2, 4)) for label in volume.phase_labels])


def _spread(means: Float64) -> Interval:
    """Standard deviation over places (V, places) beyond noise, over the mean."""
    count, fraction = len(means), float(means.mean())
    if fraction < PRESENT:
        return Interval(0.0, 0.0, 0.0)
    apart = means - means.mean(axis=1, keepdims=True)
    products = apart @ apart.T / means.shape[1]
    np.fill_diagonal(products, 0.0)
    total = products.sum()
    value, error = total / (count * (count - 1)), math.nan
    if count > 2:
        without = (total - 2 * products.sum(axis=1)) / ((count - 1) * (count - 2))
        error = float(np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum()))
    square = Estimate(np.array(value), np.array(error), np.array(count - 1.0)).interval()
    return Interval(*(np.sqrt(np.maximum(square, 0.0)) / fraction).tolist())
