"""Write a volume of the registry as a TIFF stack, and its middle slice as a picture.

``python -m benchmarks.export snow --out data`` makes ``data/snow.tif`` and ``data/snow.png``: what
a tomogram shows, and the one micrograph that somebody without a tomogram has. In the picture the
phases are evenly spaced greys.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import datasets
from benchmarks.script import Script
from benchmarks.validation.cases import middle_slice
from metrics.files import one_line, replacing
from metrics.io.volumes import write

SCRIPT = Script("export", __doc__)


def main(argv: Sequence[str] | None = None) -> int:
    parser = SCRIPT.parser(out=Path())
    parser.add_argument("name", choices=tuple(datasets.DATASETS), metavar="NAME")
    return SCRIPT.run(parser, argv, work)


def work(args: argparse.Namespace, command: str) -> int:
    volume = datasets.load(args.name)
    with one_line(args.out, "made", "choose another folder"):
        args.out.mkdir(parents=True, exist_ok=True)
    stack = args.out / f"{args.name}.tif"
    write(volume, stack)
    print(stack)
    greys = np.linspace(0, 255, len(volume.phases)).astype(np.uint8)
    picture = args.out / f"{args.name}.png"
    with one_line(picture, "written", "free some space"), replacing(picture) as temporary:
        Image.fromarray(greys[middle_slice(volume, "z")]).save(temporary)
    print(picture)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
