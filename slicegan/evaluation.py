"""Which generator a run ends with: the better of its best and its last one, judged on more.

The best of many evaluations on few volumes is partly luck, and few volumes say little of its
fractions. So at the end both are calibrated on many volumes and judged on more of them, of seeds
that neither an evaluation nor a user takes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch

from metrics.machine.progress import progress_bar
from slicegan.calibration import calibrate, image_fractions, waves
from slicegan.checkpoint import Model, load_model
from slicegan.config import Config
from slicegan.data import TrainingData
from slicegan.fidelity import Reference, judge
from slicegan.generation import generate

JUDGED = 4  # times the volumes of an evaluation
REPORTED = 8  # volumes that a run is compared with its images by, at the end (`slicegan.verdict`)
SEED = 2**62  # that of a run's evaluations is 2**63
CHOSEN = "chosen at step"  # the fact of a generator that was judged so: the run's steps then


def fidelity_fact(row: Mapping[str, float]) -> str:
    """JSON of errors; it has no nan, which errors of planes are that the images say nothing of."""
    return json.dumps({name: x for name, x in row.items() if math.isfinite(x)})


def choose(
    files: Iterable[Path],
    data: TrainingData,
    reference: Reference,
    config: Config,
    *,
    device: torch.device,
    progress: bool = False,
) -> Model:
    """The best of several generators of a run, calibrated; its facts hold its errors.

    Parameters
    ----------
    files : iterable of path
        Generators that an evaluation wrote. Those of one step are one.
    data, reference : TrainingData, Reference
        The images, and what they say.
    config : Config
        Of the run: fractions are set on `training.calibration_volumes`, errors are those of
        4 `training.validation_volumes`, twice as wide as the critic's slices.
    device : torch.device
        Where they generate.
    progress : bool
        Show progress bars.
    """
    written = [load_model(file).to(device) for file in files]
    by_step = {json.loads(model.facts["fidelity"])["step"]: model for model in written}
    candidates = [
        _judged(model, data, reference, config, f"step {step}", progress)
        for step, model in by_step.items()
    ]
    return min(candidates, key=lambda model: json.loads(model.facts["fidelity"])["score"])


def _judged(
    model: Model,
    data: TrainingData,
    reference: Reference,
    config: Config,
    name: str,
    progress: bool,
) -> Model:
    """A generator with its fractions set, and its errors among its facts."""
    training = config.training
    if data.material.kind == "phases":
        count = training.calibration_volumes
        fractions = image_fractions(data)
        model = calibrate(model, fractions, volumes=count, progress=progress, **waves(model))
    side = 2 * config.critic.slice_size
    seeds = range(SEED, SEED + JUDGED * training.validation_volumes)
    shown = progress_bar(seeds, shown=progress, desc=f"{name} judged", unit="volume", leave=False)
    volumes = [generate(model, side, seed=seed) for seed in shown]
    errors = judge(volumes, reference, stride=model.generator.stride).row()
    before = json.loads(model.facts["fidelity"])
    return replace(model, facts={**model.facts, "fidelity": fidelity_fact(before | errors)})
