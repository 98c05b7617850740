"""What a comparison will do, decided before it starts: shown first, then carried out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from metrics.comparison.measuring import Question, affordable_workers, largest_affordable
from metrics.comparison.samples import Sample, first_of, match
from metrics.comparison.sections import in_layers, plan_sections
from metrics.comparison.subvolumes import SMALLEST, Sampling, plan_subvolumes
from metrics.description import ALL_METRICS, COMPARED_METRICS, SECTION_METRICS, SLOW, known_metrics
from metrics.intervals import CONFIDENCE
from metrics.lags import check_max_lag
from metrics.solver.methods import check_solver
from metrics.volume import InputError, Volume


@dataclass(frozen=True)
class Plan:
    """A comparison that can be carried out.

    Attributes
    ----------
    gen, real : list of Volume
        Both samples, matched.
    sampling : Sampling
        The sub-volumes that are measured.
    question : Question
        What is measured on each.
    periodic_gen : bool
        Whether two-point correlations of generated sub-volumes wrap around.
    margin, isotropic, samples, seed
        As in `compare`.
    workers : int
        Processes that the cores and the memory allow.
    sections : {"", "any", "axes"}
        Whether real holds images instead of volumes: each normal to any axis, of an isotropic
        material, or each normal to its own.
    limited : bool
        Whether sub-volumes would be larger if there were more memory.
    """

    gen: list[Volume]
    real: list[Volume]
    sampling: Sampling
    question: Question
    periodic_gen: bool
    margin: float
    isotropic: bool
    samples: int
    seed: int
    workers: int
    sections: Literal["", "any", "axes"] = ""
    limited: bool = False

    def settings(self) -> dict[str, Any]:
        """Everything that decides the outcome."""
        sampling, question = self.sampling, self.question
        return {
            "metrics": list(question.metrics),
            "subvolume": list(sampling.shape),
            "n_gen": sampling.count[0],
            "n_real": sampling.count[1],
            "available_gen": sampling.available[0],
            "available_real": sampling.available[1],
            "max_lag": question.max_lag,
            "margin": self.margin,
            "confidence": CONFIDENCE,
            "isotropic": self.isotropic,
            "periodic_gen": self.periodic_gen,
            "same_volumes": sampling.same_volumes,
            "solver": question.solver,
            "device": question.device or "cpu",
            "samples": self.samples,
            "seed": self.seed,
            "sections": self.sections,
        }


def plan_comparison(
    gen: Sample,
    real: Sample,
    *,
    metrics: Sequence[str] | None,
    subvolume: int | None,
    samples: int,
    max_lag: int | None,
    margin: float,
    isotropic: bool,
    periodic_gen: bool,
    solver: str,
    device: str | None,
    seed: int,
    workers: int,
) -> Plan:
    """Match two samples and decide how they are compared; arguments and errors as in `compare`."""
    of_gen, of_real = match(gen, real)
    names = check_metrics(metrics)
    _check_margin(margin)
    check_solver(solver, device)
    question = Question(names, max_lag, solver=solver, device=device)
    thinnest = np.min([v.shape for v in (*of_gen, *of_real)], axis=0).tolist()
    largest = max(SMALLEST, largest_affordable(thinnest, len(of_real[0].phases), question))
    sampling = plan_subvolumes(
        of_gen,
        of_real,
        side=subvolume,
        largest=largest,
        samples=samples,
        seed=seed,
    )
    question = replace(question, max_lag=_checked_lag(sampling, max_lag))
    return Plan(
        of_gen,
        of_real,
        sampling,
        question,
        periodic_gen=periodic_gen and all(v.shape == sampling.shape for v in of_gen),
        margin=margin,
        isotropic=isotropic,
        samples=samples,
        seed=seed,
        workers=affordable_workers(sampling.shape, len(of_real[0].phases), question, workers),
        limited=subvolume is None and max(sampling.shape) == largest < max(thinnest),
    )


def plan_section_comparison(
    gen: Sample,
    images: Sample | Mapping[str, Sample],
    *,
    metrics: Sequence[str] | None,
    window: int | None,
    samples: int,
    max_lag: int | None,
    margin: float,
    seed: int,
    workers: int,
) -> Plan:
    """Decide how volumes are compared with images; arguments, errors as in `compare_sections`."""
    by_axis = isinstance(images, Mapping)
    of_gen, of_real = match(gen, in_layers(images, first_of(gen)))
    if not by_axis and len(set(of_real[0].spacing)) > 1:
        raise InputError(
            f"an image stands for every axis, but voxels are {of_real[0].spacing}: give images for "
            "each axis, or resample to equal edges"
        )
    names = check_section_metrics(metrics)
    _check_margin(margin)
    sampling = plan_sections(of_gen, of_real, side=window, samples=samples, seed=seed)
    lag = _checked_lag(sampling, max_lag)
    question = Question(names, lag)
    return Plan(
        of_gen,
        of_real,
        sampling,
        question,
        periodic_gen=False,
        margin=margin,
        isotropic=False,
        samples=samples,
        seed=seed,
        workers=affordable_workers(sampling.shape, len(of_real[0].phases), question, workers),
        sections="axes" if by_axis else "any",
    )


def _check_margin(margin: float) -> None:
    if not 0 < margin < 1:
        raise InputError(f"margin must lie between 0 and 1, got {margin}")


def _checked_lag(sampling: Sampling, max_lag: int | None) -> int:
    lag = check_max_lag(sampling.real[0], max_lag)
    if lag < 1:
        raise InputError("max_lag must be at least 1: curves are compared from lag 1 on")
    return lag


def check_metrics(metrics: Sequence[str] | None) -> tuple[str, ...]:
    """Names to compare, `COMPARED_METRICS` if none are given; `InputError` for an unknown one."""
    if metrics is None:
        return COMPARED_METRICS
    return known_metrics(metrics, ALL_METRICS)


def check_section_metrics(metrics: Sequence[str] | None) -> tuple[str, ...]:
    """Likewise of sections: `SECTION_METRICS` are what a section shows; the slow ones if named."""
    if metrics is None:
        return tuple(name for name in SECTION_METRICS if name not in SLOW)
    names = known_metrics(metrics, ALL_METRICS)
    if unseen := [name for name in names if name not in SECTION_METRICS]:
        raise InputError(
            f"no section shows {unseen[0]}: choose from {', '.join(SECTION_METRICS)}, or compare "
            "with a volume"
        )
    return names
