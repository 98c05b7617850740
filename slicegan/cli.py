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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from metrics.command.arguments import axis_files
from metrics.command.ending import (
    INTERRUPTED,
    LESS_TO_COMPARE,
    LESS_TO_MEASURE,
    UNWRITTEN,
    exit_status,
)
from metrics.files import one_line
from metrics.io.volumes import check_disk, is_store
from metrics.volume import InputError, check_spacing
from slicegan.command_line import command_line
from slicegan.config import DataConfig
from slicegan.settings import override, preset

if TYPE_CHECKING:
    import torch

    from slicegan.distributed import Ranks
    from slicegan.runs import Run

FEWER = "ask for fewer or smaller volumes, or filters"
# What to do where memory does not suffice, and what to say after Ctrl-C.
LESS_TO_TRAIN = "lower training.critic_volumes, training.generator_volumes or filters with --set"
ENDINGS = {
    "train": (LESS_TO_TRAIN, "interrupted"),
    "compare": (LESS_TO_COMPARE, UNWRITTEN),
    "measure": (LESS_TO_MEASURE, UNWRITTEN),
}

SEGMENTED = (".png", ".tif", ".tiff")  # files of phases
# Settings that the images decide.
OF_IMAGES = ("generator.channels", "generator.output", "critic.channels")
# Options that a run keeps, so that --resume cannot change them.
OF_RUN = (
    *("image", "axis", "preset", "set", "seed", "stop_after", "ensemble"),
    *("kind", "phases", "spacing", "unit", "isotropic", "flips", "pages", "target"),
)


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
    """Train in a run folder, alone or with others; 130 if it was stopped before the end."""
    from slicegan.distributed import joined
    from slicegan.runs import follow

    with joined(_device(args.device)) as (ranks, device):
        if ranks.rank == 0:
            return _train(args, ranks, device)
        ranks.wait()  # for the first one, which begins the run
        return 0 if follow(args.out, device=device, ranks=ranks) else INTERRUPTED


def _train(args: argparse.Namespace, ranks: Ranks, device: torch.device) -> int:
    """Train in the first of the processes that share a run, which alone reports."""
    from slicegan.runs import Diverged

    runs, failed = list(_runs(args, ranks, device)), 0
    for begin in runs:
        try:
            if not _trained(begin, args):
                return INTERRUPTED
        except Diverged as error:
            if len(runs) == 1:
                raise
            # A member of an ensemble must not keep the others from training.
            print(f"slicegan train: {error}", file=sys.stderr)
            failed += 1
    if failed:
        raise InputError(f"{failed} of {len(runs)} members have diverged: see above")
    if args.ensemble > 1 and not args.quiet:
        print(
            f"one volume of each: slicegan generate {args.out} --size 128 --count {args.ensemble}"
        )
    return 0


def _runs(
    args: argparse.Namespace, ranks: Ranks, device: torch.device
) -> Iterator[Callable[[], Run]]:
    """What begins or resumes each run to train, one after the other: several of an ensemble."""
    from slicegan.checkpoint import members
    from slicegan.runs import Run, start_members

    if ranks.count > 1 and (args.ensemble > 1 or members(args.out)):
        raise InputError(
            "torchrun shares one run, and the members of an ensemble are several: train them "
            "without it, each on a GPU of its own (--seed, --device cuda:1)"
        )
    if args.resume:
        if given := [name for name in OF_RUN if getattr(args, name) != args.default(name)]:
            option = given[0].replace("_", "-")
            raise InputError(
                f"--resume takes its {option} from the run: leave it out (--steps trains longer)"
            )
        for folder in members(args.out) or [args.out]:
            yield partial(Run.resume, folder, device=device, steps=args.steps, ranks=ranks)
        return
    if fitted := [item for item in args.set if item.partition("=")[0].strip() in OF_IMAGES]:
        raise InputError(f"--set {fitted[0]}: it follows from the images, leave it out")
    config, data = override(preset(args.preset or default_preset(device)), args.set), _data(args)
    if args.steps is not None and args.stop_after is not None:
        raise InputError("--steps and --stop-after both say how long: give one")
    if args.ensemble < 1:
        raise InputError(f"--ensemble must be at least 1, got {args.ensemble}")
    if args.steps is not None:
        config = override(config, [f"training.steps={args.steps}"])
    seed, after = args.seed, args.stop_after
    if args.ensemble == 1:
        start = partial(Run.start, args.out, data, config, seed=seed, device=device, ranks=ranks)
        yield partial(start, stop_after=after)
        return
    for folder in start_members(
        args.out, args.ensemble, data, config, seed=seed, device=device, stop_after=after
    ):
        yield partial(Run.resume, folder, device=device)


def _trained(begin: Callable[[], Run], args: argparse.Namespace) -> bool:
    """Train a run to its end, and report; False if it was stopped before."""
    from slicegan.preflight import plan

    run, quiet = begin(), args.quiet
    config, trainer = run.record.config, run.trainer
    trainer.ranks.wait()  # from here on the others follow
    if not quiet and trainer.step < config.training.steps:
        part = trainer.ranks.part(config)
        lines = plan(run.data, part, device=trainer.device, done=trainer.step)
        print("\n".join(lines), flush=True)
    finished = run.train(progress=not quiet)
    if not quiet:
        print(run.summary(), flush=True)
    if finished and not args.no_report and run.data.material.kind == "phases":
        _report(run, args)
    return finished


def _report(run: Run, args: argparse.Namespace) -> None:
    """Compare the generator with its images, unless there is a report of it; say what came out."""
    from slicegan import verdict

    if verdict.is_current(run):
        return
    try:
        found = verdict.report(
            run, shlex.join(["slicegan", *args.words]), progress=not args.quiet
        ).answer.sentence
    except InputError as error:  # the training is done and kept all the same
        print(f"slicegan train: {run.folder}: no report: {error}", file=sys.stderr)
        return
    if not args.quiet:
        page = run.folder / verdict.FOLDER / "report.html"
        print(f"compared with the images: {found}\nreport: {page}", flush=True)


def generate(args: argparse.Namespace) -> int:
    """Generate volumes into files."""
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
    models, device = load_models(args.model), _device(where)
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
    """Segment images or volumes, picture what came out, say how much the thresholds decide."""
    from metrics.io.greys import read_greys
    from metrics.io.images import is_volume
    from metrics.io.volumes import FORMATS, split_path
    from slicegan import segmentation

    kinds = {is_volume(image, kind="grey") for image in args.image}
    if len(kinds) > 1:
        raise InputError("images and volumes: segment them one after the other")
    (deep,) = kinds
    suffixes = tuple(FORMATS) if deep else SEGMENTED
    if (len(args.image) == 1) != (args.out.suffix.lower() in suffixes):
        raise InputError(f"--out must be {' or '.join(suffixes)}, of several images a folder")
    if not deep and (args.spacing is not None or args.unit):
        raise InputError("--spacing and --unit are of volumes: a picture holds neither")
    names = [Path(image).stem for image in args.image]
    if doubled := [name for name in names if names.count(name) > 1]:
        raise InputError(f"two images are called {doubled[0]}: segment them into two folders")
    ending = ".tif" if deep else ".png"
    files = [args.out] if len(names) == 1 else [args.out / f"{name}{ending}" for name in names]
    pictures = [file.parent / "previews" / f"{file.stem}.png" for file in files]
    inputs = {split_path(image)[0].resolve() for image in args.image}
    for path in (*files, *pictures):  # nor among the slices of a folder
        if inputs & {path.resolve(), *path.resolve().parents}:
            raise InputError(f"{path} is one of the images, or among them: write elsewhere")
    for file in files:
        if is_store(file) and file.exists():
            raise InputError(f"{file} is there already: choose a new name")
    greys = read_greys(
        args.image, volumes=deep, holding=args.thresholds, spacing=args.spacing, unit=args.unit
    )
    with one_line(" ".join(args.image), "segmented", "crop it"):
        given = [greys.level(value) for value in args.thresholds]
        found = segmentation.segment(
            greys.arrays, classes=args.classes, thresholds=given, smooth=args.smooth
        )
    for index, (file, picture) in enumerate(zip(files, pictures, strict=True)):
        with one_line(file, "written", "choose another folder"):
            picture.parent.mkdir(parents=True, exist_ok=True)
            segmentation.write_preview(found, index, picture)
            segmentation.write_phases(found, index, file, greys.voxels[index])
        if not args.quiet:
            print(f"{file}; look at {picture}")
    if not args.quiet:
        levels = ", ".join(map(str, found.thresholds))
        values = ", ".join(f"{greys.in_file(level + 0.49):.6g}" for level in found.thresholds)
        scaled = (greys.low, greys.high) != (0, 255)
        print(f"thresholds: {levels} of 0 to 255" + f" (in the file {values})" * scaled)
        for value, (low, share, high) in zip(found.values, found.fractions.T, strict=True):
            low, high = min(low, share, high), max(low, share, high)
            shift = f"{low:.1%} to {high:.1%} with thresholds {segmentation.SHIFT} lower or higher"
            print(f"value {value}: {share:.1%} of the {'voxels' if deep else 'pixels'} ({shift})")
    return 0


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


def _data(args: argparse.Namespace) -> DataConfig:
    """Images of the command line; for each axis if --axis names them."""
    if bool(args.image) == bool(args.axis):
        raise InputError("give images, or --axis z=a.png y=b.png x=b.png")
    return DataConfig(
        axis_files(args.axis) if args.axis else tuple(args.image),
        kind=args.kind,
        phases=args.phases,
        spacing=None if args.spacing is None else check_spacing(args.spacing),
        unit=args.unit,
        isotropic=True if args.isotropic else None,
        flips=args.flips,
        pages=args.pages,
        targets=_targets(args.target),
    )


def _targets(items: Sequence[str]) -> dict[str, float]:
    """Measured values by name, from ``effective_diffusivity:pore=0.21``."""
    found: dict[str, float] = {}
    for item in items:
        name, _, value = item.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            raise InputError(
                f"--target: expected effective_diffusivity:PHASE=VALUE, got {item!r}"
            ) from None
        if name in found:
            raise InputError(f"--target: {name} is given twice")
        found[name] = number
    return found


def default_preset(device: torch.device) -> str:
    """Preset that a device can train in about an hour."""
    return "fast" if device.type == "cuda" else "narrow"


def _device(name: str | None) -> torch.device:
    """The device asked for, else a GPU if there is one."""
    import torch

    from metrics.machine.devices import check_device

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    check_device(name)
    return torch.device(name)


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
