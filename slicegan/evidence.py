"""How far training images fix the fractions of their material, and whether axes agree on them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np

from metrics.integral_range import representativity
from metrics.intervals import Interval, normal_interval
from metrics.volume import InputError
from slicegan.config import Material
from slicegan.sources import Source

# The standard error of a fraction of one half is then .11.
FEW_WINDOWS = 20
# Larger images are judged in parts: the memory is that of one part.
PART = 2048
# Fractions of two axes contradict each other beyond so many standard errors of their difference:
# by chance in 0.3 % of phases.
CONTRADICTION = 3.0


class AreaFraction(NamedTuple):
    """Area fraction of a phase with 95 % limits, its standard error, and independent windows."""

    interval: Interval
    error: float
    windows: float


Known = list[AreaFraction] | None  # of each phase; None where the images say no limits


def known_fractions(sources: Sequence[Source]) -> list[Known]:
    """`area_fractions` of each source; slices along all axes of one volume are judged once."""
    if any(len(stack) > 1 for source in sources for stack in source.images):
        return [area_fractions(sources[0])] * len(sources)
    return [area_fractions(source) for source in sources]


def area_fractions(source: Source) -> Known:
    """Area fraction of each phase in the images of a source, by their integral range.

    Means over images weigh their pixels; errors of images, and of parts of a large image, are
    independent. Slices of a volume are not: it is judged as a volume. None for images too small to
    be judged (`metrics.representativity`).
    """
    if any(len(stack) > 1 for stack in source.images):
        parts = [source.images[0].numpy()]  # slices along the other axes show the same voxels
    else:
        parts = [part for stack in source.images for part in _parts(stack.numpy())]
    weights = np.array([part.size for part in parts]) / sum(part.size for part in parts)
    found = []
    for phase in range(source.channels):
        try:
            each = [representativity((part == phase).astype(np.uint8), phase=1) for part in parts]
        except InputError:
            return None
        mean = float(weights @ [one.fraction.value for one in each])
        error = math.hypot(*(weights * [one.error for one in each]))
        interval = normal_interval(mean, error).clipped(0, 1)
        found.append(AreaFraction(interval, error, sum(one.samples for one in each)))
    return found


def warnings(
    sources: Sequence[Source], fractions: Sequence[Known], material: Material
) -> list[str]:
    """Lines on images that are worth few windows, and on axes that contradict each other.

    `fractions` are the `area_fractions` of each source.
    """
    known = [(s, found) for s, found in zip(sources, fractions, strict=True) if found is not None]
    # Of a volume the sources share one judgement, and one line.
    once = {id(found): (source, found) for source, found in reversed(known)}.values()
    return [
        *(line for source, found in reversed(once) for line in _few(source, found, material)),
        *(line for one, other in combinations(known, 2) for line in _apart(one, other, material)),
    ]


def _few(source: Source, found: list[AreaFraction], material: Material) -> Iterator[str]:
    """A line if the images of a source are worth few windows, of the phase with the fewest."""
    # Two phases are worth the same but for rounding: then the first is named.
    phase, least = min(
        zip(material.phases, found, strict=True), key=lambda pair: round(pair[1].windows, 1)
    )
    if least.windows < FEW_WINDOWS:
        yield (
            f"few: of {phase.name} the images normal to {', '.join(source.axes)} are worth about "
            f"{least.windows:.0f} independent windows, {FEW_WINDOWS} are wanted: add images, or a "
            "larger one; what is learnt is of this place"
        )


def _apart(
    one: tuple[Source, list[AreaFraction]],
    other: tuple[Source, list[AreaFraction]],
    material: Material,
) -> Iterator[str]:
    """A line for each phase on whose fraction two sources contradict each other."""
    for phase, a, b in zip(material.phases, one[1], other[1], strict=True):
        difference = abs(a.interval.value - b.interval.value)
        if difference > CONTRADICTION * math.hypot(a.error, b.error):
            yield (
                f"contradiction: {phase.name} fills {percent(a.interval)} of the images normal to "
                f"{', '.join(one[0].axes)} and {percent(b.interval)} of those normal to "
                f"{', '.join(other[0].axes)}, in one material it fills one share of all planes: "
                "check the segmentation and which image is of which axis"
            )


def percent(interval: Interval) -> str:
    """An interval of a fraction in per cent."""
    return f"{interval.value:.1%} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def _parts(stack: np.ndarray) -> list[np.ndarray]:
    """Parts of an image (1, H, W), of at most `PART` pixels a side and of like sizes."""
    _, height, width = stack.shape
    cuts = [
        np.linspace(0, side, math.ceil(side / PART) + 1).astype(int) for side in (height, width)
    ]
    return [stack[:, a:b, c:d] for a, b in pairwise(cuts[0]) for c, d in pairwise(cuts[1])]
