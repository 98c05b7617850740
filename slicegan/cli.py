"""The command ``slicegan``: train, generate, segment, info, convert, compare, measure."""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

from metrics.command.ending import (
    LESS_TO_COMPARE,
    LESS_TO_MEASURE,
    UNWRITTEN,
    exit_status,
)
from metrics.files import one_line
from metrics.io.volumes import check_disk, is_store
from metrics.volume import InputError
from slicegan.command_line import command_line

FEWER = "ask for fewer or smaller volumes, or filters"
# What to do where memory does not suffice, and what to say after Ctrl-C.
LESS_TO_TRAIN = "lower training.critic_volumes, training.generator_volumes or filters with --set"
ENDINGS = {
    "train": (LESS_TO_TRAIN, "interrupted"),
    "compare": (LESS_TO_COMPARE, UNWRITTEN),
    "measure": (LESS_TO_MEASURE, UNWRITTEN),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 done, 2 bad input, 130 stopped."""
    # Threads of PyTorch that wait for each other spin for milliseconds. Where other work shares the
    # cores that made a step of `tiny` take 3.6 s, with shorter spins 0.3 s; on two idle cores it is
    # 0.047 s instead of 0.038. OpenMP reads this once, when PyTorch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    if "TORCHELASTIC_RUN_ID" in os.environ:  # one of the processes that torchrun started
        # PyTorch would say where in its own code it found that another one has ended.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        if os.environ["RANK"] != "0":  # the first speaks for all (`slicegan.distributed.joined`)
            sys.stdout = sys.stderr = Path(os.devnull).open("w")
    words = sys.argv[1:] if argv is None else list(argv)

    def work() -> int:
        args = command_line(words[:1]).parse_args(words)
        args.words = words
        return COMMANDS[args.command](args)

    less, interrupted = ENDINGS.get(words[0] if words else "", (FEWER, "interrupted"))
    name = " ".join(["slicegan", *words[:1]])
    return exit_status(name, work, less=less, interrupted=interrupted)


def train(args: argparse.Namespace) -> int:
    """Train in a run folder; 130 if it was stopped before the end."""
    from slicegan import train_command

    return train_command.run(args)


def generate(args: argparse.Namespace) -> int:
    """Generate volumes into files."""
    from metrics.machine.devices import chosen_device
    from metrics.machine.scheduler import connected
    from slicegan.ensemble import load_models, member_of
    from slicegan.generation import stream

    if not args.out.name:
        raise InputError(f"--out must name a file, got {args.out}: e.g. gen.tif")
    if args.count < 1:
        raise InputError(f"--count must be at least 1, got {args.count}")
    if min(args.size) < 1:
        raise InputError(f"--size must be positive, got {','.join(map(str, args.size))}")
    # Workers of Dask would all take the same GPU.
    where = args.device or ("cpu" if args.dask else None)
    models, device = load_models(args.model), chosen_device(where)
    voxels = math.prod(args.size) * (3 if models[0].material.kind == "colour" else 1)
    with one_line(args.out, "written", "choose another folder"):
        check_disk(args.out, args.count * voxels)
    if args.dask and not is_store(args.out):
        raise InputError(f"{args.out}: many workers write a Zarr store: name it, as big.ome.zarr")
    with connected(args.dask) if args.dask else nullcontext() as client:
        for index, path in enumerate(_numbered(args.out, args.count)):
            stream(
                member_of(models, args.seed, index),
                path,
                args.size,
                seed=args.seed,
                index=index,
                origin=args.origin,
                periodic=args.periodic,
                device=str(device),
                client=client,
                progress=not args.quiet,
            )
            if not args.quiet:
                print(path)
    return 0


def segment(args: argparse.Namespace) -> int:
    """Segment grey images or volumes."""
    from slicegan import segment_command

    return segment_command.run(args)


def info(args: argparse.Namespace) -> int:
    """Print what a model is and where it comes from."""
    from slicegan.about import about, facts
    from slicegan.ensemble import load_models
    from slicegan.networks import count_weights

    models = load_models(args.model)
    if not args.json:
        print("\n\n".join("\n".join(about(model)) for model in models))
        return 0
    known = [
        {
            "generator": asdict(one.generator.config) | {"weights": count_weights(one.generator)},
            "material": asdict(one.material),
            "facts": facts(one),
        }
        for one in models
    ]
    print(json.dumps(known[0] if len(known) == 1 else known, indent=2))
    return 0


def convert(args: argparse.Namespace) -> int:
    """Convert a generator of the original code."""
    from slicegan.checkpoint import SUFFIX, save_model
    from slicegan.convert import calibrated
    from slicegan.convert import convert as converted

    if args.out.suffix != SUFFIX:
        raise InputError(f"--out must end in {SUFFIX}, got {args.out}")
    model = converted(
        args.weights,
        args.params,
        kind=args.kind,
        phases=args.phases,
        spacing=args.spacing,
        unit=args.unit,
        latent_size=args.latent_size,
    )
    if args.calibrate:
        model = calibrated(model, args.calibrate, phases=args.phases, progress=True)
    save_model(model, args.out)
    print(args.out)
    return 0


def compare(args: argparse.Namespace) -> int:
    """Compare generated with real volumes; 3 if --fail-on is met."""
    from metrics.command import comparing

    return comparing.run(args, shlex.join(["slicegan", *args.words]))


def measure(args: argparse.Namespace) -> int:
    """Measure volumes."""
    from metrics.command import measuring

    return measuring.run(args)


def _numbered(path: Path, count: int) -> Iterator[Path]:
    """The file itself, or so many files ``gen_0.tif``, ``gen_1.tif``, ..."""
    if count == 1:
        yield path
        return
    digits = len(str(count - 1))
    stem, suffixes = path.name.partition(".")[::2]
    if not path.name.endswith(f".ome{path.suffix}"):
        stem, suffixes = path.stem, path.suffix[1:]
    for index in range(count):
        yield path.with_name(f"{stem}_{index:0{digits}}.{suffixes}")


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "train": train,
    "generate": generate,
    "segment": segment,
    "info": info,
    "convert": convert,
    "compare": compare,
    "measure": measure,
}
