"""What a device computes against the CPU: the first stage of `benchmarks.making.gpu_job`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from metrics.diffusivity import effective_diffusivity
from metrics.volume import Phase

# What two devices may differ by: few weights whose gradient is of either sign, few voxels of which
# two phases are equally likely. What is wrong throughout differs by 1e-3 and more.
SAME_WEIGHTS, SAME_LABELS = 1e-4, 5e-5

DRAWS = {name: getattr(torch, name) for name in ("randn", "rand", "randint", "randperm")}
Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """Where and how large: `tiny` for a test on a CPU; the end of the stage by `perf_counter`."""

    device: torch.device
    out: Path
    tiny: bool
    end: float
    reference: Path | None = None

    def left(self) -> float:
        """Seconds that the stage still has."""
        return self.end - perf_counter()


def correctness(job: Job) -> Iterator[Row]:
    """What the device computes against the CPU: solver, generation, a training step, resuming."""
    for name, found, limit in chain(_steps(job), _labels(job), _solves(job)):
        yield {"what": name, "difference": found, "limit": limit, "met": bool(found <= limit)}


def _solves(job: Job) -> Iterator[tuple[str, float, float]]:
    """Relative differences of D_eff of six bodies."""
    from metrics import shapes

    side = 24 if job.tiny else 64
    shape, length = (side,) * 3, side / 16
    bodies = {
        "random field, .5": shapes.gaussian_random_field(shape, correlation_length=length, seed=0),
        "random field, .35": shapes.gaussian_random_field(
            shape, correlation_length=length, fractions=(0.35, 0.65), seed=1
        ),
        "three phases": shapes.plurigaussian(shape, correlation_length=length, seed=2),
        "overlapping balls": shapes.overlapping_spheres(
            shape, radius=side / 8, density=200 / side**3, seed=4
        ),
        "between balls": shapes.fcc_spheres(side),
        "flat voxels": shapes.gaussian_random_field(
            shape, correlation_length=2 * length, seed=3, spacing=(3.0, 1.0, 1.0)
        ),
    }
    for name, body in bodies.items():
        values = [
            effective_diffusivity(
                body.volume, phase=0, axis="y", solver=solver, tol=1e-6, device=device
            ).value
            for solver, device in (("multigrid", None), ("multigrid_on_arrays", str(job.device)))
        ]
        yield f"D_eff: {name}", abs(values[1] / values[0] - 1) if values[0] else values[1], 1e-5


def _labels(job: Job) -> Iterator[tuple[str, float, float]]:
    """Share of voxels with another label; only ties may have one."""
    from slicegan.generation import generate

    side = 40 if job.tiny else 128
    for name in ("snow", "nmc"):
        cpu, there = (
            generate(name, side, seed=1, device=device).labels
            for device in ("cpu", str(job.device))
        )
        yield f"labels: {name}, {side}^3", float((cpu != there).mean()), SAME_LABELS


def _steps(job: Job) -> Iterator[tuple[str, float, float]]:
    """Differences of weights after a step on the device, and after one that is resumed.

    Adam's first step is as large for each weight, up or down: where rounding decides which, two
    devices part, so the mean over all weights is what can be compared.
    """
    after_cpu, after = (_after_steps(torch.device(d), 1) for d in ("cpu", job.device))
    yield "training: weights after a step in float32", _apart(after_cpu, after), SAME_WEIGHTS
    whole, resumed = (_after_steps(job.device, 2, resume=again) for again in (False, True))
    yield "training: a step after resuming", _apart(whole, resumed), SAME_WEIGHTS


def _after_steps(device: torch.device, steps: int, *, resume: bool = False) -> list[torch.Tensor]:
    """Weights of a small generator after so many steps, noise and crops being drawn on the CPU."""
    trainer = _trainer(device)
    with drawn_on_cpu():
        for step in range(steps):
            if resume and step:
                state = copy.deepcopy(trainer.state())
                trainer = _trainer(device)
                trainer.restore(state)
            trainer.advance()
    return [weight.detach().cpu() for weight in trainer.generator.parameters()]


def _apart(one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    """Mean difference of two sets of weights, over the mean weight, both without their signs."""
    first, second = (torch.cat([w.flatten() for w in weights]) for weights in (one, other))
    return float((first - second).abs().mean() / first.abs().mean())


def _trainer(device: torch.device) -> Any:
    """A trainer of the preset tiny; of the same first weights on every device."""
    from slicegan.preflight import fit
    from slicegan.settings import override, preset
    from slicegan.training import Trainer

    material, source = small()
    config = fit(override(preset("tiny"), ["training.precision=float32"]), material)
    with drawn_on_cpu():
        return Trainer([source.to(device)], config, seed=0, device=device)


def small() -> tuple[Any, Any]:
    """A material of two phases, and an image of it, a random field."""
    from metrics.shapes import gaussian_random_field
    from slicegan.config import Material
    from slicegan.sources import Source

    labels = gaussian_random_field((1, 96, 96), correlation_length=3, seed=0).volume.labels
    images = (torch.from_numpy(labels.astype(np.uint8)),)
    material = Material(phases=(Phase("pore", 0, 0), Phase("solid", 1, 1)))
    return material, Source(("z", "y", "x"), images, channels=2, turns=True)


@contextmanager
def drawn_on_cpu(seed: int = 0) -> Iterator[None]:
    """Draw all random numbers on the CPU from one seed, so that two devices have the same."""
    random = torch.Generator().manual_seed(seed)

    def drawn(draw: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def on_cpu(
            *args: Any, generator: Any = None, device: Any = None, **options: Any
        ) -> torch.Tensor:
            there = device or (generator.device if generator is not None else None)
            return draw(*args, generator=random, **options).to(there)

        return on_cpu

    def normal(tensor: torch.Tensor, mean: float, std: float, generator: Any) -> torch.Tensor:
        values = torch.empty(tensor.shape).normal_(mean, std, generator=random)
        with torch.no_grad():
            return tensor.copy_(values)

    patches = [patch.object(torch, name, drawn(draw)) for name, draw in DRAWS.items()]
    patches.append(patch.object(torch.nn.init, "normal_", normal))
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()
