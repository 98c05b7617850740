"""Read training data: real slices for each critic, and where they came from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metrics.io.images import (
    Kind,
    check_kind,
    is_volume,
    read_image,
    read_pages,
    voxel_size,
)
from metrics.io.labels import original_values
from metrics.io.sections import label_images
from metrics.io.volumes import read, split_path
from metrics.volume import AXES, InputError, Phase, axis_index, unique_labels
from slicegan.config import Material
from slicegan.sources import PLANES, Axes, Source, slices
from slicegan.targets import Target, targets_of

FilePath = str | os.PathLike[str]
# Files of one isotropic material (or one volume), or the files of each axis.
Images = FilePath | Sequence[FilePath] | Mapping[str, FilePath | Sequence[FilePath]]
Stacks = dict[Axes, tuple[Tensor, ...]]


@dataclass(frozen=True)
class TrainingFile:
    """A file learnt from: its path, its SHA-256, the axes normal to its slices.

    `images` is the number of stacks that each source of these axes has of it.
    """

    path: str
    sha256: str
    axes: Axes
    images: int = 1


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Real slices of a material: one source for each critic, the files they came from, targets."""

    material: Material
    sources: tuple[Source, ...]
    isotropic: bool
    files: tuple[TrainingFile, ...]
    targets: tuple[Target, ...] = ()

    def to(self, device: torch.device | str) -> TrainingData:
        """The same data on a device."""
        return replace(self, sources=tuple(source.to(device) for source in self.sources))


def load_training_data(
    images: Images,
    *,
    kind: Kind = "phases",
    phases: Mapping[str, int] | None = None,
    spacing: Sequence[float] | float | None = None,
    unit: str | None = None,
    isotropic: bool | None = None,
    flips: str = "",
    pages: bool = False,
    targets: Mapping[str, float] | None = None,
) -> TrainingData:
    """Read what a generator learns from; axes with the same files share a source.

    Parameters
    ----------
    images : paths, or mapping of axis to paths
        2D images of one isotropic material; or one 3D segmented volume (anything that
        `metrics.read` reads); or 2D images for each of the axes ``"z"``, ``"y"``, ``"x"``, normal
        to the axis and laid out as in `PLANES`.
    kind : {"phases", "grey", "colour"}
        What the pixels mean.
    phases : mapping of str to int, optional
        Name and value in the files of every phase, in label order.
    spacing : (float, float, float) or float, optional
        Edge lengths of a voxel in z, y, x, in `unit`.
    unit : str, optional
        Length unit.
    isotropic : bool, optional
        Whether one critic learns all axes from all slices, turned and reflected at random. By
        default a volume and axes with different files are not; 2D images alone always are.
    flips : str
        Axes along which an anisotropic material is its own mirror image, e.g. ``"yx"``: slices
        are flipped along these at random. A direction of a shared image is flipped if any of the
        axes it shows is named.
    pages : bool
        Whether the pages of a TIFF are 2D images of their own, not slices of a volume.
    targets : mapping of str to float, optional
        Measured D_eff/D_0 by ``"effective_diffusivity:PHASE"``; where the axes differ by
        ``"effective_diffusivity:PHASE:AXIS"`` (`slicegan.targets`).

    Returns
    -------
    TrainingData
        On the CPU.

    Raises
    ------
    InputError
        If a file cannot be used, images differ in their phases, or options contradict.
    """
    check_kind(kind)
    for axis in flips:
        axis_index(axis)
    if phases is not None and kind != "phases":
        raise InputError(f"phases= does not apply to {kind} images: leave it out")
    paths = [] if isinstance(images, Mapping) else _paths(images)
    if len(paths) == 1 and not pages and is_volume(paths[0], kind=kind):
        if kind != "phases":
            raise InputError(f"{paths[0]}: a {kind} volume: give 2D images of it, for each axis")
        material, stacks = _from_volume(paths[0], phases, spacing, unit, isotropic)
        pooled = len(AXES) if isotropic else 1
        files = [TrainingFile(paths[0], sha256_of(paths[0]), AXES, pooled)]
    else:
        groups: dict[Axes, list[str]] = (
            _per_axis(images) if isinstance(images, Mapping) else {AXES: paths}
        )
        if isotropic is False and not isinstance(images, Mapping):
            raise InputError("2D images alone can only be isotropic: else name those of each axis")
        if isotropic and len(groups) > 1:
            raise InputError("axes of an isotropic material share all images: give one list")
        isotropic = len(groups) == 1 if isotropic is None else isotropic
        every = dict.fromkeys(path for paths in groups.values() for path in paths)
        named = {path: _images(path, kind, pages=pages) for path in every}
        material, stacks = _from_images(groups, named, kind, phases, voxel_size(spacing, unit))
        digests = {path: sha256_of(path) for path in every}
        files = [
            TrainingFile(path, digests[path], axes, len(named[path]))
            for axes in groups
            for path in groups[axes]
        ]
    if kind == "phases":
        original_values(material.phases)  # that generated volumes can be written
    if isotropic and flips:
        raise InputError("an isotropic material is flipped along all axes: leave flips out")
    for axes in stacks:
        _check_pixels(axes, material.spacing)
    sources = tuple(
        Source(axes, stack, material.channels, bool(isotropic), _flips(axes, flips))
        for axes, stack in stacks.items()
    )
    aims = targets_of(targets or {}, material, isotropic=bool(isotropic))
    return TrainingData(material, sources, bool(isotropic), tuple(files), aims)


def _from_volume(
    path: str,
    phases: Mapping[str, int] | None,
    spacing: Sequence[float] | float | None,
    unit: str | None,
    isotropic: bool | None,
) -> tuple[Material, Stacks]:
    """Slices of a volume along each axis: apart, or pooled if it is isotropic."""
    volume = read(path, phases=phases, spacing=spacing, unit=unit)
    _check_complete(volume.phases, {path: unique_labels(volume.labels)}, "label")
    labels = torch.from_numpy(np.array(volume.labels, dtype=np.uint8))
    each = {axis: slices(labels[None, None], axis)[0, :, 0] for axis in AXES}
    stacks: Stacks = {(axis,): (stack,) for axis, stack in each.items()}
    if isotropic:
        stacks = {AXES: tuple(each.values())}
    return Material("phases", volume.phases, volume.spacing, volume.unit), stacks


def _images(path: str, kind: Kind, *, pages: bool) -> dict[str, NDArray[Any]]:
    """Images of a file by what messages call them."""
    images = read_pages(path, kind=kind) if pages else [read_image(path, kind=kind)]
    if len(images) == 1:
        return {path: images[0]}
    return {f"{path} page {k}": image for k, image in enumerate(images, 1)}


def _from_images(
    groups: Mapping[Axes, list[str]],
    of_files: Mapping[str, Mapping[str, NDArray[Any]]],
    kind: Kind,
    phases: Mapping[str, int] | None,
    scale: tuple[tuple[float, float, float], str],
) -> tuple[Material, Stacks]:
    """Each image as a stack of one slice."""
    images = {name: image for some in of_files.values() for name, image in some.items()}
    named: tuple[Phase, ...] = ()
    if kind == "phases":
        found = {name: unique_labels(image) for name, image in images.items()}
        _check_alike(found)
        images, named = label_images(images, phases)
        _check_complete(named, found, "value")
    elif kind == "grey":
        images = {path: image[..., np.newaxis] for path, image in images.items()}
    stacks = {
        axes: tuple(
            torch.from_numpy(np.ascontiguousarray(images[name]))[None]
            for path in paths
            for name in of_files[path]
        )
        for axes, paths in groups.items()
    }
    return Material(kind, named, *scale), stacks


def _check_alike(found: Mapping[str, Sequence[int]]) -> None:
    """Raise `InputError` unless all images show the same values."""
    for (path, values), (other, others) in product(found.items(), repeat=2):
        if missing := sorted(set(others) - set(values)):
            raise InputError(
                f"phase {missing[0]} of {other} is missing in {path}: "
                "segment both with the same phases"
            )


def _check_complete(phases: Iterable[Phase], found: Mapping[str, list[int]], key: str) -> None:
    """Raise `InputError` unless every file shows every phase; nothing could be learnt of others."""
    for (path, values), phase in product(found.items(), phases):
        if getattr(phase, key) not in values:
            raise InputError(
                f"{path}: phase {phase.name!r} (value {phase.value}) has no pixel in it: "
                "name only the phases that it shows with phases="
            )


def _paths(files: FilePath | Sequence[FilePath]) -> list[str]:
    """Paths from one or several; at least one."""
    if isinstance(files, str | os.PathLike):
        files = [files]
    if not files:
        raise InputError("no image: give at least one")
    return [os.fspath(file) for file in files]


def _per_axis(images: Mapping[str, FilePath | Sequence[FilePath]]) -> dict[Axes, list[str]]:
    """Files by the axes that have them in common."""
    for axis in images:
        axis_index(axis)
    if missing := [axis for axis in AXES if axis not in images]:
        raise InputError(f"no image for axis {', '.join(missing)}: name those of z, y and x")
    groups: dict[tuple[str, ...], tuple[Axes, list[str]]] = {}
    for axis in AXES:
        paths = _paths(images[axis])
        key = tuple(sorted(os.path.realpath(path) for path in paths))
        axes, first = groups.get(key, ((), paths))
        groups[key] = ((*axes, axis), first)
    return dict(groups.values())


def _check_pixels(axes: Axes, spacing: tuple[float, float, float]) -> None:
    """Raise `InputError` unless pixels of slices normal to these axes have the same edges."""
    edges = {tuple(spacing[axis_index(name)] for name in PLANES[axis]) for axis in axes}
    if len(edges) > 1:
        raise InputError(
            f"axes {', '.join(axes)} share images, but a spacing of {spacing} gives their pixels "
            "different edges: resample to equal edges, or give each axis its own images"
        )


def _flips(axes: Axes, flips: str) -> tuple[bool, bool]:
    """Whether rows and columns of slices normal to these axes may be reversed."""
    rows, columns = (any(PLANES[axis][side] in flips for axis in axes) for side in (0, 1))
    return rows, columns


def sha256_of(path: FilePath) -> str:
    """SHA-256 of a file, or of all files in a folder in the order of their paths."""
    location, _ = split_path(path)
    files = sorted(location.rglob("*")) if location.is_dir() else [location]
    digest = hashlib.sha256()
    for file in filter(Path.is_file, files):
        digest.update(file.read_bytes())
    return digest.hexdigest()
