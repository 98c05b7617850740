"""From grey to phases: thresholds by Otsu's rule, and how much they decide.

Every quantity moves with the thresholds, so that what matters is to segment generated, real and
training images by one rule, and to know how far a fraction would move with another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Float64, Int64
from metrics.files import replacing
from metrics.machine.memory import check_memory
from metrics.report.plots import phase_colours
from metrics.volume import MAX_PHASES, InputError

Grey = NDArray[np.uint8]

WIDEST = 20  # pixels, radius of the median filter
MOST = 5  # classes: the search grows with 256^(classes - 1)
LEVELS = 256
SHIFT = 2  # grey levels
PICTURED = 600  # pixels of a preview along a side, at most
BYTES = 12  # per pixel, of the median filter


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Phases of images by the same thresholds.

    Attributes
    ----------
    thresholds : tuple of int
        A pixel of a grey value up to the first is phase 0, up to the second phase 1, and so on.
    images : list of (H, W) uint8 ndarray
        Grey values that were compared with the thresholds, smoothed if so asked.
    labels : list of (H, W) uint8 ndarray
        Phase of each pixel, the darkest 0.
    fractions : (3, classes) float64 ndarray
        Fraction of each phase with thresholds `SHIFT` lower, as they are, and higher.
    """

    thresholds: tuple[int, ...]
    images: list[Grey]
    labels: list[Grey]
    fractions: Float64

    @property
    def values(self) -> list[int]:
        """Value of each phase in a file: from black to white."""
        steps = len(self.thresholds)
        return [round(255 * k / steps) for k in range(steps + 1)]


def segment(
    images: Sequence[Grey],
    *,
    classes: int | None = None,
    thresholds: Sequence[int] = (),
    smooth: int = 0,
) -> Segmentation:
    r"""Segment grey images by given thresholds, or by multi-Otsu's of all their pixels together.

    Thresholds make the variance between classes largest,

    .. math:: \sigma_B^2 = \sum_k \phi_k (\mu_k - \mu)^2

    with the fraction and the mean grey value of each.

    Parameters
    ----------
    images : sequence of (H, W) uint8 ndarray
        Of one material under one light.
    classes : int, optional
        Phases, 2 to 5, by Otsu's thresholds.
    thresholds : sequence of int
        Ascending, 0 to 254: instead of `classes`.
    smooth : int
        Radius in pixels of a median filter before; 0: none.

    Raises
    ------
    InputError
        If classes, thresholds or the radius are out of range, not one of the first two is given, or
        images have too few grey values.

    References
    ----------
    N. Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979) 62, doi:10.1109/TSMC.1979.4310076; P. Liao, T.
    Chen, P. Chung, J. Inf. Sci. Eng. 17 (2001) 713 (several thresholds).

    Examples
    --------
    >>> dark_and_bright = np.array([[*range(10, 20), *range(200, 210)]], np.uint8)
    >>> found = segment([dark_and_bright], classes=2)
    >>> np.unique(found.labels[0], return_counts=True)[1].tolist(), found.fractions[1].tolist()
    ([10, 10], [0.5, 0.5])
    """
    from skimage.filters import threshold_multiotsu

    if (classes is None) == (not thresholds):
        raise InputError("give either classes or thresholds")
    if classes is not None and not 2 <= classes <= MOST:
        raise InputError(f"classes must be 2 to {MOST}, got {classes}")
    given = list(thresholds)
    if given != sorted(set(given)) or any(not 0 <= one < LEVELS - 1 for one in given):
        raise InputError(f"thresholds must ascend within 0 to {LEVELS - 2}, got {given}")
    smoothed = [_smoothed(image, smooth) for image in images]
    counts = _counts(smoothed)
    present = int(np.count_nonzero(counts))
    if present <= MAX_PHASES:
        raise InputError(f"holds {present} grey values: it is segmented already, or has no greys")
    if classes is not None:
        otsu = threshold_multiotsu(hist=(counts, np.arange(LEVELS)), classes=classes)
        given = [int(threshold) for threshold in otsu]
    below = np.append(0, np.cumsum(counts)) / counts.sum()  # of each level, 0 to 256
    levels = np.array(given) + 1
    shifted = np.clip(levels + np.array((-SHIFT, 0, SHIFT))[:, np.newaxis], 0, LEVELS)
    fractions = np.diff(below[shifted], axis=1, prepend=0.0, append=1.0)
    labels = [np.digitize(image, levels).astype(np.uint8) for image in smoothed]
    return Segmentation(tuple(given), smoothed, labels, fractions)


def _counts(images: Sequence[Grey]) -> Int64:
    """Pixels of each grey value in all images."""
    return np.sum([np.bincount(image.ravel(), minlength=LEVELS) for image in images], axis=0)


def _smoothed(image: Grey, radius: int) -> Grey:
    from scipy.ndimage import median_filter

    if not 0 <= radius <= WIDEST:
        raise InputError(f"smooth must be 0 to {WIDEST} pixels, got {radius}")
    if not radius:
        return image
    check_memory(BYTES * image.size, remedy="crop it")
    smooth: Grey = median_filter(image, size=2 * radius + 1)
    return smooth


def write_image(found: Segmentation, index: int, path: Path) -> None:
    """Write the phases of an image as a PNG or TIFF of the segmentation's values."""
    from PIL import Image

    with replacing(path) as temporary:
        picture = Image.fromarray(np.array(found.values, np.uint8)[found.labels[index]])
        picture.save(temporary, format="PNG" if path.suffix.lower() == ".png" else "TIFF")


def write_preview(found: Segmentation, index: int, path: Path) -> None:
    """Picture an image, its phases, and the grey values of all images with the thresholds."""
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    image, labels = found.images[index], found.labels[index]
    step = -(-max(image.shape) // PICTURED)
    figure = Figure(figsize=(13, 4), dpi=100, layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    left.imshow(image[::step, ::step], cmap="grey", vmin=0, vmax=LEVELS - 1)
    left.set_title("grey values")
    classes = len(found.values)
    colours = phase_colours(classes)
    middle.imshow(
        labels[::step, ::step], cmap=ListedColormap(list(colours)), vmin=-0.5, vmax=classes - 0.5,
        interpolation="nearest",
    )  # fmt: skip
    middle.set_title("phases")
    for axes in (left, middle):
        axes.set_axis_off()
    counts = _counts(found.images)
    edges = (0, *(threshold + 1 for threshold in found.thresholds), LEVELS)
    for k, colour in enumerate(colours):
        span = np.arange(edges[k], edges[k + 1])
        label = f"value {found.values[k]}: {found.fractions[1, k]:.1%}"
        right.bar(span, counts[span], width=1.0, color=colour, label=label)
    of = f"pixels of {len(found.images)} images" if len(found.images) > 1 else "pixels"
    right.set(xlabel="grey value", ylabel=of, xlim=(0, LEVELS - 1))
    right.legend(frameon=False)
    for side in ("top", "right"):
        right.spines[side].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
