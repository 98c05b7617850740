"""What a comparison will do, decided before it starts: shown first, then carried out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from metrics.comparison.measuring import Question, affordable_workers
from metrics.comparison.samples import Sample, match
from metrics.comparison.subvolumes import Sampling, plan_subvolumes
from metrics.description import ALL_METRICS, COMPARED_METRICS, known_metrics
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

    def settings(self) -> dict[str, Any]:
        """Everything that decides the outcome."""
        sampling, question = self.sampling, self.question
        return {
            "metrics": list(question.metrics),
            "subvolume": list(sampling.shape),
            "n_gen": len(sampling.gen),
            "n_real": len(sampling.real),
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
    if not 0 < margin < 1:
        raise InputError(f"margin must lie between 0 and 1, got {margin}")
    check_solver(solver, device)
    sampling = plan_subvolumes(of_gen, of_real, side=subvolume, samples=samples, seed=seed)
    lag = check_max_lag(sampling.real[0], max_lag)
    if lag < 1:
        raise InputError("max_lag must be at least 1: curves are compared from lag 1 on")
    question = Question(names, lag, solver=solver, device=device)
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
    )


def check_metrics(metrics: Sequence[str] | None) -> tuple[str, ...]:
    """Names to compare, `COMPARED_METRICS` if none are given; `InputError` for an unknown one."""
    if metrics is None:
        return COMPARED_METRICS
    return known_metrics(metrics, ALL_METRICS)
