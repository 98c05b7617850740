"""Fourier transforms of where a phase is, which count pairs of voxels at many lags at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from metrics.arrays import Int64
from metrics.machine.threads import thread_count

Floats = NDArray[np.floating[Any]]
Spectrum = NDArray[np.complexfloating[Any, Any]]

FFT_ROWS = 16  # lines or planes transformed together: enough for all cores, few enough for memory


def padded(shape: Sequence[int], reach: Sequence[int], *, periodic: bool) -> list[int]:
    """Sides of the transforms: lags up to `reach` wrap around in periodic volumes alone."""
    if periodic:
        return list(shape)
    return [fft.next_fast_len(n + lag) for n, lag in zip(shape, reach, strict=True)]


def spectrum(
    mask: NDArray[np.bool_],
    sizes: Sequence[int],
    *,
    mean: float = 0.0,
    precision: type[np.floating[Any]] = np.float32,
) -> Spectrum:
    """Transform of the deviation of a mask from a mean along y and x, zero outside."""
    threads = thread_count()
    kind = np.result_type(precision, np.complex64)
    planes = np.empty((len(mask), sizes[1], sizes[2] // 2 + 1), kind)
    for z in range(0, len(mask), FFT_ROWS):
        some = np.s_[z : z + FFT_ROWS]
        # Without its mean the sums stay small: float32 holds them to 1e-7 of the voxel count.
        along_x = fft.rfft(mask[some] - precision(mean), n=sizes[2], axis=2, workers=threads)
        planes[some] = fft.fft(along_x, n=sizes[1], axis=1, workers=threads, overwrite_x=True)
    return planes


def correlate(
    first: Spectrum, second: Spectrum, sizes: Sequence[int], lags: Sequence[Int64]
) -> Floats:
    """Sum over x of i(x) j(x + r) at the wanted lags r, cyclic in `sizes`, from both `spectrum`.

    One axis at a time, so that padding is transformed only where it is no longer zero, and lags
    that nobody wants are dropped as soon as an axis is back in real space.
    """
    threads = thread_count()
    product = np.empty((len(lags[0]), *first.shape[1:]), first.dtype)
    for y in range(0, sizes[1], FFT_ROWS):
        rows = np.s_[:, y : y + FFT_ROWS]
        lines = fft.fft(first[rows], n=sizes[0], axis=0, workers=threads)
        same = second is first
        other = lines if same else fft.fft(second[rows], n=sizes[0], axis=0, workers=threads)
        lines = fft.ifft(lines.conj() * other, axis=0, workers=threads, overwrite_x=True)
        product[rows] = lines[lags[0]]
    product = fft.ifft(product, axis=1, workers=threads, overwrite_x=True)[:, lags[1]]
    return fft.irfft(product, n=sizes[2], axis=2, workers=threads)[:, :, lags[2]]
