"""Volume fractions of a generator, set to those of its training images.

The fraction of an isotropic material is that of its sections, whatever its structure: the images
say it exactly, as far as they are representative. Adversarial training leaves it a percent or two
off, differently at every step. One number for each phase, added to the logits, sets it right: the
boundaries move a little, by the same rule everywhere, so tiles still agree with the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray

from metrics.progress import progress_bar
from metrics.volume import InputError
from slicegan.checkpoint import COUNTER, Model, assemble
from slicegan.data import TrainingData

LATENT_SIZE = 4
SHARE = 8  # one voxel of so many is looked at at most: neighbours say nearly the same
VOXELS = 2**22  # looked at in all, at most: they say the fractions to .0003, in 100 MB
PASSES = 50
EXACT = 1e-5


def calibrate(
    model: Model,
    fractions: Sequence[float],
    *,
    volumes: int,
    seed: int = 0,
    progress: bool = False,
) -> Model:
    """Model whose volumes have these fractions on average.

    Parameters
    ----------
    model : Model
        Of phases; in eval mode, on any device.
    fractions : sequence of float
        Wanted fraction of each phase, in label order.
    volumes : int
        Generated to measure them: their mean is what is set. With 64 of 64^3 voxels whose
        fractions have a deviation of 0.05 it is known to 0.006, with 2048 to 0.0011.
    seed : int
        Of their noise, which is not that of `generate`.
    progress : bool
        Show a progress bar.

    Raises
    ------
    InputError
        If the model is of intensities, or the fractions are not those of its phases.
    """
    if model.material.kind != "phases":
        raise InputError(f"a {model.material.kind} model has no volume fractions to set")
    wanted = np.asarray(fractions, float)
    if len(wanted) != model.material.channels or abs(wanted.sum() - 1) > 1e-6 or min(wanted) <= 0:
        raise InputError(f"expected a positive fraction for each phase, got {tuple(fractions)}")
    config = replace(model.generator.config, calibrated=True)
    state = model.generator.state_dict()
    weights = {name: tensor for name, tensor in state.items() if not name.endswith(COUNTER)}
    before = weights.get("offset", torch.zeros(len(wanted)))
    moved = offsets(_logits(model, volumes, seed, progress), wanted)
    generator = assemble(config, weights | {"offset": before.cpu() + torch.from_numpy(moved)})
    return replace(model, generator=generator.to(next(model.generator.parameters()).device))


def offsets(logits: NDArray[np.float32], wanted: NDArray[np.float64]) -> NDArray[np.float32]:
    """What to add to the logits of each phase for these shares of largest ones.

    Parameters
    ----------
    logits : (phases, N) ndarray
    wanted : (phases,) ndarray
        Positive, of sum 1.

    Examples
    --------
    >>> logits = np.array([[0, 0, 0, 0], [1, 2, 3, -1]], np.float32)
    >>> shifted = logits + offsets(logits, np.array([0.5, 0.5]))[:, None]
    >>> shifted.argmax(0).tolist()
    [0, 1, 1, 0]
    """
    moved = np.zeros((len(wanted), 1), np.float32)
    for _ in range(PASSES):
        # One phase after the other gets its share exactly, at the cost of the others.
        for k, share in enumerate(wanted):
            rows = (logits[j] + moved[j] for j in range(len(wanted)) if j != k)
            others = reduce(np.maximum, rows)
            moved[k] += np.quantile(others - logits[k] - moved[k], share)
        largest = (logits + moved).argmax(axis=0)
        found = np.bincount(largest, minlength=len(wanted)) / largest.size
        if abs(found - wanted).max() < EXACT:
            break
    return (moved - moved.mean())[:, 0]


def image_fractions(data: TrainingData) -> list[float]:
    """Fraction of each phase: the mean over axes, all pixels of an axis' images counting alike."""
    shares = np.zeros(data.material.channels)
    for source in data.sources:
        labels = np.concatenate([image.cpu().numpy().ravel() for image in source.images])
        found = np.bincount(labels, minlength=len(shares)) / labels.size
        shares += len(source.axes) * found
    return (shares / shares.sum()).tolist()


def _logits(model: Model, volumes: int, seed: int, progress: bool) -> NDArray[np.float32]:
    """Logits of voxels of some volumes: (phases, N).

    At random places: a lattice of them would see some elements of the kernels more than others.
    """
    generator = model.generator
    weight = next(generator.parameters())
    random = torch.Generator(weight.device).manual_seed(seed)
    shape = (1, generator.config.latent_channels, *(LATENT_SIZE,) * 3)
    parts = []
    with torch.inference_mode():
        for _ in progress_bar(
            range(volumes), shown=progress, desc="fractions", unit="volume", leave=False
        ):
            noise = torch.randn(shape, generator=random, device=weight.device, dtype=weight.dtype)
            fine = [
                torch.randn((1, 1, *(n,) * 3), generator=random, device=weight.device).to(weight)
                for n in generator.fine_sizes(LATENT_SIZE)
            ]
            latent = noise.to(memory_format=torch.channels_last_3d)
            logits = generator.logits(latent, fine)[0].flatten(1)
            count = logits.shape[1]
            looked_at = (min(count // SHARE, VOXELS // volumes),)
            chosen = torch.randint(count, looked_at, generator=random, device=weight.device)
            parts.append(logits[:, chosen].float().cpu().numpy())
    return np.concatenate(parts, axis=1)
