"""Volume fractions of a generator, set to those of its training images.

The fraction of an isotropic material is that of its sections, whatever its structure: the images
say it exactly, as far as they are representative. Adversarial training leaves it a percent or two
off, differently at every step. One number for each phase, added to the logits, sets it right: the
boundaries move a little, by the same rule everywhere, so tiles still agree with the whole.

In a generator with a lattice (`slicegan.places`), as those of the original SliceGAN have, one
number for each phase and place gives every place the fraction of the whole. It is no cure of what
else differs from place to place, the texture; training is (`slicegan.losses.PlacePenalty`). What
training leaves is a wave as long as the stride, which a few numbers take off (`waves`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metrics.machine.memory import check_memory
from metrics.machine.progress import progress_bar
from metrics.volume import InputError
from slicegan.checkpoint import COUNTER, Model, assemble
from slicegan.data import TrainingData
from slicegan.networks import repeatable

LATENT_SIZE = 4
SHARE = 8  # one voxel of so many is looked at at most: neighbours say nearly the same
VOXELS = 2**22  # looked at in all, at most: they say the fractions to .0003, in 100 MB
AT_A_PLACE = 2**14  # likewise, at each of several places: they say .15 to .003
WAVE = 8  # places along the longest wave, of as many voxels as the stride
PASSES = 50
SETTLED = 1e-6  # of an offset in a pass
EXACT = 1e-5


def calibrate(
    model: Model,
    fractions: Sequence[float],
    *,
    volumes: int,
    places: int = 1,
    pitch: int = 1,
    seed: int = 0,
    progress: bool = False,
) -> Model:
    """Model whose volumes have these fractions on average, at every place if so asked.

    Parameters
    ----------
    model : Model
        Of phases; in eval mode, on any device.
    fractions : sequence of float
        Wanted fraction of each phase, in label order.
    volumes : int
        Generated to measure them: their mean is what is set. With 64 of 64^3 voxels whose
        fractions have a deviation of 0.05 it is known to 0.006, with 2048 to 0.0011.
    places, pitch : int
        1 and 1 set the fractions of the whole; n and 1 those at each of n^3 places, after which
        they repeat, and n and p those in each of n^3 cubes of p^3 voxels, n p being a divisor of
        the generator's stride. With 256 volumes the fraction .15 of a phase is set to 2 % of itself
        at each of 16^3 places of one voxel. Of larger ones the numbers are smoothed to the longest
        wave, which leaves 7 % of it if `places` is 8, and little noise.
    seed : int
        Of their noise, which is not that of `generate`.
    progress : bool
        Show a progress bar.

    Raises
    ------
    InputError
        If the model is of intensities, the fractions are not those of its phases, or `places`
        times `pitch` does not divide the stride.
    """
    if model.material.kind != "phases":
        raise InputError(f"a {model.material.kind} model has no volume fractions to set")
    wanted = np.asarray(fractions, float)
    if len(wanted) != model.material.channels or abs(wanted.sum() - 1) > 1e-6 or min(wanted) <= 0:
        raise InputError(f"expected a positive fraction for each phase, got {tuple(fractions)}")
    given = model.generator.config
    held = given.places, given.pitch
    if places > 1 and held not in ((1, 1), (places, pitch)):
        raise InputError(
            f"its fractions are set at {given.places}^3 places, {given.pitch} voxels apart: set "
            "them at those"
        )
    logits = _logits(model, volumes, places, pitch, seed, progress)
    # Part by part: sorting takes several times the bytes of what it sorts.
    parts = (part.astype(np.float32) for part in np.array_split(logits, places, axis=1))
    found = np.concatenate([offsets(part, wanted) for part in parts], axis=1)
    moved = found.reshape(-1, *[places] * 3)
    if pitch > 1:
        moved = _longest_wave(moved)
        # Smoothed numbers no longer set the fractions of the whole exactly.
        whole = (logits + moved.reshape(len(wanted), -1, 1)).reshape(len(wanted), 1, -1)
        moved += offsets(whole.astype(np.float32), wanted).reshape(-1, 1, 1, 1)
    of_both = (places, pitch) if places > 1 else held
    config = replace(given, calibrated=True, places=of_both[0], pitch=of_both[1])
    state = model.generator.state_dict()
    weights = {name: tensor for name, tensor in state.items() if not name.endswith(COUNTER)}
    before = weights.get("offset", torch.zeros(len(wanted))).cpu()
    total = before.reshape(-1, *[given.places] * 3) + torch.from_numpy(moved)
    offset = total.flatten() if config.places == 1 else total
    generator = assemble(config, weights | {"offset": offset})
    return replace(model, generator=generator.to(next(model.generator.parameters()).device))


def offsets(logits: NDArray[np.float32], wanted: NDArray[np.float64]) -> NDArray[np.float32]:
    """What to add to the logits of each phase for these shares of largest ones.

    Parameters
    ----------
    logits : (phases, ..., N) ndarray
    wanted : (phases,) ndarray
        Positive, of sum 1.

    Returns
    -------
    (phases, ...) ndarray
        Of mean 0 over phases.

    Examples
    --------
    >>> logits = np.array([[0, 0, 0, 0], [1, 2, 3, -1]], np.float32)
    >>> shifted = logits + offsets(logits, np.array([0.5, 0.5]))[:, None]
    >>> shifted.argmax(0).tolist()
    [0, 1, 1, 0]
    """
    moved = np.zeros((*logits.shape[:-1], 1), np.float32)
    for _ in range(PASSES):
        before = moved.copy()
        # One phase after the other gets its share exactly, at the cost of the others.
        for k, share in enumerate(wanted):
            rows = (logits[j] + moved[j] for j in range(len(wanted)) if j != k)
            others = reduce(np.maximum, rows)
            moved[k, ..., 0] += np.quantile(others - logits[k] - moved[k], share, axis=-1)
        moved -= moved.mean(axis=0)
        largest = (logits + moved).argmax(axis=0)
        found = np.stack([(largest == k).mean(axis=-1) for k in range(len(wanted))], axis=-1)
        reached = abs(found - wanted).max() < max(EXACT, 1 / logits.shape[-1])
        # Of logits rounded to 16 bits many are equal: shares then settle near to what is wanted.
        if reached or abs(moved - before).max() < SETTLED:
            break
    return moved[..., 0]


def image_fractions(data: TrainingData) -> list[float]:
    """Fraction of each phase: the mean over axes, all pixels of an axis' images counting alike."""
    shares = np.zeros(data.material.channels)
    for source in data.sources:
        labels = np.concatenate([image.cpu().numpy().ravel() for image in source.images])
        found = np.bincount(labels, minlength=len(shares)) / labels.size
        shares += len(source.axes) * found
    return (shares / shares.sum()).tolist()


def waves(model: Model) -> dict[str, int]:
    """Arguments of `calibrate` that also take off a wave as long as the stride, if there are any.

    Of a generator whose voxels and latent sites do not keep step, there are none.
    """
    generator = model.generator
    stride, pitch = generator.stride, max(generator.stride // WAVE, 2)
    if not generator.in_step or stride % pitch or generator.size(LATENT_SIZE) < stride:
        return {}
    return {"places": stride // pitch, "pitch": pitch}


def _longest_wave(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean and first harmonics of periodic values (phases, n, n, n): the rest is mostly noise."""
    modes = np.fft.fftn(values, axes=(1, 2, 3))
    n = values.shape[-1]
    shorter = abs(np.fft.fftfreq(n, 1 / n)) > 1
    modes[:, shorter] = modes[:, :, shorter] = modes[..., shorter] = 0
    return np.fft.ifftn(modes, axes=(1, 2, 3)).real.astype(np.float32)


def _logits(
    model: Model, volumes: int, places: int, pitch: int, seed: int, progress: bool
) -> NDArray[np.float16 | np.float32]:
    """Logits of voxels of some volumes, by place: (phases, places^3, N).

    Voxels of a place are chosen at random: a lattice of them would see some elements of the kernels
    more than others.
    """
    random = _random(model, seed)
    most, share = (VOXELS, SHARE) if places == 1 else (AT_A_PLACE, 1)
    voxels = min(most * places**3, volumes * model.generator.size(LATENT_SIZE) ** 3)
    check_memory(6 * model.material.channels * voxels, remedy="ask for fewer volumes")
    parts = []
    for logits in _generated(model, volumes, random, progress):
        at_places = _by_place(logits, places, pitch) if places > 1 else logits.flatten(1)[:, None]
        count = at_places.shape[2]
        looked_at = (max(1, min(count // share, most // volumes)),)
        chosen = torch.randint(count, looked_at, generator=random, device=logits.device)
        found = at_places if looked_at == (count,) else at_places[:, :, chosen]
        parts.append((found.float() if places == 1 else found.half()).cpu().numpy())
    return np.concatenate(parts, axis=2)


def _by_place(logits: Tensor, n: int, pitch: int) -> Tensor:
    """Logits (phases, Z, Y, X) sorted by place, of n along each axis: (phases, n^3, N)."""
    period = n * pitch
    z, y, x = (size // period for size in logits.shape[1:])
    whole = logits[:, : z * period, : y * period, : x * period]
    cells = whole.reshape(len(logits), z, n, pitch, y, n, pitch, x, n, pitch)
    return cells.permute(0, 2, 5, 8, 1, 4, 7, 3, 6, 9).reshape(len(logits), n**3, -1)


def _generated(
    model: Model, volumes: int, random: torch.Generator, progress: bool
) -> Iterator[Tensor]:
    """Logits of so many volumes: (phases, Z, Y, X)."""
    generator = model.generator
    weight = next(generator.parameters())
    shape = (1, generator.config.latent_channels, *(LATENT_SIZE,) * 3)
    count = progress_bar(
        range(volumes), shown=progress, desc="fractions", unit="volume", leave=False
    )
    for _ in count:
        noise = torch.randn(shape, generator=random, device=weight.device, dtype=weight.dtype)
        fine = [
            torch.randn((1, 1, *(n,) * 3), generator=random, device=weight.device).to(weight)
            for n in generator.fine_sizes(LATENT_SIZE)
        ]
        latent = noise.to(memory_format=torch.channels_last_3d)
        with torch.inference_mode(), repeatable():
            logits = generator.logits(latent, fine)[0]
        yield logits


def _random(model: Model, seed: int) -> torch.Generator:
    return torch.Generator(next(model.generator.parameters()).device).manual_seed(seed)
