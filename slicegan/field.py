"""The unbounded volume of a seed, and the tiles in which windows of it are evaluated."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import torch
from numpy.typing import NDArray

from metrics.io.images import Kind
from metrics.machine.progress import progress_bar
from metrics.volume import Box, Span
from slicegan.latent import fine_noise, latent_noise
from slicegan.networks import Generator, repeatable

# What the activations of one tile may take: 128 voxels a side for the paper's network.
TILE_BYTES = 2**28
NOISE_BYTES = 12  # a number of latent noise: itself, and the bits and float64 that it is made of


@dataclass(frozen=True, eq=False)
class Field:
    """What decides every voxel: network and noise; and the window of it that is asked for.

    Voxel v of the unbounded volume is in the output of the latent window that starts at site
    ``v // stride``, if that is long enough.
    """

    generator: Generator
    kind: Kind
    seed: int
    index: int
    window: Box
    periods: tuple[int | None, int | None, int | None]
    tile: int | None  # voxels a side, a multiple of the stride; None makes the window one tile

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels of the window along z, y, x."""
        return lengths(self.window)

    @property
    def samples(self) -> tuple[int, ...]:
        """Further dimension of voxels in colour."""
        return (3,) if self.kind == "colour" else ()

    def tiles(self) -> tuple[list[Span], list[Span], list[Span]]:
        """Where tiles begin and end along z, y, x: inside the window they begin at a site."""
        z, y, x = (_cut(span, self.tile, self.generator.stride) for span in self.window)
        return z, y, x

    def sites(self, box: Box) -> Box:
        """Latent sites that the voxels of a box depend on."""
        stride, latent = self.generator.stride, self.generator.latent
        z, y, x = (
            (start // stride, start // stride + latent(stop - start // stride * stride))
            for start, stop in box
        )
        return z, y, x

    def noise(self, sites: Box) -> NDArray[np.float32]:
        """Noise at these sites: (latent channels, z, y, x)."""
        z, y, x = (start for start, _ in sites)
        return latent_noise(
            self.generator.config.latent_channels,
            (z, y, x),
            lengths(sites),
            seed=self.seed,
            index=self.index,
            periods=self.periods,
        )

    def fine_noise(self, sites: Box) -> list[NDArray[np.float32]]:
        """Noise of each hidden layer over these latent sites: (z, y, x)."""
        fields = []
        for level, pitch in enumerate(self.generator.fine_pitches()):
            z, y, x = (pitch * start for start, _ in sites)
            nz, ny, nx = (self.generator.fine_sizes(n)[level] for n in lengths(sites))
            pz, py, px = (period and pitch * period for period in self.periods)
            fields.append(
                fine_noise(
                    level,
                    (z, y, x),
                    (nz, ny, nx),
                    seed=self.seed,
                    index=self.index,
                    periods=(pz, py, px),
                )
            )
        return fields

    def voxels(self, noise: NDArray[np.float32], box: Box) -> NDArray[np.uint8]:
        """Labels or intensities of a box, from the latent noise at its sites."""
        stride = self.generator.stride
        inner = _within(box, [start // stride * stride for start, _ in box])
        weight = next(self.generator.parameters())
        with torch.inference_mode(), repeatable():
            # With channels last, layers on a CPU take two thirds of the time, argmax a seventh.
            latent = torch.from_numpy(noise)[None].to(weight, memory_format=torch.channels_last_3d)
            fine = [
                torch.from_numpy(level)[None, None].to(weight)
                for level in self.fine_noise(self.sites(box))
            ]
            if self.kind == "phases":
                values = self.generator.logits(latent, fine)[0][:, *inner].argmax(0)
            else:
                values = (255 * self.generator(latent, fine)[0][:, *inner]).round()
                values = values[0] if self.kind == "grey" else values.movedim(0, -1)
            voxels: NDArray[np.uint8] = values.to(torch.uint8).cpu().numpy()
        return voxels


def slab_bytes(field: Field) -> int:
    """Bytes that a slab, its latent noise and the activations of a tile take."""
    _, y, x = field.window
    z = max(field.tiles()[0], key=lambda span: span[1] - span[0])
    sites = math.prod(lengths(field.sites((z, y, x))))
    voxels = math.prod(lengths((z, y, x))) * math.prod(field.samples)
    tile = activation_bytes(field.generator, max(lengths((z, y, x)))) if field.tile is None else 0
    channels = field.generator.config.latent_channels
    return voxels + NOISE_BYTES * channels * sites + max(tile, TILE_BYTES)


def slabs(field: Field, *, progress: bool = False) -> Iterator[NDArray[np.uint8]]:
    """Yield the window in slabs one tile high, from z = 0 up."""
    tiles_z, tiles_y, tiles_x = field.tiles()
    _, y, x = field.window
    total = math.prod(field.shape)
    with progress_bar(shown=progress, total=total, unit="voxel", unit_scale=True) as voxels:
        for z in tiles_z:
            whole = (z, y, x)
            sites = field.sites(whole)
            noise = field.noise(sites)
            slab = np.empty((*lengths(whole), *field.samples), np.uint8)
            for box in product([z], tiles_y, tiles_x):
                window = _within(field.sites(box), [start for start, _ in sites])
                target = _within(box, [start for start, _ in whole])
                slab[target] = field.voxels(noise[:, *window], box)
                voxels.update(math.prod(lengths(box)))
            yield slab


def tile_side(generator: Generator) -> int:
    """Largest side of a tile, in steps of the stride, whose activations fit into `TILE_BYTES`."""
    side = generator.stride
    while activation_bytes(generator, side + generator.stride) <= TILE_BYTES:
        side += generator.stride
    return side


def activation_bytes(generator: Generator, side: int) -> int:
    """Most that the activations of a tile take at once: ``4 max_i(a_i + 2 a_(i+1))`` bytes.

    a_i counts the numbers in the output of layer i, of which there are two: before and after
    normalisation, or, of an interpolation, with and without its rim.
    """
    config = generator.config
    resize = config.kind == "resize"
    widths = [config.latent_channels, *config.filters]
    widths.append(config.filters[-1] if resize else config.channels)
    sides = [generator.latent(side)]
    for kernel, stride, padding in config.layers:
        sides.append(stride * (sides[-1] - 1) + kernel - 2 * padding)
    if resize:
        sides.append(2 * sides[-1])
    numbers = [width * n**3 for width, n in zip(widths, sides, strict=True)]
    return 4 * max(before + 2 * after for before, after in pairwise(numbers))


def _cut(span: Span, tile: int | None, stride: int) -> list[Span]:
    """Parts of a span, each at most a tile long; all but the first begin at a site."""
    start, stop = span
    if tile is None:
        return [span]
    first = start // stride * stride
    return list(pairwise([start, *range(first + tile, stop, tile), stop]))


def _within(box: Box, corner: Sequence[int]) -> tuple[slice, ...]:
    """Slices of a box in an array that begins at a corner."""
    return tuple(
        slice(start - first, stop - first) for (start, stop), first in zip(box, corner, strict=True)
    )


def lengths(box: Box) -> tuple[int, int, int]:
    """Extent of a box along z, y, x."""
    z, y, x = (stop - start for start, stop in box)
    return z, y, x
