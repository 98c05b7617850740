"""``slicegan train``: runs, alone or of an ensemble or shared, and what they say at the end."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch

from metrics.command.arguments import axis_files
from metrics.command.ending import INTERRUPTED
from metrics.machine.devices import chosen_device
from metrics.volume import InputError, check_spacing
from slicegan import verdict
from slicegan.checkpoint import members
from slicegan.config import DataConfig
from slicegan.distributed import Ranks, joined
from slicegan.preflight import plan
from slicegan.runs import Diverged, Run, follow, start_members
from slicegan.settings import override, preset

# Settings that the images decide.
OF_IMAGES = ("generator.channels", "generator.output", "critic.channels")
# Options that a run keeps, so that --resume cannot change them.
OF_RUN = (
    *("image", "axis", "preset", "set", "seed", "stop_after", "ensemble"),
    *("kind", "phases", "spacing", "unit", "isotropic", "flips", "pages", "target"),
)


def run(args: argparse.Namespace) -> int:
    """Train in a run folder, alone or with others; 130 if it was stopped before the end."""
    with joined(chosen_device(args.device)) as (ranks, device):
        if ranks.rank == 0:
            return _train(args, ranks, device)
        ranks.wait()  # for the first one, which begins the run
        return 0 if follow(args.out, device=device, ranks=ranks) else INTERRUPTED


def _train(args: argparse.Namespace, ranks: Ranks, device: torch.device) -> int:
    """Train in the first of the processes that share a run, which alone reports."""
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
