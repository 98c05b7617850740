"""Effective diffusivity compared with the peers: time, memory, error, and how the cost grows.

    pip install -c constraints.txt -e ".[peers]"
    python -m benchmarks.speed.diffusivity --sizes 64 128 192 256 400

Every solver gets the same phase of the same cube along z, in a process of its own, after a warm-up
on a small cube, one after another. Ours includes finding what percolates and building the coarse
grids. The error is that of the value against our own solve to 1e-10, which the tests hold to a
float64 sparse solve; PoreSpy and OpenImpala put the planes into the outermost voxels, which is
another quantity: no error is given. A size larger than a volume is left out, and so are peers
where they would take hours or more memory than the machine has, and rows that the CSV has already,
so that a run that was stopped goes on. `generated pore` is that of a shipped generator, at any
size; on a GPU (``--device cuda``) ours finds what percolates on the CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numba
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks import datasets
from benchmarks.script import Script
from benchmarks.speed.counting import MEMORY_FLOOR, WARM_UP
from benchmarks.speed.turns import measured_in_turn, serve
from benchmarks.tables import device_name, write_result
from metrics.command.arguments import Parser
from metrics.connectivity import through_mask
from metrics.diffusivity import effective_diffusivity
from metrics.files import replacing
from metrics.solver.cells_grid import grids

SCRIPT = Script("speed.diffusivity", __doc__)

Labels = NDArray[np.uint8]
Answer = tuple[float, int | None]  # D_eff, and iterations where they are told

GENERATED = "generated"
CASES = {
    "nmc pore": ("nmc", 0),
    "nmc NMC": ("nmc", 1),
    "berea pore": ("berea", 0),
    "generated pore": (GENERATED, 0),  # of any size, and on every machine
}
KEY = ["case", "size", "solver"]
OURS, EXACT = "multigrid", "multigrid to 1e-10"
FLOATS = "%.10g"  # errors are made from what the file holds
REPEATS = 3
# Largest cubes: PoreSpy takes 500 bytes a voxel, OpenImpala's wheel solves with SciPy here.
LARGEST = {"PoreSpy": 256, "OpenImpala": 64}


def multigrid(labels: Labels, phase: int, device: str, tol: float = 2e-3) -> Answer:
    found = effective_diffusivity(
        labels, phase=phase, axis="z", solver="multigrid", tol=tol, device=device
    )
    return found.value, found.iterations


def exact(labels: Labels, phase: int, device: str) -> Answer:
    return multigrid(labels, phase, device, 1e-10)


def taufactor(labels: Labels, phase: int, device: str) -> Answer:
    import taufactor

    solver = taufactor.Solver((labels == phase).astype(np.uint8), device=device)
    solver.solve(verbose=False)
    return float(solver.D_eff[0]), int(solver.iter)


def porespy(labels: Labels, phase: int, _: str) -> Answer:
    import porespy

    found = porespy.simulations.tortuosity_fd(labels == phase, axis=0)
    return found.effective_porosity / found.tortuosity, None


def openimpala(labels: Labels, phase: int, _: str) -> Answer:
    import openimpala  # type: ignore[import-not-found]

    with openimpala.Session():
        # Its x is our first axis.
        found = openimpala.tortuosity(labels.astype(np.int32), phase=phase, direction="x")
    return found.active_volume_fraction / found.tortuosity, found.iterations


SOLVERS: dict[str, Callable[[Labels, int, str], Answer]] = {
    OURS: multigrid,
    EXACT: exact,
    "TauFactor": taufactor,
    "PoreSpy": porespy,
    "OpenImpala": openimpala,
}
SAME_PLANES = (OURS, "TauFactor")


def fits(case: str, size: int) -> bool:
    dataset, _ = CASES[case]
    return dataset == GENERATED or size <= min(datasets.load(dataset).shape)


def cube(case: str, size: int) -> tuple[Labels, int]:
    """A corner of a case's volume, and the phase that conducts."""
    dataset, phase = CASES[case]
    if dataset == GENERATED:
        from slicegan.generation import generate

        labels = generate("nmc", size).labels
    else:
        labels = datasets.load(dataset).labels[:size, :size, :size]
    return np.ascontiguousarray(labels, dtype=np.uint8), phase


def serve_solver(solver: str, case: str, size: int, device: str) -> None:
    """Child process: one solver, after a warm-up."""
    solve, (labels, phase) = SOLVERS[solver], cube(case, size)
    with contextlib.redirect_stdout(io.StringIO()):
        solve(np.ascontiguousarray(labels[:WARM_UP, :WARM_UP, :WARM_UP]), phase, device)
    serve(partial(solve, labels, phase, device), device=device)


def measured(case: str, size: int, solver: str, device: str) -> dict[str, Any]:
    """One row."""
    command = [sys.executable, "-m", "benchmarks.speed.diffusivity", "--device", device]
    command += ["--serve", solver, case, str(size)]
    runs = measured_in_turn({solver: command}, REPEATS if solver == OURS else 1)[solver]
    value, iterations = runs[0].answer
    return {
        "case": case,
        "size": size,
        "solver": solver,
        "seconds": median(run.seconds for run in runs),
        "bytes a voxel": median(run.memory for run in runs) / size**3,
        "D_eff": value,
        "iterations": iterations,
    }


def wanted(args: argparse.Namespace) -> Iterator[tuple[str, int, str]]:
    """Case, size and solver of each row, small ones first."""
    for size in sorted(args.sizes):
        for case in args.cases:
            if fits(case, size):
                for solver in (OURS, EXACT, *args.peers):
                    if size <= LARGEST.get(solver, size):
                        yield case, size, solver


def bandwidth() -> float:
    """Bytes a second that all cores move together in a + s b: the best of some turns."""
    a, b, c = (np.ones(1 << 26, np.float32) for _ in range(3))
    best = np.inf
    for _ in range(6):
        start = perf_counter()
        _triad(a, b, c)
        best = min(best, perf_counter() - start)
    return 3 * a.nbytes / best


@numba.njit(parallel=True, fastmath=True)
def _triad(a: Any, b: Any, c: Any) -> None:
    for i in numba.prange(len(a)):
        c[i] = a[i] + np.float32(3) * b[i]


def bytes_moved(labels: Labels, phase: int, iterations: int) -> float:
    """Least traffic of our solve: each array that a pass needs, once a pass.

    A cell of the finest grid costs 186 bytes an iteration: 24 of neighbours in each of 1.5 passes
    of relaxation, half a one of restriction and one of multiplication; solution, source, direction
    and residual. One of a coarse grid, with its six conductances and two turns, costs 292 a visit;
    depth d is visited 2^(d - 1) times.
    """
    mask = np.ascontiguousarray(through_mask(labels, phase=phase, axis="z"))
    cells = [
        len(g.inverse) for g in grids(mask, (1, 1, 1), planes=True, rings=(False, False, False))
    ]
    coarse = sum(292 * n * 2.0**depth for depth, n in enumerate(cells[1:]))
    return iterations * (186 * cells[0] + coarse)


def roofline(rows: pd.DataFrame) -> dict[str, str]:
    """Facts: how far our last solve is from moving its arrays."""
    last, rate = rows[rows.solver == OURS].iloc[-1], bandwidth()
    case, size = last["case"], int(last["size"])
    floor = bytes_moved(*cube(case, size), int(last.iterations)) / rate
    return {
        "memory bandwidth, all cores": f"{rate / 1e9:.1f} GB/s",
        f"our solve of {case}, {size}^3": f"{last.seconds:.2f} s; to move its arrays at that "
        f"bandwidth would take {floor:.2f} s",
    }


def exponents(rows: pd.DataFrame) -> dict[str, str]:
    """Power of the number of voxels with which each solver's time grows, fitted over the sizes."""
    found: dict[str, list[str]] = {}
    for (case, solver), of in rows.groupby(["case", "solver"], sort=False):
        if len(of) > 1:
            slope = np.polyfit(np.log(of["size"] ** 3), np.log(of.seconds), 1)[0]
            found.setdefault(str(solver), []).append(f"{slope:.2f} ({case})")
    return {solver: ", ".join(slopes) for solver, slopes in found.items()}


def figure(rows: pd.DataFrame, file: Path) -> None:
    """Seconds over voxels, one panel a case."""
    from matplotlib.figure import Figure

    cases = list(rows["case"].unique())
    plot = Figure(figsize=(4 * len(cases), 3.6), layout="constrained")
    panels = plot.subplots(1, len(cases), sharex=True, sharey=True, squeeze=False)[0]
    for panel, case in zip(panels, cases, strict=True):
        for solver, of in rows[rows["case"] == case].groupby("solver", sort=False):
            colour = f"C{list(SOLVERS).index(solver)}"
            panel.loglog(of["size"] ** 3, of.seconds, "o-", color=colour, label=solver)
        panel.set(title=case, xlabel="voxels")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("time of one solve (s)")
    # One entry a solver, though not each has a line in every panel.
    lines = {line.get_label(): line for panel in panels for line in panel.get_lines()}
    plot.legend(lines.values(), lines.keys(), loc="outside upper center", ncols=len(lines))
    plot.savefig(file, format="png", dpi=110)


def beside(rows: pd.DataFrame) -> pd.DataFrame:
    """Each row with its error, and its time and memory over ours on the same cube."""
    keys = pd.MultiIndex.from_frame(rows[["case", "size"]])

    def of(solver: str, column: str) -> pd.Series:
        found = rows[rows.solver == solver].set_index(["case", "size"])[column]
        return found.reindex(keys).set_axis(rows.index)

    table = rows.copy()
    known = rows.solver.isin(SAME_PLANES)
    table["error"] = abs(rows["D_eff"] / of(EXACT, "D_eff") - 1).where(known)
    table["time / ours"] = rows.seconds / of(OURS, "seconds")
    memory = of(OURS, "bytes a voxel").clip(lower=MEMORY_FLOOR)
    table["memory / ours"] = rows["bytes a voxel"] / memory
    return table


def _parser() -> Parser:
    parser = SCRIPT.parser()
    parser.add_argument("--cases", nargs="+", choices=tuple(CASES), default=list(CASES)[:3])
    parser.add_argument("--sizes", nargs="+", type=int, default=[64, 128, 192, 256, 400])
    parser.add_argument(
        "--peers", nargs="+", choices=tuple(SOLVERS)[2:], default=["TauFactor", "PoreSpy"]
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    return SCRIPT.run(_parser(), argv, work)


def work(args: argparse.Namespace, command: str) -> int:
    if args.serve:
        solver, case, size = args.serve
        serve_solver(solver, case, int(size), args.device)
        return 0

    file = args.out / "speed_diffusivity.csv"
    rows = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=KEY)
    done = set(rows[KEY].itertuples(index=False, name=None))
    for key in wanted(args):
        if key not in done:
            new = measured(*key, args.device)
            print(new, flush=True)
            rows = pd.DataFrame([*rows.to_dict("records"), new])[list(new)]
            args.out.mkdir(parents=True, exist_ok=True)
            with replacing(file) as temporary:
                rows.to_csv(temporary, index=False, float_format=FLOATS)
    order = [*CASES, *SOLVERS]
    rows = rows.sort_values(
        ["size", "case", "solver"],
        key=lambda of: of if of.name == "size" else of.map(order.index),
        ignore_index=True,
    )
    facts = {
        "command": command,
        "repeats": f"ours {REPEATS}, median; peers 1",
        "device": device_name(args.device),
        "threads": os.cpu_count(),
        "tolerances": "ours 2e-3 (spread of the layer fluxes); peers as they come",
        **(roofline(rows) if args.device == "cpu" else {}),
        **{f"time grows with voxels to the power, {k}": v for k, v in exponents(rows).items()},
    }
    with replacing(args.out / "speed_diffusivity.png") as temporary:
        figure(rows, temporary)
    text = SCRIPT.text
    text += "\n![time over voxels](speed_diffusivity.png)"
    write_result(
        args.out / "speed_diffusivity", "Effective diffusivity compared with the peers", text,
        beside(rows), facts, floats=FLOATS,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
