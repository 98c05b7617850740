"""Latent noise as a function of position: one unbounded field, any window of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metrics.volume import InputError

Sites = tuple[int, int, int]
WORD = 2**64


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
    z, y, x = (
        [(site if period is None else site % period) % WORD for site in range(first, first + n)]
        for first, n, period in zip(start, shape, periods, strict=True)
    )
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


def check_key(seed: int, index: int = 0) -> None:
    """Raise `InputError` unless both are whole numbers from 0 to 2**64 - 1."""
    for name, number in (("seed", seed), ("index", index)):
        if not isinstance(number, int | np.integer) or not 0 <= number < WORD:
            raise InputError(f"{name} must be a whole number, 0 to 2**64 - 1, got {number}")
