"""What a comparison is going to do, said before it starts: inputs, samples, remedies, time."""

from __future__ import annotations

from collections.abc import Sequence

from metrics.command.inputs import summary
from metrics.comparison.plan import Plan
from metrics.comparison.samples import absent
from metrics.comparison.subvolumes import WANTED
from metrics.description import CURVE
from metrics.integral_range import representativity
from metrics.machine.workers import PROCESS_BYTES
from metrics.report.page import NOT_IN_SECTIONS
from metrics.sizes import label_bytes, peak_bytes
from metrics.volume import InputError

# Measured on two cores of a 2.3 GHz Xeon, for a guess before the work starts: core seconds for each
# voxel and phase (diffusivity by TauFactor: and layer along each axis), and what each comparison
# takes beside.
SECONDS = {"effective_diffusivity": 5e-7, "local_thickness": 2.4e-7, CURVE: 1.2e-7}
SECONDS_OTHER = 1.5e-8
SECONDS_TAUFACTOR = 6e-8
SECONDS_ALWAYS = 5
SECONDS_THICKNESS = 1e-6  # of a section, for each pixel and phase: of 64 pixels a side, AMD EPYC
SECONDS_SECTION = 0.013  # of 42 or 85 pixels a side: .008 to .014 on an AMD EPYC


def preflight(
    plan: Plan,
    names: Sequence[Sequence[str]],
    values: Sequence[Sequence[int]],
    *,
    periodic_gen: bool,
) -> list[str]:
    """What is going to be compared, how, and about how long it takes; names and values of files.

    `periodic_gen` is whether that was asked for.
    """
    sampling, samples = plan.sampling, {"gen": plan.gen, "real": plan.real}
    lines = [
        f"{which:4} {summary(name, v, of_file)}"
        for which, of_sample, of_file in zip(samples, names, values, strict=True)
        for name, v in zip(of_sample, samples[which], strict=True)
    ]
    if plan.real[0].unit == "voxel":
        lines.append("voxel size unknown: lengths are in voxels (--spacing and --unit set it)")
    counts = [
        f"{count} of {available} in {name}"
        for count, available, name in zip(sampling.count, sampling.available, samples, strict=True)
    ]
    if plan.sections:
        lines += _of_sections(plan, counts)
    else:
        shape = "x".join(map(str, sampling.shape))
        lines.append(f"sub-volumes of {shape} voxels: {', '.join(counts)}")
    if plan.limited:
        side = max(sampling.shape)
        lines.append(f"no larger ones fit into memory: --subvolume {side} repeats this elsewhere")
    if min(sampling.count) < 2:
        lines.append(
            "one sample has no spread: no interval, no verdict (--subvolume, or more data)"
        )
    for name, volumes in samples.items():
        lines += [f"{name} has no voxel of phase {phase}" for phase in absent(volumes)]
    if sampling.same_volumes:
        lines.append("gen and real hold the same data: intervals are of paired differences")
    if periodic_gen and not plan.periodic_gen:
        lines.append("gen is cut into sub-volumes: --periodic-gen has no effect")
    lines.append(
        f"estimated time: {_duration(_estimate(plan))} on {plan.workers} cores, "
        f"{_memory(plan) / 2**30:.2g} GiB each"
    )
    return lines


def _of_sections(plan: Plan, counts: Sequence[str]) -> list[str]:
    """What is compared where real holds images."""
    side = plan.sampling.shape[-1]
    lines = [
        f"windows of {side}x{side} pixels: cubes of that side, {counts[0]}, seen on planes normal "
        f"to z, y and x; {counts[1]}",
        NOT_IN_SECTIONS,
    ]
    if plan.sampling.available[0] < WANTED:
        lines.append(
            f"{plan.sampling.available[0]} cubes are few: slicegan generate MODEL --size "
            f"{2 * side} --count 4 makes 32"
        )
    if plan.sampling.available[1] < WANTED:
        lines.append(f"{plan.sampling.available[1]} windows are few: give larger or more images")
    return lines + _too_few_windows(plan)


def _too_few_windows(plan: Plan) -> list[str]:
    """A line if the images are worth fewer independent windows than are compared."""
    once = {image.labels.tobytes(): image for image in plan.real}.values()
    for phase in plan.real[0].independent_phases:
        try:
            found = [representativity(image, phase=phase.label) for image in once]
        except InputError:  # too small to say
            return []
        windows = sum(one.samples for one in found)
        seen = all(one.large_enough for one in found)
        if windows < plan.sampling.count[1] or not seen:
            worth = f"about {windows:.0f}" if seen else f"fewer than {windows:.0f}"
            return [
                f"by the integral range of {phase.name}, the images are worth {worth} independent "
                "windows: their windows are alike, and intervals too narrow"
            ]
    return []


def _estimate(plan: Plan) -> float:
    z, y, x = plan.sampling.shape
    seconds = {name: SECONDS.get(name, SECONDS_OTHER) for name in plan.question.metrics}
    if plan.question.solver == "taufactor" and "effective_diffusivity" in seconds:
        seconds["effective_diffusivity"] = SECONDS_TAUFACTOR * (z + y + x)
    blocks = len(plan.sampling.gen) + len(plan.sampling.real)
    if plan.sections:
        each = SECONDS_SECTION
        if "section_thickness" in seconds:
            each += SECONDS_THICKNESS * len(plan.real[0].phases) * z * y * x
        return SECONDS_ALWAYS + each * blocks / plan.workers
    work = sum(seconds.values()) * len(plan.real[0].phases) * z * y * x * blocks
    return SECONDS_ALWAYS + work / min(plan.workers, blocks)


def _memory(plan: Plan) -> int:
    """Bytes of a process that measures one sub-volume after the other."""
    question, shape = plan.question, plan.sampling.shape
    taken = peak_bytes(
        question.metrics,
        shape,
        len(plan.real[0].phases),
        max_lag=question.max_lag,
        solver=question.solver,
    )
    return PROCESS_BYTES + label_bytes(shape) + taken


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    return f"about {round(seconds / 60)} min"
