"""From grey to phases: thresholds by Otsu's rule, and how much they decide.

Every quantity moves with the thresholds, so that what matters is to segment generated, real and
training images by one rule, and to know how far a fraction would move with another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metrics.arrays import Float64, Int64
from metrics.files import replacing
from metrics.io.greys import UNKNOWN, Grey, VoxelSize
from metrics.io.volumes import write
from metrics.machine.memory import check_memory
from metrics.report.plots import phase_colours
from metrics.volume import MAX_PHASES, InputError, Phase, Volume

WIDEST = {2: 20, 3: 5}  # pixels, radius of the median filter of images and of volumes
MOST = 5  # classes: the search grows with 256^(classes - 1)
LEVELS = 256
SHIFT = 2  # grey levels
PICTURED = 600  # pixels of a preview along a side, at most
BYTES = 12  # per pixel, of the median filter


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Phases of images, or of volumes, by the same thresholds.

    Attributes
    ----------
    thresholds : tuple of int
        A pixel of a grey value up to the first is phase 0, up to the second phase 1, and so on.
    images : list of (H, W) or (Z, Y, X) uint8 ndarray
        Grey values that were compared with the thresholds, smoothed if so asked.
    labels : list of uint8 ndarray
        Phase of each pixel or voxel, the darkest 0.
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
    r"""Segment grey images or volumes by given thresholds, or by multi-Otsu's of all their pixels.

    Thresholds make the variance between classes largest,

    .. math:: \sigma_B^2 = \sum_k \phi_k (\mu_k - \mu)^2

    with the fraction and the mean grey value of each.

    Parameters
    ----------
    images : sequence of (H, W) or (Z, Y, X) uint8 ndarray
        Of one material under one light.
    classes : int, optional
        Phases, 2 to 5, by Otsu's thresholds.
    thresholds : sequence of int
        Ascending, 0 to 254: instead of `classes`.
    smooth : int
        Radius in pixels of a median filter before; 0: none. It erases what is thinner than itself.

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
    for number, image in enumerate(images, 1):
        present = int(np.count_nonzero(_counts([image])))
        if present <= MAX_PHASES:
            which = f"image {number} " if len(images) > 1 else ""
            raise InputError(
                f"{which}holds {present} grey values: it is segmented already, or has no greys. "
                "Use it as it is, or give a grey image"
            )
    smoothed = [_smoothed(image, smooth) for image in images]
    counts = _counts(smoothed)
    left = int(np.count_nonzero(counts))
    if classes is not None and left < classes:
        raise InputError(f"only {left} grey values are left after smooth={smooth}: smooth less")
    if classes is not None:
        otsu = threshold_multiotsu(hist=(counts, np.arange(LEVELS)), classes=classes)
        given = [int(threshold) for threshold in otsu]
    below = np.append(0, np.cumsum(counts)) / counts.sum()  # of each level, 0 to 256
    levels = np.array(given) + 1
    shifted = np.clip(levels + np.array((-SHIFT, 0, SHIFT))[:, np.newaxis], 0, LEVELS)
    fractions = np.diff(below[shifted], axis=1, prepend=0.0, append=1.0)
    table = np.digitize(np.arange(LEVELS), levels).astype(np.uint8)
    labels = [_looked_up(image, table) for image in smoothed]
    return Segmentation(tuple(given), smoothed, labels, fractions)


def _counts(images: Sequence[Grey]) -> Int64:
    """Pixels of each grey value in all images."""
    rows = (row for image in images for row in image)  # or layers: counting takes 8 bytes a pixel
    return np.sum([np.bincount(row.ravel(), minlength=LEVELS) for row in rows], axis=0)


def _looked_up(image: Grey, table: Grey) -> Grey:
    """What the table says of each grey value."""
    found = np.empty_like(image)
    for row, target in zip(image, found, strict=True):
        target[...] = table[row]
    return found


def _smoothed(image: Grey, radius: int) -> Grey:
    from scipy.ndimage import median_filter

    widest = WIDEST[image.ndim]
    if not 0 <= radius <= widest:
        raise InputError(f"smooth must be 0 to {widest} pixels, got {radius}")
    if not radius:
        return image
    check_memory(BYTES * image.size, remedy="crop it")
    smooth: Grey = median_filter(image, size=2 * radius + 1)
    return smooth


def write_phases(found: Segmentation, index: int, path: Path, voxels: VoxelSize = UNKNOWN) -> None:
    """Write the values of phases: of an image as PNG or TIFF, of a volume as `metrics.write`."""
    from PIL import Image

    labels = found.labels[index]
    if labels.ndim == 3:
        phases = tuple(Phase(str(value), k, value) for k, value in enumerate(found.values))
        write(Volume(labels, *voxels, phases), path)
        return
    with replacing(path) as temporary:
        picture = Image.fromarray(np.array(found.values, np.uint8)[labels])
        picture.save(temporary, format="PNG" if path.suffix.lower() == ".png" else "TIFF")


def write_preview(found: Segmentation, index: int, path: Path) -> None:
    """Picture an image, its phases, and the grey values of all images with the thresholds.

    Of a volume the middle layer.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    image, labels = found.images[index], found.labels[index]
    deep = image.ndim == 3
    of_layer = f", z = {len(image) // 2}" if deep else ""
    if deep:
        image, labels = image[len(image) // 2], labels[len(image) // 2]
    step = -(-max(image.shape) // PICTURED)
    figure = Figure(figsize=(13, 4), dpi=100, layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    left.imshow(image[::step, ::step], cmap="grey", vmin=0, vmax=LEVELS - 1)
    left.set_title(f"grey values{of_layer}")
    classes = len(found.values)
    colours = phase_colours(classes)
    middle.imshow(
        labels[::step, ::step], cmap=ListedColormap(list(colours)), vmin=-0.5, vmax=classes - 0.5,
        interpolation="nearest",
    )  # fmt: skip
    middle.set_title(f"phases{of_layer}")
    for axes in (left, middle):
        axes.set_axis_off()
    counts = _counts(found.images)
    edges = (0, *(threshold + 1 for threshold in found.thresholds), LEVELS)
    for k, colour in enumerate(colours):
        span = np.arange(edges[k], edges[k + 1])
        label = f"value {found.values[k]}: {found.fractions[1, k]:.1%}"
        right.bar(span, counts[span], width=1.0, color=colour, label=label)
    of, many = ("voxels", "volumes") if deep else ("pixels", "images")
    of = f"{of} of {len(found.images)} {many}" if len(found.images) > 1 else of
    right.set(xlabel="grey value", ylabel=of, xlim=(0, LEVELS - 1))
    right.legend(frameon=False)
    for side in ("top", "right"):
        right.spines[side].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
