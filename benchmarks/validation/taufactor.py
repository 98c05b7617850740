"""Effective diffusivity by TauFactor and by the multigrid solver, on the same sub-volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from metrics.comparison.measuring import Measured

D_EFF = "effective_diffusivity"


class Row(NamedTuple):
    """One phase and axis of a sub-volume by both solvers; seconds are of all its solves."""

    block: int
    phase: str
    axis: str
    taufactor: float
    multigrid: float
    difference: float
    seconds_taufactor: float
    seconds_multigrid: float


def beside(by_taufactor: Sequence[Measured], by_multigrid: Sequence[Measured]) -> pd.DataFrame:
    """Rows of the sub-volumes that both have solved; what does not percolate is left out."""
    rows = []
    for block, both in enumerate(zip(by_taufactor, by_multigrid, strict=False)):
        slow, fast = (
            {(row.phase, row.axis): row.value for row in of.rows if row.metric == D_EFF}
            for of in both
        )
        seconds = [of.seconds[D_EFF] for of in both]
        for (phase, axis), value in slow.items():
            if value:
                ours = fast[phase, axis]
                rows.append(Row(block, phase, axis, value, ours, abs(ours / value - 1), *seconds))
    return pd.DataFrame(rows, columns=list(Row._fields))


def solver_summary(rows: pd.DataFrame) -> pd.DataFrame:
    """One line a sample; a solve that did not converge (nan) has no difference."""
    lines = []
    for sample, of in rows.groupby("sample", sort=False):
        known = of.dropna(subset="difference").sort_values("difference")
        largest = [f"{r.difference:.1e} ({r.phase}, {r.axis})" for r in known.tail(1).itertuples()]
        each = of.drop_duplicates("block")
        lines.append(
            {
                "sample": sample,
                "sub-volumes": len(each),
                "solves": len(of),
                "converged": len(known),
                "median difference": f"{known.difference.median():.1e}",
                "largest difference": "".join(largest),
                "TauFactor, s a sub-volume": f"{each.seconds_taufactor.mean():.1f}",
                "multigrid, s a sub-volume": f"{each.seconds_multigrid.mean():.1f}",
            }
        )
    return pd.DataFrame(lines)
