"""What two processes learn together, and what they learn where a part of their talk is missing.

Run by torchrun as a script, with a folder: each process writes what it has learnt to a file there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from slicegan import training
from slicegan.config import Config, CriticConfig, GeneratorConfig, TrainingConfig
from slicegan.distributed import ALONE, Ranks, Several, joined
from slicegan.losses import AxisPenalty, PlacePenalty
from slicegan.sources import Source
from slicegan.training import Trainer

CPU = torch.device("cpu")
STEPS = 3
GENERATOR = GeneratorConfig(latent_channels=2, filters=(4, 4, 4, 4), fine_noise=0.5)
CRITIC = CriticConfig(filters=(2, 2, 2), leak=0.2)


@dataclass(frozen=True)
class Lesson:
    """Images and settings of a short training."""

    axes: tuple[tuple[str, ...], ...]
    training: TrainingConfig


# Both losses; critics of one and of three axes; all that a step can have.
LESSONS = {
    "wgan-gp": Lesson(
        (("z",), ("y",), ("x",)),
        TrainingConfig(
            critic_steps=2,
            critic_volumes=4,
            generator_volumes=2,
            slices=3,
            real_slices=6,
            penalty_slices=4,
            init="he",
            latent_size=3,
        ),
    ),
    "relativistic": Lesson(
        (("z", "y", "x"),),
        TrainingConfig(
            loss="relativistic",
            critic_steps=1,
            critic_volumes=2,
            generator_volumes=4,
            slices=3,
            real_slices=0,
            penalty=1.0,
            penalty_every=2,
            lattice=100.0,
            isotropy=100.0,
            affine=0.8,
            cutout=0.5,
            average=0.9,
            init="he",
            latent_size=3,
        ),
    ),
}


def image(seed: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(2, (1, 40, 36), generator=random, dtype=torch.uint8)


def learnt(lesson: Lesson, ranks: Ranks = ALONE) -> dict[str, torch.Tensor]:
    """What a trainer holds after some steps, by the part of it: all numbers in a row."""
    turns = len(lesson.axes) == 1
    sources = [
        Source(axes, (image(seed),), 2, turns=turns) for seed, axes in enumerate(lesson.axes)
    ]
    config = Config(GENERATOR, CRITIC, lesson.training)
    trainer = Trainer(sources, config, seed=0, device=CPU, ranks=ranks)
    losses = [loss for _ in range(STEPS) for loss in trainer.advance().values()]
    parts = {
        "generator": [*trainer.generator.parameters()],
        "norms": [*trainer.generator.buffers()],
        "average": [*trainer.average.parameters()],
        "penalties": [own.mean for _, own in trainer.penalties.values()],
        "losses": losses,
    }
    for player in trainer.players:
        parts["critic " + "".join(player.source.axes)] = [*player.critic.parameters()]
    return {
        name: torch.cat([tensor.detach().double().flatten() for tensor in part])
        for name, part in parts.items()
        if part
    }


def difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Largest difference of two numbers, over the largest number of that part."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max() / one[name].abs().max()) for name in one)


def same_rows(ranks: Several, batch: torch.Tensor) -> torch.Tensor:
    return batch.chunk(ranks.count)[0]


def whole_without_gradient_of_others(ranks: Several, rows: torch.Tensor) -> torch.Tensor:
    parts = list(gather(ranks, rows.detach()).chunk(ranks.count))
    parts[ranks.rank] = rows
    return torch.cat(parts)


gather = Several.gather
# What is missing: a name in a module or class, and what takes its place.
MISSING: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "gradients": (Several, "average_gradients", lambda *_: None),
    "norms": (Several, "synchronise", lambda *_: None),
    "rows": (Several, "share", same_rows),
    "volumes": (Several, "gather", whole_without_gradient_of_others),
    "places": (training, "PlacePenalty", lambda *given: PlacePenalty(*given[:3])),
    "axes": (training, "AxisPenalty", lambda *given: AxisPenalty(*given[:3])),
}


def main(folder: Path) -> None:
    with joined(CPU) as (ranks, _):
        found = {name: learnt(lesson, ranks) for name, lesson in LESSONS.items()}
        for name, (owner, attribute, stand_in) in MISSING.items():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(owner, attribute, stand_in)
                found[f"without {name}"] = learnt(LESSONS["relativistic"], ranks)
        torch.save(found, folder / f"{ranks.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
