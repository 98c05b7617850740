"""How far training images fix the fractions of their material, and whether axes agree on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np

from metrics.integral_range import representativity
from metrics.intervals import Interval, normal_interval
from metrics.volume import InputError
from slicegan.config import Material
from slicegan.sources import Source

# Rule of thumb: the error of a fraction of a half is then .11 of one window.
FEW_WINDOWS = 20
# Larger images are judged in parts: the memory is that of one part.
PART = 2048
# Fractions of two axes contradict each other beyond so many standard errors of their difference:
# by chance in 0.3 % of phases.
CONTRADICTION = 3.0
NORMAL = 1.959964  # standard errors from the middle to 95 % limits


class Fraction(NamedTuple):
    """Fraction of a phase with 95 % limits, and independent windows that the images are worth."""

    interval: Interval
    windows: float

    @property
    def error(self) -> float:
        """Standard error."""
        return (self.interval.high - self.interval.low) / (2 * NORMAL)


def fractions(source: Source) -> list[Fraction] | None:
    """Fraction of each phase in the images of a source, by their integral range.

    Means over images weigh their pixels; errors of images, and of parts of a large image, are
    independent. None for slices of a volume, which are not independent of each other, and for
    images too small to be judged (`metrics.representativity`).
    """
    if any(len(stack) > 1 for stack in source.images):
        return None
    parts = [part for stack in source.images for part in _parts(stack.numpy())]
    weights = np.array([part.size for part in parts]) / sum(part.size for part in parts)
    found = []
    for phase in range(source.channels):
        try:
            each = [representativity((part == phase).astype(np.uint8), phase=1) for part in parts]
        except InputError:
            return None
        mean = float(weights @ [one.fraction.value for one in each])
        errors = [(one.fraction.high - one.fraction.low) / (2 * NORMAL) for one in each]
        interval = normal_interval(mean, math.hypot(*(weights * errors))).clipped(0, 1)
        found.append(Fraction(interval, sum(one.samples for one in each)))
    return found


def warnings(sources: Sequence[Source], material: Material) -> list[str]:
    """Lines on images that are worth few windows, and on axes that contradict each other."""
    known = [(source, found) for source in sources if (found := fractions(source)) is not None]
    names = [phase.name for phase in material.phases]
    lines = []
    for source, found in known:
        windows, name = min(zip((one.windows for one in found), names, strict=True))
        if windows < FEW_WINDOWS:
            lines.append(
                f"few: of {name} the images normal to {', '.join(source.axes)} are worth about "
                f"{windows:.0f} independent windows, {FEW_WINDOWS} are wanted: add images, or a "
                "larger one; what is learnt is of this place"
            )
    for (one, first), (other, second) in combinations(known, 2):
        for name, a, b in zip(names, first, second, strict=True):
            difference = abs(a.interval.value - b.interval.value)
            if difference > CONTRADICTION * math.hypot(a.error, b.error):
                lines.append(
                    f"contradiction: {name} fills {percent(a.interval)} of the images normal to "
                    f"{', '.join(one.axes)} and {percent(b.interval)} of those normal to "
                    f"{', '.join(other.axes)}, in one material it fills one share of all planes: "
                    "check the segmentation and which image is of which axis"
                )
    return lines


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
