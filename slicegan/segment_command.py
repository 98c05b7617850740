"""``slicegan segment``: phases of grey images or volumes, pictured, and how sure they are."""

from __future__ import annotations

import argparse
from pathlib import Path

from metrics.files import one_line
from metrics.io.greys import read_greys
from metrics.io.images import is_volume
from metrics.io.volumes import FORMATS, is_store, split_path
from metrics.volume import InputError
from slicegan import segmentation

SEGMENTED = (".png", ".tif", ".tiff")  # files of phases


def run(args: argparse.Namespace) -> int:
    """Segment images or volumes, picture what came out, say how much the thresholds decide."""
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
