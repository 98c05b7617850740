"""Time and memory of generating a volume, compared with the original's network called directly.

Three phases; the random weights and the noise are the same in all rows of one network and size,
and so are the volumes: the fraction of the first phase shows it. Ours goes from the seed to labels:
noise, network, likeliest phase; `streamed` writes them to a TIFF, slab by slab. Of the original
(``--reference``) only the network's own call is timed, from noise to probabilities on the device.
Rows are measured in turn, each in a process of its own, after a warm-up on 64^3 voxels: median
time, most memory. B/voxel is what a call takes beyond what the process held before it, on a GPU
the GPU's memory; peak RSS is all that the process holds, PyTorch included. A speed-up above 1
means faster than the original.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from benchmarks.script import Script
from benchmarks.speed.original import commit_of
from benchmarks.speed.turns import measured_in_turn, serve
from benchmarks.tables import device_name, write_result
from metrics.io.volumes import read
from metrics.volume import InputError, Phase
from slicegan.checkpoint import Model
from slicegan.config import Material
from slicegan.generation import generate, stream
from slicegan.latent import latent_noise
from slicegan.networks import Generator, initialise
from slicegan.settings import preset

SCRIPT = Script("speed.generation", __doc__)

WHOLE, STREAMED, ORIGINAL = "ours, whole", "ours, streamed", "original"
PAPER, SMALL = "512,256,128,64", "64,48,32,24"
MATERIAL = Material(phases=tuple(Phase(name, i, i) for i, name in enumerate("abc")))
WARM_UP = 64
SEED = 0
GIB = 2**30


def model_of(filters: str) -> Model:
    """The paper's layers with these widths and random weights."""
    widths = tuple(int(width) for width in filters.split(","))
    config = replace(preset("paper").generator, filters=widths, channels=MATERIAL.channels)
    generator = Generator(config).eval()
    initialise(generator, "he", torch.Generator().manual_seed(SEED))
    return Model(generator, MATERIAL, {})


def call_of(way: str, model: Model, size: int, args: argparse.Namespace) -> Callable[[], Any]:
    """Return what is timed: a call that returns labels, their file, or probabilities."""
    if way == WHOLE:
        return lambda: generate(model, size, seed=SEED, device=args.device).labels
    if way == STREAMED:
        file = Path(args.folder) / "v.tif"

        def write() -> Path:
            stream(model, file, size, seed=SEED, device=args.device)
            return file

        return write
    network = original_network(model.generator, args.reference).to(args.device)
    latent = model.generator.latent(size)
    channels = model.generator.config.latent_channels
    noise = np.ascontiguousarray(latent_noise(channels, (0, 0, 0), (latent,) * 3, seed=SEED))
    latents = torch.from_numpy(noise)[None].to(args.device)
    return lambda: network(latents)


def original_network(generator: Generator, checkout: Path) -> nn.Module:
    """The original's generator with our weights, in eval mode."""
    config = generator.config
    kernels, strides, paddings = (list(numbers) for numbers in zip(*config.layers, strict=True))
    filters = [config.latent_channels, *config.filters, config.channels]
    critic = [4], [2], [config.channels, 1], [0]
    with tempfile.TemporaryDirectory() as folder:  # the original stores its settings
        _, network = networks_of(checkout).slicegan_nets(
            f"{folder}/net", True, "nphase", *critic, kernels, strides, filters, paddings
        )
    original: nn.Module = network().eval()
    weights = generator.state_dict()
    ours = {name.replace("norms.", "bns."): weight for name, weight in weights.items()}
    # It has one BatchNorm more, which it does not use.
    original.load_state_dict(original.state_dict() | ours)
    return original


def networks_of(checkout: Path) -> ModuleType:
    """The original's networks, under a name of their own: their package is called as ours."""
    file = checkout / "slicegan" / "networks.py"
    spec = importlib.util.spec_from_file_location("original_networks", file)
    if spec is None or spec.loader is None:
        raise InputError(f"{file} is no Python module: give a checkout of the original")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def serve_way(way: str, filters: str, size: int, args: argparse.Namespace) -> None:
    """Child process: the number that it tells shows whether all ways make the same volume."""
    model = model_of(filters)
    with torch.no_grad():
        call_of(way, model, WARM_UP, args)()
        call = call_of(way, model, size, args)
        serve(call, tell=partial(first_phase, size=size), device=args.device)


def first_phase(result: Any, size: int) -> float:
    """Fraction of the first phase in labels, their file, or probabilities."""
    if isinstance(result, Path):
        result = read(result).labels
    elif isinstance(result, torch.Tensor):
        result = result[0, :, :size, :size, :size].argmax(0).cpu().numpy()
    return float(np.mean(result == 0))


def rows_of(filters: str, size: int, ways: Sequence[str], args: argparse.Namespace) -> list[dict]:
    """One row for each way to generate a volume."""
    options = ["--device", args.device]
    if args.reference:
        options += ["--reference", str(args.reference)]
    with tempfile.TemporaryDirectory() as folder:
        module = [sys.executable, "-m", "benchmarks.speed.generation", *options, "--folder", folder]
        commands = {way: [*module, "--serve", way, filters, str(size)] for way in ways}
        runs = measured_in_turn(commands, args.repeats)
    seconds = {way: median(run.seconds for run in runs[way]) for way in ways}
    return [
        {
            "network": filters,
            "voxels": f"{size}^3",
            "code": way,
            "s": seconds[way],
            "voxels/s": size**3 / seconds[way],
            "speed-up": seconds.get(ORIGINAL, np.nan) / seconds[way],
            "B/voxel": max(run.memory for run in runs[way]) / size**3,
            "peak RSS, GiB": max(run.resident for run in runs[way]) / GIB,
            "first phase": runs[way][0].answer,
        }
        for way in ways
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = SCRIPT.parser()
    parser.add_argument("--reference", type=Path, help="checkout of the original")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256], metavar="N")
    parser.add_argument(
        "--filters",
        nargs="+",
        default=[PAPER, SMALL],
        metavar="A,B,C,D",
        help="widths of the networks (%(default)s)",
    )
    parser.add_argument(
        "--large",
        type=int,
        nargs="?",
        const=1024,
        metavar="N",
        help="also stream a volume of this side (1024), with the last of the networks",
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return SCRIPT.run(parser, argv, work)


def work(args: argparse.Namespace, command: str) -> int:
    if args.serve:
        way, filters, size = args.serve
        serve_way(way, filters, int(size), args)
    else:
        run(args, command)
    return 0


def run(args: argparse.Namespace, command: str) -> None:
    """Measure, and write the table."""
    cuda = args.device == "cuda"
    if cuda and not torch.cuda.is_available():
        raise InputError("no GPU that PyTorch can use: leave --device out")
    reference = "not measured: give --reference"
    ways = [WHOLE, STREAMED]
    if args.reference:
        reference = f"https://github.com/stke9/SliceGAN at {commit_of(args.reference.resolve())}"
        ways.append(ORIGINAL)
    rows = [
        row
        for filters in args.filters
        for size in args.sizes
        for row in rows_of(filters, size, ways, args)
    ]
    if args.large:
        rows += rows_of(args.filters[-1], args.large, [STREAMED], args)
    table = pd.DataFrame(rows)
    write_result(
        args.out / "speed_generate",
        "Generating compared with the original's network",
        SCRIPT.text,
        table,
        {
            "command": command,
            "original": reference,
            "device": device_name(args.device),
            "threads": torch.get_num_threads(),
            "repeats": args.repeats,
            "seed": SEED,
        },
    )
    print(table.to_string(index=False, float_format="{:.4g}".format))


if __name__ == "__main__":
    raise SystemExit(main())
