"""Training compared with the original SliceGAN: time, memory and work of a step of the generator.

The original runs unmodified from a git checkout of it (``--reference``), ours beside it, on the
same image with networks of the same widths, each in a process of its own; they do a step of the
generator in turn, which includes the steps of the critics before it. Its time is the median of the
turns; two steps before, to warm up and to count the work, are not timed. Where a penalty is taken
at some steps only, a turn is a round of steps, and the table has their mean. Every fifth step of
the original also draws plots, which the median leaves out.

The first row of ours has the original's batches: 8 real slices, 8 volumes with all their slices,
5 iterations, one isotropic image. The algorithms still differ: in an iteration the original steps
its critic once for each axis, ours once on the slices of all three. So the work of a step is
counted too: slices judged by a critic, penalties included, and floating-point operations of
convolutions. Ratios are ours over the original's: of steps, slices and operations per second.

The other rows are presets, at the same widths but with batches and a loss of their own.

Set-up is all between the imports and the first volume: reading and cropping the image, making the
networks. Memory is counted beyond what the process holds after its imports. The peak of training
includes what is held from the set-up: in the original 28 800 crops for each axis.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import math
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import psutil
import torch

from benchmarks.script import Script
from benchmarks.speed.meter import Finished, Meter
from benchmarks.speed.original import commit_of
from benchmarks.speed.turns import in_turn
from benchmarks.tables import device_name, write_result
from metrics.shapes import gaussian_random_field
from metrics.volume import InputError

SCRIPT = Script("speed.training", __doc__)

# `slicegan` is imported only inside functions: in one process it is the original's.
ORIGINAL = "original"
EQUAL = "paper, the original's batches"
EQUAL_BATCHES = [
    "training.critic_steps=5",
    "training.critic_volumes=8",
    "training.generator_volumes=8",
    "training.slices=0",
    "training.real_slices=8",
]
WIDTH = {"cpu": 8, "cuda": 64}  # 64 is the paper's
PHASES, SLICE, SIDE = 2, 64, 256
# The original keeps so many crops of each axis as float32, while it prepares the next in float64.
CROPS = 28_800
CROP_BYTES = PHASES * SLICE**2 * (3 * 4 + 8)


def serve_original(checkout: Path, folder: Path, args: argparse.Namespace) -> NoReturn:
    """Child process: the original's own training loop, on its own networks."""
    os.environ["MPLBACKEND"] = "agg"
    sys.dont_write_bytecode = True  # leave the checkout as it is
    if args.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # it would take any GPU there is
    sys.path.insert(0, str(checkout))
    networks, model = (
        importlib.import_module(f"slicegan.{name}") for name in ("networks", "model")
    )
    if not Path(networks.__file__ or "").is_relative_to(checkout):
        raise InputError(f"{networks.__file__} was imported instead of {checkout}")
    stem, n = str(folder / "original"), args.width
    critic = [4] * 5, [2] * 5, [PHASES, n, 2 * n, 4 * n, 8 * n, 1], [1, 1, 1, 1, 0]
    generator = [4] * 5, [2] * 5, [n, 8 * n, 4 * n, 2 * n, n, PHASES], [2, 2, 2, 2, 3]
    torch.manual_seed(args.seed)
    with contextlib.redirect_stdout(io.StringIO()):
        disc, gen = networks.slicegan_nets(stem, True, "nphase", *critic, *generator)
        meter = Meter(torch.device(args.device))
        model.train(
            *(stem, "nphase", "tif2D", [str(_image(folder))]),
            *(lambda: meter.watch_critic(disc()), lambda: meter.watch_generator(gen())),
            *(PHASES, SLICE, n, 1),
        )
    raise InputError("the original ended before all turns were over: ask for fewer")


def serve_ours(name: str, folder: Path, args: argparse.Namespace) -> NoReturn:
    """Child process: our training loop, with one of the configs in the folder."""
    from slicegan.config import Config
    from slicegan.data import load_training_data
    from slicegan.settings import from_json
    from slicegan.training import Trainer

    device = torch.device(args.device)
    config = from_json((folder / f"{name}.json").read_bytes(), Config)
    training = config.training
    # The critic's step with a penalty takes longer: whole rounds of steps are measured.
    steps = training.penalty_every // math.gcd(training.penalty_every, training.critic_steps)
    meter = Meter(device, steps=steps)
    data = load_training_data(_image(folder)).to(device)
    trainer = Trainer(data.sources, config, seed=args.seed, device=device)
    meter.watch_generator(trainer.generator)
    for player in trainer.players:
        meter.watch_critic(player.critic)
    while True:
        trainer.advance()


def prepare(folder: Path, args: argparse.Namespace) -> list[str]:
    """Write the image and the config of each of our rows; their names."""
    import tifffile

    from slicegan.data import load_training_data
    from slicegan.preflight import check, fit
    from slicegan.settings import override, preset, to_json

    field = gaussian_random_field((1, SIDE, SIDE), correlation_length=4, seed=args.seed)
    tifffile.imwrite(_image(folder), field.volume.labels[0].astype(np.uint8))
    data = load_training_data(_image(folder))
    # On a GPU PyTorch lets the convolutions of the original use TF32 by default.
    precision = ["training.precision=tf32"] if args.device == "cuda" else []
    settings = {EQUAL: ("paper", EQUAL_BATCHES + precision)}
    settings |= {name: (name, []) for name in args.presets}
    n = args.width
    widths = [
        f"generator.latent_channels={n}",
        f"generator.filters={[8 * n, 4 * n, 2 * n, n]}",
        f"critic.filters={[n, 2 * n, 4 * n, 8 * n]}",
    ]
    for name, (base, changes) in settings.items():
        config = fit(override(preset(base), [*widths, *changes]), data.material)
        check(data, config)
        (folder / f"{name}.json").write_text(to_json(config), encoding="utf-8")
    return list(settings)


def _image(folder: Path) -> Path:
    return folder / "image.tif"


def check_memory() -> None:
    """Raise `InputError` if the original's crops do not fit."""
    needed, free = CROPS * CROP_BYTES / 1e9, psutil.virtual_memory().available / 1e9
    if free < needed:
        raise InputError(
            f"the original keeps {CROPS} crops of each axis: it needs {needed:.1f} GB of memory, "
            f"{free:.1f} are free: use a larger machine"
        )


def measure(args: argparse.Namespace, checkout: Path) -> pd.DataFrame:
    """One row for the original and for each of our settings."""
    options = [f"--{name}={getattr(args, name)}" for name in ("device", "width", "seed")]
    module = [sys.executable, "-m", "benchmarks.speed.training", *options]
    with tempfile.TemporaryDirectory() as folder:
        names = [ORIGINAL, *prepare(Path(folder), args)]
        commands = {
            name: [*module, "--reference", str(checkout), "--serve", name, folder] for name in names
        }
        lines = in_turn(commands, args.repeats)
    rows = [row_of(name, [json.loads(line) for line in lines[name]]) for name in names]
    table = pd.DataFrame(rows)
    speed = 1 / table["s per step"]
    table.insert(1, "steps per second", speed)
    table["ratio of steps"] = speed / speed[0]
    for work in ("slices judged", "GFLOP"):
        done = speed * table[f"{work} per step"]
        table[f"ratio of {work}"] = done / done[0]
    return table


def row_of(name: str, answers: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Row from the answers of one process: its set-up and work, then its turns."""
    figures, *turns = answers
    medians = {key: median(turn[key] for turn in turns) for key in turns[0]}
    return {
        "code": name if name == ORIGINAL else f"ours: {name}",
        "s per step": medians.pop("s per step"),
        **medians,
        **figures,
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = SCRIPT.parser()
    parser.add_argument("--reference", type=Path, required=True, help="checkout of the original")
    parser.add_argument("--device", choices=tuple(WIDTH), default="cpu")
    parser.add_argument(
        "--width", type=int, help="channels of the noise, and of the thinnest layers (8, cuda: 64)"
    )
    parser.add_argument(
        "--presets",
        nargs="*",
        default=["fast", "narrow"],
        help="of ours (fast narrow), at the width",
    )
    parser.add_argument("--repeats", type=int, default=3, help="turns (3)")
    parser.add_argument("--seed", type=int, default=0, help="of the image and the networks")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    return SCRIPT.run(parser, argv, work)


def work(args: argparse.Namespace, command: str) -> int:
    args.width = args.width or WIDTH[args.device]
    if args.serve:
        return serve(args)
    return run(args, command)


def serve(args: argparse.Namespace) -> int:
    """Child process: say how the set-up went, then train for a turn at each line that comes in."""
    name, folder = args.serve
    with contextlib.suppress(Finished):
        if name == ORIGINAL:
            serve_original(args.reference, Path(folder), args)
        serve_ours(name, Path(folder), args)
    return 0


def run(args: argparse.Namespace, command: str) -> int:
    """Measure, and write the table."""
    if args.repeats < 1:
        raise InputError(f"--repeats {args.repeats}: at least one step must be timed")
    checkout = args.reference.resolve()
    commit = commit_of(checkout)
    check_memory()
    cuda = args.device == "cuda"
    if cuda and not torch.cuda.is_available():
        raise InputError("no GPU that PyTorch can use: leave --device out")
    table = measure(args, checkout)
    plain = table.set_index("code").T.to_string(float_format="{:.4g}".format)
    write_result(
        args.out / "speed_training",
        "Training compared with the original SliceGAN",
        SCRIPT.text,
        table,
        {
            "command": command,
            "original": f"https://github.com/stke9/SliceGAN at {commit}",
            "device": device_name(args.device),
            "threads": torch.get_num_threads(),
            "width": f"{args.width} channels (the paper's: 64)",
            "image": f"Gaussian random field of {PHASES} phases, {SIDE}x{SIDE}",
            "repeats": f"{args.repeats}, median",
            "seed": args.seed,
        },
        plain=plain,
    )
    print(plain)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
