"""Names of quantities for people: in sentences, tables and plots alike."""

from __future__ import annotations

from metrics.volume import AXES

MAX_LABEL = 28  # characters


def readable(metric: str) -> str:
    """Name of a metric for people."""
    name = metric.replace("_", " ").replace("two point", "two-point")
    return name.replace("tpb", "TPB").replace("euler", "Euler")


def row_label(phase: str, axis: str) -> str:
    """Phase and axis of a row in one label."""
    return shortened(" · ".join(filter(None, (phase, axis))) or "all phases")


def shortened(label: str) -> str:
    """Label of at most 28 characters."""
    return label if len(label) <= MAX_LABEL else f"{label[: MAX_LABEL - 1]}…"


def in_words(metric: str, phase: str, axis: str) -> str:
    """Quantity of a row within a sentence, e.g. ``chord length of pore along z``."""
    of = f" of {phase}" if phase else ""
    if not axis:
        return f"{readable(metric)}{of}"
    along = "along " if axis in AXES else ""  # or "normal to z"
    return f"{readable(metric)}{of} {along}{axis}"
