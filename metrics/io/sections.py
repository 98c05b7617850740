"""Segmented 2D images as volumes of one layer, with the same labels for the same phases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.files import one_line
from metrics.io.images import read_image, voxel_size
from metrics.io.labels import label_values
from metrics.volume import Phase, Volume, axis_index, unique_labels


def read_sections(
    files: Mapping[str, Sequence[str]],
    *,
    phases: Mapping[str, int] | None = None,
    spacing: Sequence[float] | float | None = None,
    unit: str | None = None,
) -> dict[str, list[Volume]]:
    """Read segmented images of one material as volumes of one layer, by the axis normal to them.

    Parameters
    ----------
    files : mapping of str to sequence of str
        Paths of the images normal to each axis.
    phases : mapping of str to int, optional
        Name and value in the files of every phase, in label order, also of one that an image lacks;
        by default all values found.
    spacing : (float, float, float) or float, optional
        Edge lengths of a voxel in z, y, x, in `unit`; without them pixels are units.
    unit : str, optional
        Length unit.

    Raises
    ------
    InputError
        If an image cannot be read or shows a phase that is not named.
    """
    size, name = voxel_size(spacing, unit)
    images = {path: read_image(path) for paths in files.values() for path in paths}
    labels, known = label_images(images, phases)
    return {
        axis: [
            Volume(np.expand_dims(labels[path], axis_index(axis)), size, name, known)
            for path in paths
        ]
        for axis, paths in files.items()
    }


def label_images(
    images: Mapping[str, NDArray[Any]], phases: Mapping[str, int] | None
) -> tuple[dict[str, NDArray[Any]], tuple[Phase, ...]]:
    """Labels of every image (H, W) by its name, one numbering for all, and the phases.

    Raises
    ------
    InputError
        If `phases` does not name the values of an image.
    """
    found = [set(unique_labels(image)) for image in images.values()]
    every = sorted(set().union(*found))
    if phases is None and any(values != set(every) for values in found):
        phases = {str(value): value for value in every}  # of one image alone ranks would differ
    labels: dict[str, NDArray[Any]] = {}
    known: tuple[Phase, ...] = ()
    for name, image in images.items():
        with one_line(name, "read", "segment it first"):
            stack, known = label_values(image[np.newaxis], phases, [])
            labels[name] = stack[0]
    return labels, known
