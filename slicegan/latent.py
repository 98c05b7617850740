"""Noise as a function of position: unbounded fields, any window of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metrics.volume import InputError

Sites = tuple[int, int, int]
WORD = 2**64
EIGHT = 8  # numbers of a counter: four words, two halves each
FAR = 2**63


def latent_noise(
    channels: int,
    start: Sites,
    shape: Sites,
    *,
    seed: int,
    index: int = 0,
    periods: tuple[int | None, int | None, int | None] = (None, None, None),
) -> NDArray[np.float32]:
    """Window of an unbounded field of standard normal noise.

    The values of a site depend on `seed`, `index` and its position alone: they are drawn by a
    counter-based generator (Philox 4x64, Salmon et al. 2011, 10.1145/2063384.2063405) with the key
    (seed, index), whose counter starts at the position. So windows agree wherever they overlap,
    and sites need not be drawn in any order.

    Parameters
    ----------
    channels : int
        Values at each site.
    start : (int, int, int)
        First site of the window along z, y, x; may be negative.
    shape : (int, int, int)
        Sites of the window along z, y, x.
    seed, index : int
        Field, and its number among those of one seed: 0 to 2**64 - 1.
    periods : (int or None, int or None, int or None)
        Sites after which the field repeats itself along z, y, x; None where it does not.

    Returns
    -------
    (channels, z, y, x) float32 ndarray

    Raises
    ------
    InputError
        If seed or index is out of range.

    Examples
    --------
    >>> whole = latent_noise(2, (-3, 0, 0), (6, 1, 1), seed=7)
    >>> bool((latent_noise(2, (1, 0, 0), (2, 1, 1), seed=7) == whole[:, 4:]).all())
    True
    """
    check_key(seed, index)
    z, y, x = _counters(start, shape, periods)
    bits = np.random.Philox(key=np.array([seed, index], np.uint64))
    draw = np.random.Generator(bits)
    # To set the state of one generator takes half the time of making one for each site. The lowest
    # of the counter's four words is what drawing advances.
    state = bits.state
    noise = np.empty((*shape, channels), np.float32)
    for k, j, i in np.ndindex(*shape):
        state["state"]["counter"][1:] = x[i], y[j], z[k]
        bits.state = state
        draw.standard_normal(dtype=np.float32, out=noise[k, j, i])
    return np.moveaxis(noise, -1, 0)


def fine_noise(
    level: int,
    start: Sites,
    shape: Sites,
    *,
    seed: int,
    index: int = 0,
    periods: tuple[int | None, int | None, int | None] = (None, None, None),
) -> NDArray[np.float32]:
    """Window of an unbounded field of standard normal noise, one number a site.

    Like `latent_noise`, for fields of many sites: a counter gives eight neighbours along x, by
    pairs of Box and Muller (1958, 10.1214/aoms/1177706645).

    Parameters
    ----------
    level : int
        Number of the field among those of one seed and index, from 0.
    start, shape, seed, index, periods
        As of `latent_noise`.

    Returns
    -------
    (z, y, x) float32 ndarray

    Raises
    ------
    InputError
        If seed or index is out of range.

    Examples
    --------
    >>> whole = fine_noise(0, (0, 0, -9), (1, 1, 20), seed=7)
    >>> bool((fine_noise(0, (0, 0, 3), (1, 1, 5), seed=7) == whole[:, :, 12:17]).all())
    True
    """
    check_key(seed, index)
    z, y, x = _counters(start, shape, periods)
    places, block = np.unique(np.array(x, np.uint64) // EIGHT, return_inverse=True)
    first = np.flatnonzero(np.r_[True, np.diff(places) != 1])  # of each run of blocks in sequence
    runs = list(zip(places[first].tolist(), np.diff(np.r_[first, len(places)]), strict=True))
    bits = np.random.Philox(key=np.array([seed, index], np.uint64))
    state = bits.state
    words = np.empty((len(z), len(y), len(places), EIGHT // 2), np.uint64)
    for k, j in np.ndindex(len(z), len(y)):
        drawn = []
        for place, count in runs:
            # Latent noise has its sites in the last word: none reaches this one.
            state["state"]["counter"][:] = place, y[j], z[k], FAR + level
            bits.state = state
            drawn.append(bits.random_raw(count * EIGHT // 2))
        words[k, j] = np.concatenate(drawn).reshape(-1, EIGHT // 2)
    halves = np.stack([words >> np.uint64(32), words & np.uint64(2**32 - 1)])
    length, angle = (halves + 0.5) / 2**32
    radius = np.sqrt(-2 * np.log(length))
    pairs = radius * np.cos(2 * np.pi * angle), radius * np.sin(2 * np.pi * angle)
    normal = np.concatenate(pairs, axis=-1).astype(np.float32)
    lane = np.array(x, np.uint64) % EIGHT
    return normal[:, :, block, lane.astype(np.intp)]


def _counters(
    start: Sites, shape: Sites, periods: tuple[int | None, int | None, int | None]
) -> list[list[int]]:
    """Words of the counter for the sites along z, y and x."""
    return [
        [(site if period is None else site % period) % WORD for site in range(first, first + n)]
        for first, n, period in zip(start, shape, periods, strict=True)
    ]


def check_key(seed: int, index: int = 0) -> None:
    """Raise `InputError` unless both are whole numbers from 0 to 2**64 - 1."""
    for name, number in (("seed", seed), ("index", index)):
        if not isinstance(number, int | np.integer) or not 0 <= number < WORD:
            raise InputError(f"{name} must be a whole number, 0 to 2**64 - 1, got {number}")
