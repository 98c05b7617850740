"""The command ``slicegan``: train, generate, info, convert, compare, measure."""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from metrics.command.arguments import Parser, phase_table, spacing
from metrics.command.ending import INTERRUPTED, exit_status
from metrics.files import one_line
from metrics.io.volumes import check_disk
from metrics.volume import AXES, InputError, check_spacing
from slicegan.config import DataConfig, Kind
from slicegan.settings import override, preset

if TYPE_CHECKING:
    import torch

    from slicegan.runs import Run

TRAIN_EXAMPLE = "example: slicegan train slice.png --out run --preset tiny"
GENERATE_EXAMPLE = "example: slicegan generate snow --size 128 --out gen.tif"
INFO_EXAMPLE = "example: slicegan info snow"
CONVERT_EXAMPLE = "example: slicegan convert NMC_Gen.pt NMC_params.data --out nmc.safetensors"
COMPARE_HELP = "say whether generated and real volumes are the same material"
MEASURE_HELP = "measure volumes: every quantity, as a table"
COMPARE_EXAMPLE = "example: slicegan compare gen.tif real.tif --out result"
MEASURE_EXAMPLE = "example: slicegan measure gen.tif real.tif --out table.csv"

FEWER = "ask for fewer or smaller volumes, or filters"
UNWRITTEN = "interrupted, nothing was written"
# What to do where memory does not suffice, and what to say after Ctrl-C.
ENDINGS = {
    "compare": (
        "ask for smaller sub-volumes (--subvolume) or fewer at a time (--workers)",
        UNWRITTEN,
    ),
    "measure": (
        "ask for fewer volumes at a time (--workers) or fewer metrics (--metrics)",
        UNWRITTEN,
    ),
}

# Settings that the images decide.
OF_IMAGES = ("generator.channels", "generator.output", "critic.channels")
# Options that a run keeps, so that --resume cannot change them.
OF_RUN = (
    *("image", "axis", "preset", "set", "seed", "stop_after", "ensemble"),
    *("kind", "phases", "spacing", "unit", "isotropic", "flips", "pages"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 done, 2 bad input, 130 stopped."""
    # Threads of PyTorch that wait for each other spin for milliseconds. Where other work shares the
    # cores that made a step of `tiny` take 3.6 s, with shorter spins 0.3 s; on two idle cores it is
    # 0.047 s instead of 0.038. OpenMP reads this once, when PyTorch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    words = sys.argv[1:] if argv is None else list(argv)

    def work() -> int:
        args = _parser(words[:1]).parse_args(words)
        args.words = words
        status: int = args.run(args)
        return status

    less, interrupted = ENDINGS.get(words[0] if words else "", (FEWER, "interrupted"))
    name = " ".join(["slicegan", *words[:1]])
    return exit_status(name, work, less=less, interrupted=interrupted)


def train(args: argparse.Namespace) -> int:
    """Train in a run folder; 130 if it was stopped before the end."""
    from slicegan.runs import Diverged

    runs, failed = list(_runs(args)), 0
    for begin in runs:
        try:
            if not _trained(begin, quiet=args.quiet):
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


def _runs(args: argparse.Namespace) -> Iterator[Callable[[], Run]]:
    """What begins or resumes each run to train, one after the other: several of an ensemble."""
    from slicegan.checkpoint import members
    from slicegan.runs import Run, start_members

    device = _device(args.device)
    if args.resume:
        if given := [name for name in OF_RUN if getattr(args, name) != args.default(name)]:
            option = given[0].replace("_", "-")
            raise InputError(
                f"--resume takes its {option} from the run: leave it out (--steps trains longer)"
            )
        for folder in members(args.out) or [args.out]:
            yield partial(Run.resume, folder, device=device, steps=args.steps)
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
    after = args.stop_after
    if args.ensemble == 1:
        yield partial(
            Run.start, args.out, data, config, seed=args.seed, device=device, stop_after=after
        )
        return
    for folder in start_members(
        args.out, args.ensemble, data, config, seed=args.seed, device=device, stop_after=after
    ):
        yield partial(Run.resume, folder, device=device)


def _trained(begin: Callable[[], Run], *, quiet: bool) -> bool:
    """Train a run to its end; False if it was stopped before."""
    from slicegan.preflight import plan

    run = begin()
    config, trainer = run.record.config, run.trainer
    if not quiet and trainer.step < config.training.steps:
        lines = plan(run.data, config, device=trainer.device, done=trainer.step)
        print("\n".join(lines), flush=True)
    finished = run.train(progress=not quiet)
    if not quiet:
        print(run.summary(), flush=True)
    return finished


def generate(args: argparse.Namespace) -> int:
    """Generate volumes into files."""
    from slicegan.ensemble import load_models, member_of
    from slicegan.generation import stream

    if not args.out.name:
        raise InputError(f"--out must name a file, got {args.out}: e.g. gen.tif")
    if args.count < 1:
        raise InputError(f"--count must be at least 1, got {args.count}")
    if min(args.size) < 1:
        raise InputError(f"--size must be positive, got {','.join(map(str, args.size))}")
    models, device = load_models(args.model), _device(args.device)
    voxels = math.prod(args.size) * (3 if models[0].material.kind == "colour" else 1)
    with one_line(args.out, "written", "choose another folder"):
        check_disk(args.out, args.count * voxels)
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
            progress=not args.quiet,
        )
        if not args.quiet:
            print(path)
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
    images: tuple[str, ...] | dict[str, tuple[str, ...]] = tuple(args.image)
    if args.axis:
        pairs = [item.partition("=") for item in args.axis]
        images = {
            axis: tuple(path for name, _, path in pairs if name == axis)
            for axis in dict.fromkeys(name for name, _, _ in pairs)
        }
        if not all(path for _, _, path in pairs):
            raise InputError(f"--axis takes {'=FILE '.join(AXES)}=FILE, got {' '.join(args.axis)}")
    return DataConfig(
        images,
        kind=args.kind,
        phases=args.phases,
        spacing=None if args.spacing is None else check_spacing(args.spacing),
        unit=args.unit,
        isotropic=True if args.isotropic else None,
        flips=args.flips,
        pages=args.pages,
    )


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
    for index in range(count):
        yield path.with_stem(f"{path.stem}_{index:0{digits}}")


def _size(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(item) for item in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, 3):
        raise argparse.ArgumentTypeError(f"expected a whole number or z,y,x, got {text!r}")
    return numbers * 3 if len(numbers) == 1 else numbers


def _seconds(text: str) -> float:
    """Length of time from a number and its unit, s, m or h."""
    units = {"s": 1, "m": 60, "h": 3600}
    try:
        seconds = float(text[:-1]) * units[text[-1:]]
    except (KeyError, ValueError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a time like 90s, 30m or 2h, got {text!r}")
    return seconds


def _parser(chosen: Sequence[str] = ()) -> Parser:
    """All commands; `compare` and `measure` have their arguments, slow to import, if chosen."""
    parser = Parser(prog="slicegan", description="Learn 3D microstructures from 2D images.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for build in (_train_parser, _generate_parser, _info_parser, _convert_parser):
        build(commands)
    for name, run, room, args, help_, example in (
        ("compare", compare, "comparing", "GEN REAL", COMPARE_HELP, COMPARE_EXAMPLE),
        ("measure", measure, "measuring", "VOLUME ...", MEASURE_HELP, MEASURE_EXAMPLE),
    ):
        one = commands.add_parser(
            name,
            help=help_,
            description=f"{help_.capitalize()}.",
            usage=f"slicegan {name} {args} [options]",
            epilog=example,
        )
        one.set_defaults(run=run)
        if name in chosen:
            import_module(f"metrics.command.{room}").add_arguments(one)
    return parser


def _train_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser(
        "train",
        help="learn a generator from images",
        description="Learn a generator of volumes from 2D images, or from slices of a volume.",
        usage="slicegan train [IMAGE ...] --out RUN [options]",
        epilog=TRAIN_EXAMPLE,
    )
    parser.set_defaults(run=train, default=parser.get_default)
    add = parser.add_argument
    several: dict[str, Any] = {"nargs": "+", "action": "extend", "default": []}
    isotropic = "of an isotropic material; or one volume"
    add("image", nargs="*", default=[], metavar="IMAGE", help=isotropic)
    add("--axis", **several, metavar="AXIS=IMAGE", help="z=a.png y=b.png x=b.png")
    add("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    add("--preset", help="paper, fast, narrow or tiny (fast on a GPU, narrow on a CPU)")
    add("--set", **several, metavar="KEY=VALUE", help="e.g. training.penalty=1")
    add("--steps", type=int, help="of the generator; with --resume, to train longer")
    ensemble = "generators of seeds SEED, SEED+1, ..., which generate takes in turn (1)"
    add("--ensemble", type=int, default=1, metavar="N", help=ensemble)
    add("--stop-after", type=_seconds, metavar="TIME", help="steps that fit it: 90s, 30m or 2h")
    add("--resume", action="store_true", help="go on with a run that was stopped")
    add("--isotropic", action="store_true", help="a volume's axes are alike")
    add("--pages", action="store_true", help="pages of a TIFF are images of their own")
    add("--flips", default="", metavar="AXES", help="mirror symmetries, e.g. yx, if not isotropic")
    _add_material(add)
    add("--seed", type=int, default=0, help="(%(default)s)")
    add("--device", help="cpu or cuda (cuda if there is one)")
    add("--quiet", action="store_true", help="print nothing but errors")


def _generate_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser(
        "generate",
        help="make volumes of any size",
        description="Generate volumes into files, with bounded memory.",
        epilog=GENERATE_EXAMPLE,
    )
    parser.set_defaults(run=generate)
    add = parser.add_argument
    add("model", metavar="MODEL", help="folder of a run, .safetensors file, or shipped name")
    add("--size", type=_size, required=True, metavar="N", help="voxels: N, or Z,Y,X")
    add("--out", type=Path, default=Path("gen.tif"), help=".tif, .npy, .h5 or .raw (%(default)s)")
    add("--count", type=int, default=1, help="independent volumes, numbered files (%(default)s)")
    add("--seed", type=int, default=0, help="(%(default)s)")
    add("--periodic", default="", metavar="AXES", help="axes without a seam, e.g. zyx")
    add("--origin", type=_size, default=(0, 0, 0), metavar="Z,Y,X", help="e.g. --origin=-32,0,0")
    add("--device", help="cpu or cuda (cuda if there is one)")
    add("--quiet", action="store_true", help="print nothing but errors")


def _info_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser(
        "info",
        help="what a model is and where it comes from",
        description="Print material, network, training and errors of a model.",
        epilog=INFO_EXAMPLE,
    )
    parser.set_defaults(run=info)
    add = parser.add_argument
    add("model", metavar="MODEL", help="folder of a run, .safetensors file, or shipped name")
    add("--json", action="store_true", help="all that the file knows, as JSON")


def _convert_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser(
        "convert",
        help="read a generator of the original SliceGAN code",
        description="Convert a generator of the original SliceGAN code; no pickled code is run.",
        epilog=CONVERT_EXAMPLE,
    )
    parser.set_defaults(run=convert)
    add = parser.add_argument
    add("weights", metavar="OLD_Gen.pt", help="its weights")
    add("params", metavar="OLD_params.data", help="its layers")
    add("--out", type=Path, required=True, metavar="MODEL.safetensors", help="file to write")
    add("--latent-size", type=int, default=4, help="latent sites in training (%(default)s)")
    several: dict[str, Any] = {"nargs": "+", "default": []}
    add("--calibrate", **several, metavar="IMAGE", help="trained on: set fractions at every place")
    _add_material(add)


def _add_material(add: Callable[..., argparse.Action]) -> None:
    """Options that say what images show."""
    add("--kind", choices=get_args(Kind), default="phases", help="(%(default)s)")
    add("--phases", type=phase_table, help="names and file values, e.g. pore=0,ni=127,ysz=254")
    add("--spacing", type=spacing, help="pixel size, one number or z,y,x")
    add("--unit", help="of the spacing, e.g. um")
