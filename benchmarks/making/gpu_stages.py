"""What `benchmarks.making.gpu_job` measures on a GPU, stage by stage, each a row at a time.

A stage yields its rows as it measures them, so that one which is cut keeps what it has. Of what the
project uses much is not installed on a borrowed machine: imports that need more stand in the stage.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from threading import Timer
from types import ModuleType
from typing import Any

import numpy as np
import torch

from benchmarks.making.gpu_checks import Job, Row, correctness, small
from benchmarks.speed.turns import Run, measure
from metrics.connectivity import through_mask
from metrics.diffusivity import effective_diffusivity
from metrics.volume import Phase, Volume

ITERATIONS = 1000  # of a solve at most: one that is hardly connected would take the whole stage
SOLVED_BYTES = 100  # of a voxel, on the device (an estimate)
STEPS = 40
JUDGED = ("fraction", "s2", "boundary", "lattice")
Solver = Callable[[Any, int, str], tuple[float, int | None]]


def solver(job: Job) -> Iterator[Row]:
    """D_eff of the pore of a generated electrode, ours and TauFactor's on the same device."""
    from benchmarks.speed.diffusivity import taufactor
    from slicegan.generation import generate

    device = str(job.device)
    solvers: dict[str, Solver] = {"ours": on_arrays}
    if _has_taufactor():
        solvers["TauFactor"] = taufactor
    for solve in solvers.values():
        solve(generate("nmc", 32).labels, 0, device)
    for side in (32, 48) if job.tiny else (128, 256, 512):
        labels = generate("nmc", side, device=device).labels
        for name, solve in solvers.items():
            yield _solved(name, solve, labels, device)
        yield _solved("ours: what is connected, on the CPU", connected, labels, "cpu")


def largest(job: Job) -> Iterator[Row]:
    """D_eff of larger volumes, as far as they fit: copies of a periodic one, ours alone."""
    from slicegan.generation import generate

    device = str(job.device)
    on_arrays(generate("nmc", 32).labels, 0, device)
    for half in (32,) if job.tiny else (384, 512):
        side = 2 * half
        if device == "cuda" and torch.cuda.mem_get_info()[0] < SOLVED_BYTES * side**3:
            print(f"largest: {side}^3 voxels do not fit", flush=True)
            return
        periodic = generate("nmc", half, periodic="zyx", device=device).labels
        yield _solved("ours", on_arrays, np.tile(periodic, (2, 2, 2)), device)


def _has_taufactor() -> bool:
    """Whether TauFactor can be imported; a notebook's display, which it imports, is not needed."""
    if find_spec("IPython") is None:
        display = ModuleType("IPython.display")
        display.clear_output = lambda **_: None  # type: ignore[attr-defined]
        sys.modules |= {"IPython": ModuleType("IPython"), "IPython.display": display}
    try:
        import_module("taufactor")
    except ImportError as error:
        print(f"TauFactor: not measured ({error})", flush=True)
        return False
    return True


def _solved(name: str, solve: Solver, labels: Any, device: str) -> Row:
    """A solve of the first phase along z."""
    run = measure(partial(solve, labels, 0, device), device)
    value, iterations = run.answer
    return {
        "solver": name, "side": len(labels), "seconds": run.seconds, "D_eff": value,
        "iterations": iterations, "bytes per voxel": run.memory / labels.size,
    }  # fmt: skip


def on_arrays(labels: Any, phase: int, device: str) -> tuple[float, int | None]:
    """Our solver of GPUs, which first finds what is connected on the CPU."""
    found = effective_diffusivity(
        labels, phase=phase, axis="z", solver="multigrid_on_arrays", device=device
    )
    return found.value, found.iterations


def connected(labels: Any, phase: int, _: str) -> tuple[float, int | None]:
    """That alone."""
    through_mask(labels, phase=phase, axis="z")
    return np.nan, None


def generation(job: Job) -> Iterator[Row]:
    """Voxels per second of the shipped `nmc` and of the paper's network, and into a file."""
    from benchmarks.speed.generation import PAPER, model_of
    from slicegan.checkpoint import load_model
    from slicegan.generation import generate, stream

    device = str(job.device)
    models = {"nmc": load_model("nmc"), "paper's network": model_of(PAPER)}
    for name, model in models.items():
        generate(model.to(device), 32)
        for side in (48,) if job.tiny else (256, 464):  # 464^3 is 10^8
            run = measure(partial(generate, model, side), device)
            yield _voxels(f"{name}, in memory", side, run)
    side, file = (48 if job.tiny else 256), job.out / "generated.tif"
    run = measure(partial(stream, models["nmc"], file, side), device)
    file.unlink()
    yield _voxels("nmc, into a TIFF", side, run)


def _voxels(name: str, side: int, run: Run) -> Row:
    return {
        "what": name, "side": side, "seconds": run.seconds,
        "voxels per second": side**3 / run.seconds, "GiB": run.memory / 2**30,
    }  # fmt: skip


def training(job: Job) -> Iterator[Row]:
    """Seconds of a step of the generator, and the operations that take most of it."""
    from slicegan.preflight import fit
    from slicegan.settings import preset
    from slicegan.training import Trainer

    material, source = small()
    first, *others = ("tiny",) if job.tiny else ("fast", "paper")
    trainers = {}
    for name in (first, *others):
        config = fit(preset(name), material)
        trainers[name] = Trainer([source.to(job.device)], config, seed=0, device=job.device)
        yield _step(f"{name}: step of the generator", trainers[name], job)
        yield from _kernels(name, trainers[name], job)
    yield from _original(job)
    # Last, since compiling takes a good part of the time: is it worth building in?
    for way in ("default", "reduce-overhead"):  # the second by CUDA graphs
        kind = {"backend": "aot_eager"} if job.tiny else {"mode": way}
        trainers[first].generator.compile(**kind)
        yield _step(f"{first}: step, generator compiled ({way})", trainers[first], job)


def _step(what: str, trainer: Any, job: Job) -> Row:
    """Row of a step of the generator, the mean over whole rounds of penalties after one more."""
    every = trainer.config.penalty_every
    _advance(trainer, every)
    steps = (1 if job.tiny else max(1, STEPS // every)) * every
    run = measure(partial(_advance, trainer, steps), str(job.device))
    return {
        "what": what, "seconds": run.seconds / steps, "share": 1.0, "GiB": run.memory / 2**30,
    }  # fmt: skip


def _advance(trainer: Any, steps: int) -> None:
    for _ in range(steps):
        trainer.advance()


def _original(job: Job) -> Iterator[Row]:
    """A step of the unmodified original, and of ours with its batches, if a checkout is given."""
    if job.reference is None:
        print("the original: not measured, give --reference CHECKOUT", flush=True)
        return
    from argparse import Namespace

    from benchmarks.speed import training as against_original

    args = Namespace(device=job.device.type, width=64, seed=0, presets=[], repeats=1)
    for row in against_original.measure(args, job.reference.resolve()).to_dict("records"):
        yield {
            "what": f"{row['code']}: step of the generator", "seconds": row["s per step"],
            "share": 1.0, "GiB": np.nan,
        }  # fmt: skip


def _kernels(name: str, trainer: Any, job: Job) -> Iterator[Row]:
    """The ten operations that take most of a step's time on the device, penalties included."""
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    cuda = job.device.type == "cuda"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * cuda
    steps = trainer.config.penalty_every
    with profile(activities=activities) as profiled:
        _advance(trainer, steps)
    column = "self_device_time_total" if cuda else "self_cpu_time_total"
    # A kernel's time is that of the operation too that started it, and of annotations around it.
    where = DeviceType.CUDA if cuda else DeviceType.CPU
    events = [
        (getattr(event, column) / 1e6 / steps, event.key)
        for event in profiled.key_averages()
        if event.device_type == where and not event.is_user_annotation
    ]
    total = sum(seconds for seconds, _ in events)
    for seconds, key in sorted(events, reverse=True)[:10]:
        yield {
            "what": f"{name}: {key[:60]}", "seconds": seconds,
            "share": seconds / total if total else np.nan, "GiB": np.nan,
        }  # fmt: skip


def learnt_from(*, tiny: bool) -> str:
    """Dataset whose slice `fidelity` learns from."""
    return "snow" if tiny else "nmc"


def fidelity(job: Job) -> Iterator[Row]:
    """A run on one slice of the electrode for the time that is left, and how good it is then."""
    from benchmarks import datasets
    from benchmarks.validation.cases import CASES
    from slicegan.checkpoint import load_model
    from slicegan.fidelity import judge
    from slicegan.generation import generate
    from slicegan.runs import Run
    from slicegan.settings import override, preset

    real = datasets.load(learnt_from(tiny=job.tiny))
    name = f"{learnt_from(tiny=job.tiny)}-slice"
    data = CASES[name].training_data(real, job.out, name)
    config = preset("tiny" if job.tiny else "fast")
    if job.tiny:
        few = ["training.evaluate_every=2", "training.calibration_volumes=8"]
        config = override(config, ["training.steps=2", "training.norm_volumes=8", *few])
    folder = job.out / "run"
    if (folder / "config.json").exists():
        run = Run.resume(folder, device=job.device)
    else:
        after = None if job.tiny else max(job.left() * 0.5, 1.0)
        run = Run.start(folder, data, config, seed=0, device=job.device, stop_after=after)
    with ended_after(0.75 * job.left()):
        run.train(progress=True)
    yield _row("steps", run.trainer.step)
    if not run.rows:
        print("fidelity: no evaluation within the time", flush=True)
        return
    model = load_model(folder).to(job.device)
    side, count = (64, 2) if job.tiny else (128, 16)
    volumes = [generate(model, side, seed=seed) for seed in range(count)]
    errors = judge(volumes, run.reference, stride=model.generator.stride).row()
    yield from (_row(f"error of {kind}", errors[kind]) for kind in JUDGED)
    corner = real.crop((slice(side), slice(side), slice(side)))
    for what, some in (("generated", volumes[:4]), ("one real corner", [corner])):
        for phase, axis in product(real.phases, "zyx"):
            yield _conducts(what, phase, axis, some, job)


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """Interrupt what takes longer, so that a run keeps its state and its best generator."""
    timer = Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    # A process that a shell starts in the background ignores the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
    signal.signal(signal.SIGINT, before)


def _conducts(what: str, phase: Phase, axis: str, volumes: list[Volume], job: Job) -> Row:
    """Row of the mean effective diffusivity of a phase along an axis; nan if one did not end."""
    solves = [
        effective_diffusivity(
            v, phase=phase.label, axis=axis, solver="multigrid_on_arrays",
            device=str(job.device), max_iterations=ITERATIONS, throw=False,
        )
        for v in volumes
    ]  # fmt: skip
    values = [solve.value if solve.converged else np.nan for solve in solves]
    return _row(f"D_eff, {what}", np.mean(values), phase.name, axis, np.std(values))


def _row(what: str, value: Any, phase: str = "", axis: str = "", deviation: Any = np.nan) -> Row:
    return {
        "what": what, "phase": phase, "axis": axis,
        "value": float(value), "standard deviation": float(deviation),
    }  # fmt: skip


# Share of the time, and what is measured, in order of worth.
STAGES: dict[str, tuple[float, Callable[[Job], Iterator[Row]]]] = {
    "correctness": (1.0, correctness),
    "solver": (1.0, solver),
    "generation": (0.5, generation),
    "training": (1.5, training),
    "fidelity": (3.0, fidelity),
    "largest": (1.0, largest),
}
