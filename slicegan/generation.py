"""Volumes of any size from a trained generator: whole, periodic, or slab by slab into a file."""

from __future__ import annotations

import copy
import operator
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from metrics.diffusivity import check_device
from metrics.io import write_slices
from metrics.volume import AXES, InputError, Phase, Volume, periodic_axes
from slicegan.checkpoint import Model, load_model
from slicegan.config import Kind
from slicegan.latent import latent_noise
from slicegan.networks import Generator, admissible

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]  # from, to along z, y, x

# What the activations of one tile may take. Larger tiles are no faster, on a CPU even slower.
TILE_BYTES = 2**27
GREY = tuple(Phase(str(level), level, level) for level in range(256))


def generate(
    model: Model | str | os.PathLike[str],
    size: int | Sequence[int],
    *,
    seed: int = 0,
    count: int = 1,
    origin: Sequence[int] = (0, 0, 0),
    periodic: bool | str = "",
    device: str | None = None,
    progress: bool = False,
) -> Any:
    """Generate a volume, or several.

    Each seed has an unbounded volume, of which this is the window that starts at `origin`: windows
    of one seed agree wherever they overlap, up to ties between phases that are equally likely to
    1e-5. It is evaluated tile by tile: beside the result, memory is needed for one tile.

    Parameters
    ----------
    model : Model, path or str
        A model, its file or run folder, or the name of a shipped one.
    size : int or (int, int, int)
        Voxels along z, y, x.
    seed : int
        The same seed gives the same volume on the same device, whatever was generated before.
    count : int
        Volumes, independent of each other.
    origin : (int, int, int)
        First voxel of the window along z, y, x; may be negative.
    periodic : str or bool
        Axes, such as ``"zyx"``, along which the volume continues in itself without a seam. Its
        size must there be a multiple of ``generator.stride``.
    device : str, optional
        Such as ``"cuda"``; by default where the generator is.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Volume, or (Z, Y, X) or (Z, Y, X, 3) uint8 ndarray
        Labels with phases, spacing and unit of the training images; an array for a grey or colour
        material. A list of them if `count` is above 1.

    Raises
    ------
    InputError
        If an argument is out of range, the device is not there, or the generator makes only whole
        volumes (a converted one, whose voxels and latent sites do not keep step) and `origin` or
        `periodic` ask for more.
    """
    if count < 1:
        raise InputError(f"count must be at least 1, got {count}")
    model = model if isinstance(model, Model) else load_model(model)
    volumes = [
        _whole(_field(model, size, seed, index, origin, periodic, device), progress)
        for index in range(count)
    ]
    if model.material.kind == "phases":
        material = model.material
        volumes = [
            Volume(labels, material.spacing, material.unit, material.phases) for labels in volumes
        ]
    return volumes if count > 1 else volumes[0]


def stream(
    model: Model | str | os.PathLike[str],
    path: str | os.PathLike[str],
    size: int | Sequence[int],
    *,
    seed: int = 0,
    index: int = 0,
    origin: Sequence[int] = (0, 0, 0),
    periodic: bool | str = "",
    device: str | None = None,
    progress: bool = False,
) -> None:
    """Generate volume number `index` of a seed into a file, one slab of tiles at a time.

    The file holds what `metrics.write` would make of ``generate(...)``, bit for bit, but never more
    than a slab is in memory. It appears once it is complete.

    Parameters
    ----------
    model, size, seed, origin, periodic, device, progress
        As for `generate`.
    path : path
        ``.tif`` (a BigTIFF above 4 GB), ``.npy`` or another that `metrics.write` knows.
    index : int
        Number of the volume among those of a seed, from 0.

    Raises
    ------
    InputError
        As `generate`; also if the material is in colour, or the file cannot be written.
    """
    model = model if isinstance(model, Model) else load_model(model)
    material = model.material
    if material.kind == "colour":
        raise InputError("a volume in colour cannot be streamed: generate it as a whole")
    field = _field(model, size, seed, index, origin, periodic, device)
    write_slices(
        (image for slab in _slabs(field, progress) for image in slab),
        path,
        shape=field.shape,
        phases=material.phases or GREY,
        spacing=material.spacing,
        unit=material.unit,
    )


@dataclass(frozen=True, eq=False)
class _Field:
    """What decides every voxel: network and noise; and the window of it that is asked for.

    Voxel v of the unbounded volume is in the output of any latent window from site
    floor(v / stride) on, if that is long enough.
    """

    generator: Generator
    kind: Kind
    seed: int
    index: int
    window: Box
    periods: tuple[int | None, int | None, int | None]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels of the window along z, y, x."""
        z, y, x = (stop - start for start, stop in self.window)
        return z, y, x

    def sites(self, box: Box) -> Box:
        """Latent sites that the voxels of a box depend on."""
        stride = self.generator.stride
        first = [start // stride for start, _ in box]
        z, y, x = (
            (site, site + self.generator.latent(stop - site * stride))
            for site, (_, stop) in zip(first, box, strict=True)
        )
        return z, y, x

    def noise(self, sites: Box) -> NDArray[np.float32]:
        """Noise at these sites."""
        z, y, x = (start for start, _ in sites)
        depth, height, width = (stop - start for start, stop in sites)
        return latent_noise(
            self.generator.config.latent_channels,
            (z, y, x),
            (depth, height, width),
            seed=self.seed,
            index=self.index,
            periods=self.periods,
        )

    def voxels(self, noise: NDArray[np.float32], box: Box) -> NDArray[np.uint8]:
        """Labels or intensities of a box, from the noise at its sites."""
        inner = _within(
            box, [start // self.generator.stride * self.generator.stride for start, _ in box]
        )
        device = next(self.generator.parameters()).device
        # The fastest algorithms of cuDNN differ from run to run, and TF32 from tile to tile.
        exact = torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            latent = torch.from_numpy(noise)[None].to(device)
            if self.kind == "phases":
                values = self.generator.logits(latent)[0][:, *inner].argmax(0)
            else:
                values = (255 * self.generator(latent)[0][:, *inner]).round().movedim(0, -1)
            voxels: NDArray[np.uint8] = values.to(torch.uint8).cpu().numpy()
        return voxels[..., 0] if self.kind == "grey" else voxels
