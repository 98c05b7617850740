"""What is asked of a solver, and what it answers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Solution(NamedTuple):
    """What a solver says of one volume: fields of `Diffusivity`."""

    value: float
    residual: float = 0.0
    iterations: int = 0
    converged: bool = True
    concentration: NDArray[np.float32] | None = None  # along the first axis


class Task(NamedTuple):
    """What is asked of a solver."""

    spacing: tuple[float, ...]  # along the flux first
    tol: float
    max_iterations: int
    device: str = "cpu"
    periodic: bool = False
    concentration: bool = False
