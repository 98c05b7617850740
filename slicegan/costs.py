"""What training costs: time, memory, and the steps that fit into a time."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

import metrics.machine.memory
from metrics.volume import InputError
from slicegan.calibration import LATENT_SIZE
from slicegan.config import Config
from slicegan.data import TrainingData
from slicegan.evaluation import JUDGED, REPORTED
from slicegan.networks import Critic, Drawing, Generator, count_weights
from slicegan.sources import Source

# Forward passes that cost as much as one forward and backward, and as one gradient penalty, which
# differentiates twice (2.2 to 3.4 times the former: measured on a CPU, critics of three widths).
TRAIN = 3
PENALTY = 8
# Timing stops at a batch that takes so long: it keeps any device busy.
TIMING_SECONDS = 0.2
FLOAT_BYTES = 4
S2_BYTES = 14  # a pixel, that measuring an image takes (`slicegan.fidelity.reference`)
PROCESS_BYTES = 700 * 2**20  # of Python, its libraries, and the logits of a calibration
# Of an evaluation on one core of a 2.3 GHz Xeon: S2 for each voxel and phase, and its pictures.
S2_SECONDS, PICTURE_SECONDS = 5e-8, 1.5
# Of D_eff of one phase along one axis, for each voxel of the electrode, one core of an AMD EPYC.
DIFFUSIVITY_SECONDS = 1.5e-7
# Of the report at the end, on one core of an AMD EPYC: 400 sections of 85 pixels a side, the page.
REPORT_SECONDS = 9
META = torch.device("meta")
LEAST_STEPS = 100  # fewer teach nothing


@dataclass(frozen=True)
class Cost:
    """Seconds of one step of the generator with its share of the evaluations, and of the end."""

    step: float
    finish: float

    def of(self, steps: int) -> float:
        """Seconds of so many steps and the end."""
        return steps * self.step + self.finish


def cost(data: TrainingData, config: Config, device: torch.device) -> Cost:
    """Time of a step, and of the choice at the end.

    All passes through the networks (`passes`), with the time of one pass measured on the device in
    about a second (longer on a slow CPU), in float32; S2 and pictures of evaluations as they were
    measured on another machine. Optimisers are not counted.
    """
    training = config.training
    generator, critic = drawing(config, device), Critic(config.critic).to(device)
    volumes = seconds_per_pass(generator, noise(config).to(device), training.generator_volumes)
    shown, _, _ = _shown(data.sources[0], config)
    slices = seconds_per_pass(critic, blank(config).to(device), shown)
    # Norms and fractions are set anew, on volumes of training and of 4 latent sites.
    phases = data.material.kind == "phases"
    with META:
        side = Generator(config.generator).size(LATENT_SIZE)
    calibrated = (side / config.critic.slice_size) ** 3 * phases
    judged = 2**3 * training.validation_volumes
    per_voxel = S2_SECONDS * max(data.material.channels, 2)
    per_voxel += DIFFUSIVITY_SECONDS * sum(len(target.axes) for target in data.targets)
    measuring = per_voxel * judged * config.critic.slice_size**3
    evaluation = (training.norm_volumes * (1 + calibrated) + judged) * volumes
    work = passes(data.sources, config)
    step = work.volumes * volumes + work.slices * slices
    every = min(training.evaluate_every, training.steps)
    chosen = training.calibration_volumes * calibrated + JUDGED * judged
    report = phases * (2**3 * REPORTED * volumes + REPORT_SECONDS)
    return Cost(
        step=step + (evaluation + measuring + PICTURE_SECONDS) / every,
        finish=2 * (chosen * volumes + JUDGED * measuring) + report,
    )


def steps_within(
    seconds: float, data: TrainingData, config: Config, device: torch.device
) -> Config:
    """Config with the steps that fit into a time, by the speed of the device at present.

    The decay of the rates ends with the last step, so that a run which is stopped by the clock
    would lack it; one of so many steps has it, and can be resumed exactly.

    Raises
    ------
    InputError
        If the time is too short for an evaluation and the choice at the end.
    """
    one = cost(data, config, device)
    steps = int((seconds - one.finish) / one.step)
    least = one.of(min(config.training.evaluate_every, LEAST_STEPS))
    if seconds < least:
        raise InputError(
            f"--stop-after: {LEAST_STEPS} steps and the choice at the end take about "
            f"{duration(least)}: give more"
        )
    return replace(config, training=replace(config.training, steps=steps))


@dataclass(frozen=True)
class Passes:
    """Forward passes of one step of the generator: of volumes, and of slices in all critics."""

    volumes: float
    slices: float


def passes(sources: tuple[Source, ...], config: Config) -> Passes:
    """Work of one step of the generator, with the steps of the critics before it.

    A pass backward counts as two forward, a gradient penalty as eight of its slices; the
    relativistic loss has a penalty on real and one on generated slices, and shows the critic real
    slices in the step of the generator too.
    """
    training = config.training
    relativistic = training.loss == "relativistic"
    volumes = training.critic_steps * training.critic_volumes + TRAIN * training.generator_volumes
    slices = 0.0
    for source in sources:
        fake, real, penalised = _shown(source, config)
        penalty = PENALTY * penalised * (1 + relativistic) / training.penalty_every
        slices += training.critic_steps * (TRAIN * (fake + real) + penalty)
        judged = training.generator_volumes * _slices_per_volume(source, config)
        slices += (TRAIN + relativistic) * judged
    return Passes(volumes, slices)


def memory(sources: tuple[Source, ...], config: Config) -> int:
    """Bytes that training needs at most, in float32, without the workspace of convolutions.

    ``weights + max(critic step, generator step)``, where weights are kept as themselves,
    gradients and two moments of Adam (the generator's also as an average); a step keeps what its
    backward pass needs and the gradients of that (g of a volume, c of a slice):
    ``m_D volumes + c (fake + real + 3 penalised)`` for the largest critic, and
    ``g m_G + c (slices of m_G volumes)`` for all critics together.
    """
    training = config.training
    generator, critic = drawing(config, META), Critic(config.critic).to(META)
    g = 2 * kept_bytes(generator, noise(config).to("meta"))
    c = 2 * kept_bytes(critic, blank(config).to("meta"))
    stored = 5 * count_weights(generator) + 4 * len(sources) * count_weights(critic)
    volume = config.generator.channels * config.critic.slice_size**3
    critic_step = FLOAT_BYTES * training.critic_volumes * volume + c * max(
        fake + real + 3 * penalised
        for fake, real, penalised in (_shown(source, config) for source in sources)
    )
    judged = sum(_slices_per_volume(source, config) for source in sources)
    generator_step = training.generator_volumes * (g + c * judged)
    return FLOAT_BYTES * stored + max(critic_step, generator_step)


def check_memory(data: TrainingData, config: Config, device: torch.device) -> None:
    """Raise `InputError` if training would need more memory than the device has free."""
    metrics.machine.memory.check_memory(
        memory(data.sources, config),
        free=torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None,
        remedy="lower training.critic_volumes, training.generator_volumes or filters",
    )
    largest = max(image.numel() for source in data.sources for image in source.images)
    metrics.machine.memory.check_memory(S2_BYTES * largest, remedy="crop the images")


def kept_bytes(network: nn.Module, example: Tensor) -> int:
    """Bytes that a pass keeps for its backward pass, beside the weights.

    Examples
    --------
    >>> kept_bytes(nn.Sequential(nn.Linear(3, 5), nn.Sigmoid()), torch.zeros(1, 3))
    32
    """
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = network(example)  # holds what was noted: no two storages have one address
    for own in (*network.parameters(), *network.buffers()):
        kept.pop(own.untyped_storage()._cdata, None)
    del result
    return sum(kept.values())


def noise(config: Config) -> Tensor:
    """Noise of one volume of training."""
    latent = config.training.latent_size
    return torch.ones(1, config.generator.latent_channels, latent, latent, latent)


def drawing(config: Config, device: torch.device) -> Drawing:
    """The generator of training, with the fine noise of one volume."""
    with torch.device(device):
        generator = Generator(config.generator)
        fine = [
            torch.ones(1, 1, n, n, n) for n in generator.fine_sizes(config.training.latent_size)
        ]
    return Drawing(generator, lambda: fine)


def blank(config: Config) -> Tensor:
    """One slice as a critic sees it."""
    size = config.critic.slice_size
    return torch.ones(1, config.critic.channels, size, size)


def seconds_per_pass(network: nn.Module, example: Tensor, most: int) -> float:
    """Seconds of a forward pass of one item: a third of those of a pass forward and backward.

    It is measured in a batch that is large enough to keep the device busy, and at most `most`.
    """
    count, first = 1, next(network.parameters())
    while True:
        batch = example.repeat_interleave(count, dim=0)
        for _ in range(2):  # the first one also loads and chooses kernels
            start = time.perf_counter()
            (gradient,) = torch.autograd.grad(network(batch).sum(), [first])
            gradient.sum().item()  # waits for the device
            elapsed = time.perf_counter() - start
        if elapsed > TIMING_SECONDS or count == most:
            return elapsed / count / TRAIN
        count = min(4 * count, most)


def _slices_per_volume(source: Source, config: Config) -> int:
    """Slices of a generated volume that a critic is shown."""
    return len(source.axes) * (config.training.slices or config.critic.slice_size)


def _shown(source: Source, config: Config) -> tuple[int, int, int]:
    """Generated, real and penalised slices in a step of a critic."""
    training = config.training
    fake = training.critic_volumes * _slices_per_volume(source, config)
    real = training.real_slices or fake
    return fake, real, min(training.penalty_slices or real, real, fake)


def duration(seconds: float) -> str:
    """Length of time in the largest unit of which there are two."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{short(seconds / length)} {unit}"
    return f"{short(seconds)} s"


def short(number: float) -> str:
    """A number with two digits, or all of a larger one before the point."""
    return f"{number:.0f}" if number >= 10 else f"{number:.2g}"
