"""One answer from many rows: the same material, not the same, or undecided."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from metrics.description import CURVE
from metrics.intervals import CONFIDENCE, Verdict
from metrics.volume import AXES
from metrics.wording import in_words

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 1 - CONFIDENCE
MOST_NAMED = 5  # quantities in a sentence
WIDEST = 0.5  # margin that a sentence names: beyond it, that all agree says nothing

# Rows that say for two phases what another row has said, and for more what interfaces sum up to.
_FIRST_OF_TWO = ("volume_fraction", "chord_length", "specific_surface_area")
_SUMS = ("specific_surface_area", "active_tpb_density", "boundary_length")


class RowTest(NamedTuple):
    """One quantity, the p-value of its difference, its own verdict, and when it would be `same`."""

    metric: str
    phase: str
    axis: str
    p: float
    verdict: Verdict
    margin_needed: float = math.nan


@dataclass(frozen=True)
class Answer:
    """Whether two samples are the same material.

    Attributes
    ----------
    verdict : {"same", "differs", "undecided"}
    sentence : str
        The verdict in words.
    tests : pandas.DataFrame
        Quantities that were decided on, the K rows of the family: metric, phase, axis, p (of the
        hypothesis that they differ by no more than the margin), verdict (of the row alone),
        margin_needed, differs (by Holm, jointly with all others).
    """

    verdict: Literal["same", "differs", "undecided"]
    sentence: str
    tests: pd.DataFrame


def answer(
    tests: Sequence[RowTest],
    phases: Sequence[str],
    *,
    margin: float,
    same_volumes: bool = False,
    real: str = "volumes",
) -> Answer:
    """Answer from all rows of a comparison.

    `differs` if the least p-value is at most .05 / K (Bonferroni): said of two samples of one
    material at most once in twenty comparisons, however many rows they have. Holm's step-down rule
    then names the further rows that differ. `same` if every row is `same` at its own 95 %: a union
    of K statements that all must hold, so that their level needs no correction. Else `undecided`.

    The family holds no number twice: of two phases one fraction, one chord length and the surface
    between them; of more the fractions but the last, and interfaces instead of surfaces (on
    sections: lines between phases instead of boundaries); never the active TPB, which follows from
    TPB and percolation, nor the radial S2 where the axes have rows.

    Parameters
    ----------
    tests : sequence of RowTest
        Of every row; quantities that neither sample defines are left out.
    phases : sequence of str
        Names of the phases in order.
    margin : float
        For the sentence.
    same_volumes : bool
        Both samples are the same data: `same`.
    real : str
        What the real sample holds, for the sentence.

    References
    ----------
    S. Holm, Scandinavian Journal of Statistics 6 (1979) 65 (www.jstor.org/stable/4615733).
    """
    import pandas as pd

    directed = any(test.metric == CURVE and test.axis in AXES for test in tests)
    family = [test for test in tests if _counts(test, phases, directed)]
    differs = _holm([test.p for test in family])
    frame = pd.DataFrame(family, columns=list(RowTest._fields)).assign(differs=differs)
    if same_volumes:
        return Answer("same", "The same material: both samples are the same data.", frame)
    if not family:
        return Answer("undecided", "Undecided: nothing could be measured in both samples.", frame)
    if differs.any():
        named = _list([family[k] for k in np.flatnonzero(differs)])
        verb = "differs" if differs.sum() == 1 else "differ"
        text = f"Not the same material: {named} {verb} by more than {margin:.3g} of the real value"
        return Answer("differs", f"{text} ({_share(differs.sum(), family)}).", frame)
    unsure = [test for test in family if test.verdict != "same"]
    if not unsure:
        text = f"The same material: all {len(family)} quantities agree within {margin:.3g}"
        return Answer("same", f"{text} of the real value.", frame)
    same = len(family) - len(unsure)
    text = (
        "Undecided: no difference is beyond what chance makes of so many rows, and "
        f"{_share(same, family)} agree within {margin:.3g} of the real value; "
        f"not known of {_list(unsure)}. {_remedy(unsure, real)}"
    )
    return Answer("undecided", text, frame)


def _remedy(unsure: Sequence[RowTest], real: str) -> str:
    """What would decide: a wider margin, if one would, or more data."""
    widest = max(unsure, key=lambda test: np.nan_to_num(test.margin_needed, nan=math.inf))
    if not widest.margin_needed <= WIDEST:
        return f"More or larger {real} would decide."
    name = in_words(widest.metric, widest.phase, widest.axis)
    return f"All agree within {widest.margin_needed:.2g} ({name}); more data would say more."


def _counts(test: RowTest, phases: Sequence[str], directed: bool) -> bool:
    """Whether a row belongs to the family of those that the answer rests on."""
    if test.metric == CURVE and directed:
        return test.axis in AXES
    if len(phases) == 2:
        return test.metric not in _FIRST_OF_TWO or test.phase == phases[0]
    if test.metric == "volume_fraction":
        return test.phase != phases[-1]
    return test.metric not in _SUMS


def _holm(p: Sequence[float]) -> np.ndarray:
    """Which hypotheses Holm's step-down rule rejects at the joint level."""
    order = np.argsort(p, kind="stable")
    passed = np.sort(p) <= LEVEL / np.arange(len(p), 0, -1)
    rejected = np.zeros(len(p), bool)
    rejected[order] = np.logical_and.accumulate(passed)
    return rejected


def _share(count: int, family: Sequence[RowTest]) -> str:
    return f"{count} of {len(family)} quantities"


def _list(tests: Sequence[RowTest]) -> str:
    """Join the first few quantities as words."""
    names = [in_words(test.metric, test.phase, test.axis) for test in tests[:MOST_NAMED]]
    if more := len(tests) - len(names):
        return f"{', '.join(names)} and {more} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
