"""What a run ends with: its generated volumes compared with its own images, as a report."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from metrics.command.comparing import summarise
from metrics.comparison.comparing import Comparison, compare_sections
from metrics.machine.progress import progress_bar
from metrics.report.page import UNSEEN, write_report
from metrics.volume import InputError, Volume
from slicegan.checkpoint import load_model
from slicegan.generation import generate

if TYPE_CHECKING:
    from slicegan.data import TrainingData
    from slicegan.runs import Run

FOLDER = "report"  # within that of the run
VOLUMES = 8
SEED = 2**61  # those of evaluations and of the choice at the end are larger
SLICES = 16  # of a volume that was learnt from, along each axis


def report(run: Run, command: str, *, progress: bool = False) -> Comparison:
    """Compare volumes of fresh seeds with the images of a run, and write the report into it.

    Of the slices of a volume 16 along each axis, evenly spaced, stand for all.

    Raises
    ------
    InputError
        If the run is not one of phases, or its images or volumes are too small.
    """
    if run.data.material.kind != "phases":
        raise InputError(f"{run.folder}: only phases can be compared, not {run.data.material.kind}")
    start = perf_counter()
    model = load_model(run.folder)
    seeds = range(SEED, SEED + VOLUMES)
    side = 2 * run.record.config.critic.slice_size
    shown = progress_bar(seeds, shown=progress, desc="report", unit="volume", leave=False)
    volumes = [generate(model, side, seed=seed) for seed in shown]
    pictured = dict(images_of(run.data))
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
        summary=summarise(comparison, command, [UNSEEN], perf_counter() - start),
    )
    return comparison


def images_of(data: TrainingData) -> Iterator[tuple[str, list[Volume]]]:
    """Training images as volumes of one layer, by the axis normal to them; ``""`` for any."""
    material = data.material
    for source in data.sources:
        for axis in ("",) if source.turns else source.axes:
            slices = [image for stack in source.images for image in _spread(stack.cpu().numpy())]
            yield (
                axis,
                [
                    Volume(labels[np.newaxis], material.spacing, material.unit, material.phases)
                    for labels in slices
                ],
            )


def _spread(stack: np.ndarray) -> np.ndarray:
    """At most so many slices of a stack, evenly spaced."""
    chosen = np.unique(np.linspace(0, len(stack) - 1, min(len(stack), SLICES)).round().astype(int))
    return stack[chosen]
