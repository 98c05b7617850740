"""What the command ``slicegan`` takes: the arguments of each of its commands, and their help."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from metrics.command.arguments import Parser, phase_table, spacing
from metrics.io.images import Kind

TRAIN_EXAMPLE = "example: slicegan train slice.png --out run --preset tiny"
GENERATE_EXAMPLE = "example: slicegan generate snow --size 128 --out gen.tif"
SEGMENT_EXAMPLE = "example: slicegan segment photo.png --classes 3 --out seg.png"
INFO_EXAMPLE = "example: slicegan info snow"
CONVERT_EXAMPLE = "example: slicegan convert NMC_Gen.pt NMC_params.data --out nmc.safetensors"
COMPARE_HELP = "say whether generated volumes are the material of real volumes or images"
MEASURE_HELP = "measure volumes: every quantity, as a table"
COMPARE_EXAMPLE = "example: slicegan compare gen.tif real.tif --out result"
MEASURE_EXAMPLE = "example: slicegan measure gen.tif real.tif --out table.csv"


def command_line(chosen: Sequence[str] = ()) -> Parser:
    """All commands; `compare` and `measure` have their arguments, slow to import, if chosen."""
    parser = Parser(prog="slicegan", description="Learn 3D microstructures from 2D images.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for build in (
        *(_train_parser, _generate_parser, _segment_parser, _info_parser, _convert_parser),
    ):
        build(commands)
    for name, room, args, help_, example in (
        ("compare", "comparing", "GEN REAL...", COMPARE_HELP, COMPARE_EXAMPLE),
        ("measure", "measuring", "VOLUME ...", MEASURE_HELP, MEASURE_EXAMPLE),
    ):
        one = commands.add_parser(
            name,
            help=help_,
            description=f"{help_.capitalize()}.",
            usage=f"slicegan {name} {args} [options]",
            epilog=example,
        )
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
    parser.set_defaults(default=parser.get_default)
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
    add("--no-report", action="store_true", help="do not compare the result with the images")
    add("--isotropic", action="store_true", help="a volume's axes are alike")
    add("--pages", action="store_true", help="pages of a TIFF are images of their own")
    target = "measured, by which a step is chosen too: effective_diffusivity:pore=0.21"
    add("--target", **several, metavar="NAME=VALUE", help=target)
    add("--flips", default="", metavar="AXES", help="mirror symmetries, e.g. yx, if not isotropic")
    _add_material(add)
    add("--seed", type=int, default=0, help="(%(default)s)")
    add("--device", help="cpu or cuda (cuda if there is one; of each process of torchrun its own)")
    add("--quiet", action="store_true", help="print nothing but errors")


def _generate_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser(
        "generate",
        help="make volumes of any size",
        description="Generate volumes into files, with bounded memory.",
        epilog=GENERATE_EXAMPLE,
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="folder of a run, .safetensors file, or shipped name")
    add("--size", type=_size, required=True, metavar="N", help="voxels: N, or Z,Y,X")
    add(
        "--out",
        type=Path,
        default=Path("gen.tif"),
        help=".tif, .npy, .zarr or others (%(default)s)",
    )
    add("--count", type=int, default=1, help="independent volumes, numbered files (%(default)s)")
    add("--seed", type=int, default=0, help="(%(default)s)")
    add("--periodic", default="", metavar="AXES", help="axes without a seam, e.g. zyx")
    add("--origin", type=_size, default=(0, 0, 0), metavar="Z,Y,X", help="e.g. --origin=-32,0,0")
    dask = "fill a .zarr by Dask: local, the address of a scheduler, or its scheduler.json"
    add("--dask", metavar="WHERE", help=dask)
    add("--device", help="cpu or cuda (cuda if there is one)")
    add("--quiet", action="store_true", help="print nothing but errors")


def _segment_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser(
        "segment",
        help="make phases of grey images or volumes",
        description="Segment grey images or volumes by the same thresholds, Otsu's or given ones.",
        epilog=SEGMENT_EXAMPLE,
    )
    add = parser.add_argument
    grey = "grey: .png, .tif, .jpg, .bmp or .npy; or volumes, as compare takes them"
    add("image", nargs="+", metavar="IMAGE", help=grey)
    add("--classes", type=int, metavar="N", help="phases, 2 to 5, by Otsu's thresholds")
    thresholds = "instead: largest grey value in the file of each phase but the last"
    add("--thresholds", type=float, nargs="+", default=[], metavar="GREY", help=thresholds)
    add("--smooth", type=int, default=0, metavar="R", help="radius of a median filter, pixels (0)")
    add("--spacing", type=spacing, help="voxel size of volumes, one number or z,y,x")
    add("--unit", help="of the spacing, e.g. um")
    out = ".png or .tif; a volume's as of generate; of several a folder"
    add("--out", type=Path, required=True, help=out)
    add("--quiet", action="store_true", help="print nothing but errors")


def _info_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser(
        "info",
        help="what a model is and where it comes from",
        description="Print material, network, training and errors of a model.",
        epilog=INFO_EXAMPLE,
    )
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
