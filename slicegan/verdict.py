"""What a run ends with: its generated volumes compared with its own images, as a report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from metrics.command.comparing import summarise
from metrics.comparison.comparing import Comparison, compare_sections
from metrics.machine.progress import progress_bar
from metrics.report.page import NOT_IN_SECTIONS, write_report
from metrics.volume import Volume, axis_index
from slicegan.checkpoint import WEIGHTS, load_model
from slicegan.data import TrainingData, sha256_of
from slicegan.evaluation import REPORTED
from slicegan.generation import generate

if TYPE_CHECKING:
    from slicegan.runs import Run

FOLDER = "report"  # within that of the run
GENERATOR = "sha256 of the generator"
SEED = 2**61  # those of evaluations and of the choice at the end are larger


def report(run: Run, command: str, *, progress: bool = False) -> Comparison:
    """Compare volumes of fresh seeds with the images of a run of phases; write the report there.

    Of a volume that was learnt from, slices as far apart as a critic's slice is wide stand for all.

    Raises
    ------
    InputError
        If images or volumes are too small.
    """
    start = perf_counter()
    model = load_model(run.folder).to(run.trainer.device)
    seeds = range(SEED, SEED + REPORTED)
    side = 2 * run.record.config.critic.slice_size
    shown = progress_bar(seeds, shown=progress, desc="report", unit="volume", leave=False)
    volumes = [generate(model, side, seed=seed) for seed in shown]
    pictured = dict(images_of(run.data, side // 2))
    every = [image for some in pictured.values() for image in some]
    comparison = compare_sections(volumes, pictured[""] if "" in pictured else pictured, workers=1)
    names = [f"{run.folder}, seed {seed}" for seed in seeds]
    paths = [file.path for file in run.data.files]
    write_report(
        run.folder / FOLDER,
        comparison,
        gen=volumes,
        real=every,
        gen_names=names,
        real_names=paths if len(paths) == len(every) else (),
        summary=summarise(comparison, command, [NOT_IN_SECTIONS], perf_counter() - start)
        | {GENERATOR: sha256_of(run.folder / WEIGHTS)},
    )
    return comparison


def is_current(run: Run) -> bool:
    """Whether the run's folder holds a report on the generator that it holds."""
    if not (run.folder / FOLDER / "report.html").exists():
        return False
    try:
        summary = json.loads((run.folder / FOLDER / "summary.json").read_text(encoding="utf-8"))
        return bool(summary[GENERATOR] == sha256_of(run.folder / WEIGHTS))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def images_of(data: TrainingData, apart: int) -> Iterator[tuple[str, list[Volume]]]:
    """Training images as volumes of one layer, by the axis normal to them; ``""`` for any.

    Of the slices of a volume those that are `apart` voxels from each other: neighbours are alike.
    """
    material = data.material
    nothing = np.zeros((1, 1, 1), np.uint8)
    empty = Volume(nothing, material.spacing, material.unit, material.phases)
    for source in data.sources:
        stacks = [stack.cpu().numpy() for stack in source.images]
        chosen = [
            slice_ for stack in stacks for slice_ in stack[(len(stack) - 1) % apart // 2 :: apart]
        ]
        for axis in ("",) if source.turns else source.axes:
            layers = [np.expand_dims(labels, axis_index(axis or "z")) for labels in chosen]
            yield axis, [replace(empty, labels=labels) for labels in layers]
