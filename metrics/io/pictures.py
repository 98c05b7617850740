"""Pixels of PNG, BMP and JPEG files, as they are stored."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.machine.memory import check_memory
from metrics.volume import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Modes whose arrays hold brightness, colour or alpha as they are.
PLAIN_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "F", "RGB", "RGBA")


def read_picture(path: Path, *, labels: bool) -> NDArray[Any]:
    """Pixels of one picture, of 16 bits where they are stored so.

    Parameters
    ----------
    path : path
        ``.png``, ``.bmp``, ``.jpg`` or ``.jpeg``.
    labels : bool
        Whether pixels stand for phases: if the colours of a palette are not grey, its indices do.
        Otherwise a palette image has the colours of its palette.

    Returns
    -------
    (H, W) or (H, W, channels) ndarray

    Raises
    ------
    InputError
        If it holds several frames, is damaged, or does not fit into the free memory. Pillow's
        errors come through.
    """
    from PIL import Image

    deep = path.suffix.lower() == ".png" and _check_png(path)
    with _any_size(), Image.open(path) as image:
        if (frames := getattr(image, "n_frames", 1)) > 1:
            raise InputError(f"holds {frames} frames: save one of them alone")
        check_memory(image.width * image.height * len(image.getbands()) * (2 if deep else 1))
        if deep:
            import imagecodecs  # Pillow keeps the high byte of these alone

            return np.asarray(imagecodecs.png_decode(path.read_bytes()))
        if image.mode in PLAIN_MODES:
            return np.array(image)
        colours = np.array(image.convert("RGB"))
        grey = bool((colours == colours[..., :1]).all())
        if labels and image.mode == "P":
            return colours[..., 0] if grey else np.array(image)
        return colours


@contextmanager
def _any_size() -> Iterator[None]:
    """Let Pillow open pictures of any size: we ask for memory ourselves."""
    from PIL import Image

    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _check_png(path: Path) -> bool:
    """Whether a PNG has several channels of 16 bits; damage is refused, which Pillow may not see.

    Of 516 single bits flipped in the pixels of one file Pillow took 110 for other pixels. Its
    `verify` finds those in a reading of its own, but neither a missing end nor how deep pixels are.
    """
    several, name, size = False, b"", path.stat().st_size
    with path.open("rb") as file:
        if file.read(8) != PNG_SIGNATURE:
            return False  # another format under this name, which Pillow finds out
        while name != b"IEND":
            length, name = struct.unpack(">I4s", file.read(8).rjust(8, b"\xff"))
            content = file.read(min(length, size))
            checksum = zlib.crc32(name + content).to_bytes(4, "big")
            if len(content) < length or file.read(4) != checksum:
                raise InputError("damaged PNG (wrong checksum): copy or export it again")
            if name == b"IHDR":
                several = content[8] == 16 and content[9] in (2, 4, 6)
    return several
