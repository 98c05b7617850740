"""Whether two samples of volumes are the same material, quantity by quantity."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metrics.comparison.answer import Answer
from metrics.comparison.measuring import measure_all, peak_memory
from metrics.comparison.plan import Plan, plan_comparison, plan_section_comparison
from metrics.comparison.samples import Sample
from metrics.comparison.sections import in_every_direction
from metrics.comparison.verdicts import tabulate
from metrics.volume import InputError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Comparison:
    """Outcome of `compare`.

    Attributes
    ----------
    table : pandas.DataFrame
        A row a metric, phase and axis, with the columns `TABLE_COLUMNS`. `gen` and `real` are means
        over sub-volumes with 95 % intervals; `ratio` is gen / real and `difference` gen - real with
        their intervals (no ratio where the real interval holds 0); `verdict` is same, differs or
        cannot tell. `margin_needed` is the least margin at which it is `same`, `needed` how many
        further values of the smaller sample would decide, at the present spread.
    distances : pandas.DataFrame
        A row a phase and axis (empty: radial) of the two-point correlation, with the columns
        `DISTANCE_COLUMNS`. `distance` is the largest difference of the normalised autocovariance,
        found at lag `r`, with its simultaneous 95 % band `low`, `high`; `lags` are those at which
        that band lies wholly outside `margin`; `floor` is the largest difference to expect between
        random halves of the real sub-volumes, for information.
    answer : Answer
        One verdict over all rows (`same`, `differs` or `undecided`), as a sentence too.
    values : pandas.DataFrame
        Every value behind the table: sample, block, metric, phase, axis, value, unit, definition.
    curves : pandas.DataFrame
        Mean two-point correlation and 95 % band: sample, phase, axis (empty: radial), r, unit,
        mean, low, high, n.
    settings : dict
        Everything that decided the outcome: margin, seed, sub-volume shape, counts, metrics.
    seconds : dict of str to float
        Seconds spent on each metric, summed over sub-volumes.
    peak_memory : int
        Largest resident sizes of this process and of all workers, in bytes.
    """

    table: pd.DataFrame
    distances: pd.DataFrame
    answer: Answer
    values: pd.DataFrame
    curves: pd.DataFrame
    settings: dict[str, Any]
    seconds: dict[str, float]
    peak_memory: int


def compare(
    gen: Sample,
    real: Sample,
    *,
    metrics: Sequence[str] | None = None,
    subvolume: int | None = None,
    samples: int = 16,
    max_lag: int | None = None,
    margin: float = 0.05,
    isotropic: bool = False,
    periodic_gen: bool = False,
    solver: str = "multigrid",
    device: str | None = None,
    seed: int = 0,
    workers: int = -1,
    progress: bool = False,
    cache: Path | None = None,
    client: Any = None,
) -> Comparison:
    r"""Compare generated with real volumes, with uncertainty and a verdict per quantity.

    Both are cut into sub-volumes of one shape (`plan_subvolumes`); every scalar metric is measured
    on every sub-volume; the ratio of the two means gets Welch's t interval of its logarithm. The
    verdict is `same` where the interval lies inside :math:`\pm \log(1 + m)` for the margin m,
    `differs` where it lies wholly outside, else `cannot tell`. Where a value can be 0 (no
    percolation) or negative (Euler number), the interval is of the difference of the means in
    units of the real mean, inside :math:`\pm m`; where the interval of the real mean itself holds
    0, of the difference alone (`metrics.comparison.verdicts.judge`). The row's definition says so.

    The two-point correlation is compared as the normalised autocovariance

    .. math:: \chi(r) = \frac{S_2(r) - \phi^2}{\phi (1 - \phi)}

    of each sub-volume, with m as an absolute margin (.05 is about 10 % in correlation length):
    `same` where the 95 % interval of the difference lies inside :math:`\pm m` at every lag from 1
    to max_lag, `differs` where the simultaneous 95 % band lies wholly outside at some lag
    (`metrics.comparison.bands.judge_curves`). Noise never widens what counts as the same. A
    sub-volume that lacks the phase has no such curve and does not count.

    The answer over all rows has a level of its own (`metrics.comparison.answer.answer`): for two
    samples of one material it is `differs` at most once in twenty comparisons.

    Where both samples hold the same volumes the intervals are those of the paired differences: a
    material is the same as itself.

    Parameters
    ----------
    gen, real : Volume, (Z, Y, X) integer ndarray, or a sequence of them
        With equal spacing, unit and number of phases; phases match by rank of their labels.
    metrics : sequence of str, optional
        Names among `ALL_METRICS`; `COMPARED_METRICS` if left out.
    subvolume : int, optional
        Side of the sub-volumes in voxels; as large as gives 8 in each sample if left out.
    samples : int
        At most that many sub-volumes a sample.
    max_lag : int, optional
        Longest lag of the two-point correlation in voxels; half the sub-volume if left out.
    margin : float
        Relative difference, of chi(r) absolute, that still counts as the same material.
    isotropic : bool
        All axes are alike: average what has an axis over z, y and x in each sub-volume first, and
        compare the radial two-point correlation only.
    periodic_gen : bool
        Generated volumes repeat along all axes. Only the two-point correlation of whole volumes
        makes use of it: the other metrics treat both samples alike, as windows.
    solver, device : str
        As in `describe`.
    seed : int
        Of the draw of sub-volumes and of the bootstrap.
    workers : int
        Processes; -1 takes all cores.
    progress : bool
        Show a progress bar on a terminal.
    cache : Path, optional
        Folder that keeps what is measured: an interrupted comparison goes on, and a volume that is
        compared again is not measured again. Never stale (`metrics.comparison.cache`).
    client : dask.distributed.Client, optional
        Measure on its workers instead of processes of this machine. They must see the files of
        volumes that stay in them (`read`), and the folder of `cache`.

    Raises
    ------
    InputError
        If the samples cannot be compared, or an argument is out of range.
    """
    plan = plan_comparison(
        gen,
        real,
        metrics=metrics,
        subvolume=subvolume,
        samples=samples,
        max_lag=max_lag,
        margin=margin,
        isotropic=isotropic,
        periodic_gen=periodic_gen,
        solver=solver,
        device=device,
        seed=seed,
        workers=workers,
    )
    return carry_out(plan, progress=progress, cache=cache, client=client)


def compare_sections(
    gen: Sample,
    images: Sample | Mapping[str, Sample],
    *,
    metrics: Sequence[str] | None = None,
    window: int | None = None,
    samples: int = 16,
    max_lag: int | None = None,
    margin: float = 0.05,
    seed: int = 0,
    workers: int = -1,
    progress: bool = False,
    cache: Path | None = None,
) -> Comparison:
    r"""Compare generated volumes with 2D images of the real material: what sections can say.

    Images are cut into square windows, generated volumes into cubes of the same side, and planes of
    these, normal to each axis, are measured as the windows are (`metrics.comparison.sections`). A
    cube counts as one sample of gen, a window as one of real. Intervals, verdicts and answer are
    those of `compare`; quantities of planes stand with the axis that these are normal to, chords
    and S2 along rows and columns with the axis along which they lie.

    Fractions, surface (:math:`S_V = 4 L_A / \pi`) and triple-phase boundary (:math:`L_V = 2 Q_A`)
    of an isotropic material follow from its sections. Percolation, clusters, the Euler number in 3D
    and transport do not: a volume that agrees on all rows may still connect otherwise.

    What is compared is a volume with an image, whether or not it has learnt from this image. That
    agreement says nothing of a material of which the image is not representative.

    Parameters
    ----------
    gen : Volume, (Z, Y, X) integer ndarray, or a sequence of them
        Generated volumes.
    images : (H, W) integer ndarray or Volume of one layer, a sequence of them, or mapping of axis
        Real images: of an isotropic material, where each stands for sections normal to any axis;
        or, for each axis, those normal to ``"z"`` (rows along y, columns along x), ``"y"`` (z, x),
        ``"x"`` (z, y), as arrays or as volumes whose one layer is normal to it. Pixels of arrays
        are voxels of gen.
    metrics : sequence of str, optional
        Names among `SECTION_METRICS`; all but the slow section thickness if left out.
    window : int, optional
        Side of the windows in pixels; as large as gives 8 in the images if left out.
    samples : int
        At most that many cubes, and windows normal to each axis.
    max_lag, margin, seed, workers, progress, cache
        As in `compare`.

    Raises
    ------
    InputError
        If the samples cannot be compared, or an argument is out of range.

    Examples
    --------
    >>> from metrics.shapes import gaussian_random_field
    >>> def body(seed):
    ...     return gaussian_random_field(
    ...         (64, 64, 64), correlation_length=2, fractions=(0.4, 0.6), seed=seed
    ...     ).volume.labels
    >>> found = compare_sections(body(0), body(1)[0], metrics=["boundary_length"], workers=1)
    >>> found.table.axis.tolist()
    ['normal to z', 'normal to y', 'normal to x']
    """
    plan = plan_section_comparison(
        gen,
        images,
        metrics=metrics,
        window=window,
        samples=samples,
        max_lag=max_lag,
        margin=margin,
        seed=seed,
        workers=workers,
    )
    return carry_out(plan, progress=progress, cache=cache)


def carry_out(
    plan: Plan, *, progress: bool = False, cache: Path | None = None, client: Any = None
) -> Comparison:
    """Measure and compare as planned; the rest as in `compare`."""
    sampling, question = plan.sampling, plan.question
    tasks_gen = [(block, replace(question, periodic=plan.periodic_gen)) for block in sampling.gen]
    tasks_real = [(block, question) for block in sampling.real]
    measured = measure_all(
        tasks_gen + tasks_real,
        workers=plan.workers,
        progress=progress,
        cache=cache,
        client=client,
    )
    phases = plan.real[0].phases
    of_gen, of_real = measured[: len(tasks_gen)], measured[len(tasks_gen) :]
    if plan.sections == "any":
        of_real = [in_every_direction(of_window) for of_window in of_real]
    tables = tabulate(
        of_gen,
        of_real,
        unit=plan.real[0].unit,
        phases=[phase.name for phase in phases],
        margin=plan.margin,
        paired=sampling.same_volumes,
        isotropic=plan.isotropic,
        seed=plan.seed,
        groups=sampling.groups,
        real="images" if plan.sections else "volumes",
    )
    if tables.table.empty and tables.distances.empty:
        names = ", ".join(question.metrics) or "no metric"
        raise InputError(f"{names}: needs three phases, gives no row")
    processes = {m.process: m.peak_memory for m in measured} | {os.getpid(): peak_memory()}
    return Comparison(
        **tables._asdict(),
        settings=plan.settings(),
        seconds={name: sum(m.seconds[name] for m in measured) for name in question.metrics},
        peak_memory=sum(processes.values()),
    )
