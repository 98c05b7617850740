"""What a training run will do, said before it starts, and the refusal of what cannot work."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from metrics.volume import InputError
from slicegan import evidence
from slicegan.calibration import image_fractions
from slicegan.config import Config, Material
from slicegan.costs import META, PROCESS_BYTES, cost, drawing, duration, memory, short
from slicegan.data import TrainingData
from slicegan.networks import Critic, Generator, count_weights
from slicegan.sources import Source
from slicegan.targets import check_reachable


def fit(config: Config, material: Material) -> Config:
    """Config whose networks have the channels and the output that the material needs.

    Examples
    --------
    >>> fit(Config(), Material("grey")).generator.output
    'tanh'
    """
    generator = replace(
        config.generator,
        channels=material.channels,
        output="softmax" if material.kind == "phases" else "tanh",
    )
    critic = replace(config.critic, channels=material.channels)
    return replace(config, generator=generator, critic=critic)


def check(data: TrainingData, config: Config) -> None:
    """Raise `InputError` for what cannot work; on return, the networks fit the data."""
    training = config.training
    if config != fit(config, data.material):
        raise InputError(
            f"generator.channels, generator.output and critic.channels do not suit a material of "
            f"{data.material.channels} channels ({data.material.kind}): apply fit(config, material)"
        )
    with torch.device("meta"):
        generator = Generator(config.generator)
    size, wanted = generator.size(training.latent_size), config.critic.slice_size
    if size != wanted:
        latent = generator.latent(wanted)
        remedy = "change the number of critic.filters: four judge 64 voxels, five 128"
        if generator.size(latent) == wanted:
            remedy = f"set training.latent_size={latent}"
        raise InputError(
            f"training.latent_size={training.latent_size} gives volumes of {size} voxels, "
            f"{len(config.critic.filters)} critic.filters judge slices of {wanted}: {remedy}"
        )
    if training.slices > size:
        raise InputError(f"training.slices={training.slices}: a volume has {size}, 0 shows all")
    if training.loss == "relativistic" and training.real_slices:
        raise InputError(
            f"training.real_slices={training.real_slices}: the relativistic loss pairs each "
            "generated slice with a real one, set it to 0"
        )
    if data.targets:
        check_reachable(data.targets, image_fractions(data))
    for source in data.sources:
        for name, image in zip(_names(data, source), source.images, strict=True):
            _check_image(name, image, size, data.material)


def plan(data: TrainingData, config: Config, *, device: torch.device, done: int = 0) -> list[str]:
    """Lines that tell what training on a device will do, `done` steps of it being over.

    The time is that of `cost`, the memory that of `memory`.

    Raises
    ------
    InputError
        If this cannot work (`check`).
    """
    check(data, config)
    generator, critic = drawing(config, META), Critic(config.critic).to(META)
    training = config.training
    seconds = cost(data, config, device).of(training.steps - done)
    critics = "; ".join("+".join(source.axes) for source in data.sources)
    fractions: list[evidence.Known] = [None] * len(data.sources)
    if data.material.kind == "phases":
        fractions = evidence.known_fractions(data.sources)
    return [
        *(
            line
            for source, known in zip(data.sources, fractions, strict=True)
            for line in _source_lines(data, source, config, known)
        ),
        *(
            f"target: D_eff/D_0 of {target.phase.name} "
            f"{f'along {target.axis} ' if target.axis else ''}{target.value:g}"
            for target in data.targets
        ),
        f"critics: {len(data.sources)}, of slices normal to {critics}",
        f"weights: generator {count_weights(generator):,}, each critic {count_weights(critic):,}",
        f"steps: {training.steps:,} of the generator, "
        f"{training.steps * training.critic_steps:,} of each critic",
        f"expected on {device}: about {duration(seconds)}, "
        f"{short((memory(data.sources, config) + PROCESS_BYTES) / 2**30)} GiB of memory",
        *evidence.warnings(data.sources, fractions, data.material),
    ]


def _names(data: TrainingData, source: Source) -> list[str]:
    """Name of the file of each image."""
    names: list[str] = []
    for file in data.files:
        if set(source.axes) <= set(file.axes):
            stacks = source.images[len(names) : len(names) + file.images]
            pages = file.images > 1 and all(len(stack) == 1 for stack in stacks)
            names += [
                f"{file.path} page {k}" if pages else file.path for k in range(1, file.images + 1)
            ]
    return names


def _check_image(name: str, image: Tensor, size: int, material: Material) -> None:
    """Raise `InputError` if slices of an image are too small, or of one phase."""
    height, width = image.shape[1:3]
    if min(height, width) < size:
        remedy = "use a larger image"
        if len(image) > 1:
            remedy = "use a larger volume, or --pages if its pages are images of their own"
        raise InputError(f"{name} is {height}x{width}, the crop {size}x{size}: {remedy}")
    if material.kind == "phases" and material.channels < 2:
        raise InputError(f"{name} shows one phase alone: nothing can be learnt from it")


def _source_lines(
    data: TrainingData, source: Source, config: Config, known: evidence.Known
) -> list[str]:
    """What one critic learns from."""
    size = config.critic.slice_size
    names = dict.fromkeys(_names(data, source))
    shapes = dict.fromkeys("x".join(map(str, image.shape[:3])) for image in source.images)
    pixels = sum(math.prod(image.shape[:3]) for image in source.images)
    return [
        f"slices normal to {', '.join(source.axes)}: {', '.join(names)} "
        f"({', '.join(shapes)} slices, rows, columns)",
        f"  {_content(source, data.material, known)}",
        f"  crops of {size}x{size}: {pixels / size**2:.2g} side by side, "
        f"{source.positions(size):,} positions{_augmentation(source)}",
    ]


def _content(source: Source, material: Material, known: evidence.Known) -> str:
    """Fraction of each phase, with limits where they are known, or mean of each channel."""
    if material.kind != "phases":
        pixels = torch.cat([image.flatten(end_dim=-2) for image in source.images])
        means = pixels.float().mean(dim=0).tolist()
        return f"{material.kind}, mean intensity {', '.join(f'{mean:.0f}' for mean in means)}"
    counts = torch.stack(
        [torch.bincount(image.flatten(), minlength=source.channels) for image in source.images]
    ).sum(dim=0)
    shares = (counts / counts.sum()).tolist()
    said = (
        [f"{share:.1%}" for share in shares]
        if known is None
        else [evidence.percent(one.interval) for one in known]
    )
    return "phases: " + ", ".join(
        f"{phase.name} (value {phase.value}) {share}"
        for phase, share in zip(material.phases, said, strict=True)
    )


def _augmentation(source: Source) -> str:
    """How crops are varied."""
    if source.turns:
        return ", turned and reflected"
    ways = [way for way, allowed in zip(("rows", "columns"), source.flips, strict=True) if allowed]
    return f", {' and '.join(ways)} flipped" if ways else ""
