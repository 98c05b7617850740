"""Values of an image that are no phases, but the blur between two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.io.stored import StoredArray
from metrics.volume import MAX_PHASES, InputError, unique_labels

PLANES = 8  # of a volume that are looked at
CORE = 3  # pixels: a square that a phase fills somewhere
REACH = 7  # pixels: a JPEG changes values in blocks of eight
SHARE = 0.95  # of the pixels of blur that lie at a boundary
NUMBERED = 16  # values nearer together are numbers of phases, between which blur adds none


def blurred_values(values: NDArray[Any] | StoredArray, found: Sequence[int]) -> list[int]:
    """Values of a volume (Z, Y, X) of integers that occur only along boundaries between others.

    JPEG, averaging and interpolation leave such values where two phases meet: none fills a square
    of 3 x 3 pixels anywhere, and nearly all their pixels have two phases that do within 7 pixels.
    A single thin value is a phase, as a coating between core and matrix is; so are values of which
    fewer than two others are thick, as in noise.

    Parameters
    ----------
    values : (Z, Y, X) integer ndarray
        Of which up to eight planes normal to z are looked at.
    found : sequence of int
        All values that occur.

    Returns
    -------
    list of int
        Empty where all values are phases.

    Examples
    --------
    >>> edge = np.repeat([0, 0, 0, 0, 64, 191, 255, 255, 255, 255], 10).reshape(1, 10, 10)
    >>> blurred_values(edge, [0, 64, 191, 255])
    [64, 191]
    """
    from scipy.ndimage import maximum_filter

    if len(found) < 4 or found[-1] - found[0] < NUMBERED:
        return []
    planes = _some_planes(values)
    thin = _thin(planes, found)
    thick = [v for v in found if v not in thin]
    if len(thick) < 2 or len(thin) < 2:
        return []
    at_boundary, pixels = 0, 0
    for plane in planes:
        near = sum(maximum_filter(plane == v, 2 * REACH + 1).astype(np.uint8) for v in thick)
        of_thin = near[np.isin(plane, thin)]
        at_boundary += int(np.count_nonzero(of_thin >= 2))
        pixels += of_thin.size
    return thin if at_boundary > SHARE * pixels else []


def check_lossy(values: NDArray[Any]) -> None:
    """Raise `InputError` if a JPEG (Z, Y, X) holds values that its compression added.

    They fill no square of 3 x 3 pixels in any plane; one is enough, as there is no telling how far
    the others were moved.
    """
    found = unique_labels(values)
    if len(found) > MAX_PHASES:
        return  # refused as a grey image
    added = _thin(_some_planes(values), found)
    if added and (added := _thin(values, added)):
        raise InputError(
            f"JPEG has changed the labels, nowhere do the values {', '.join(map(str, added))} fill "
            "3x3 pixels: save the segmentation as PNG or TIFF"
        )


def _some_planes(values: NDArray[Any] | StoredArray) -> list[NDArray[Any]]:
    """Up to eight planes normal to z."""
    count = min(PLANES, len(values))
    return [np.asarray(values[k]) for k in np.linspace(0, len(values) - 1, count).astype(int)]


def _thin(planes: Iterable[NDArray[Any]], found: Sequence[int]) -> list[int]:
    """Values that fill a square in no plane."""
    from scipy.ndimage import binary_erosion

    square = np.ones((CORE, CORE))
    thin = list(found)
    for plane in planes:
        thin = [v for v in thin if not binary_erosion(plane == v, square).any()]
    return thin
