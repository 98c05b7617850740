"""Reading micrographs: what every kind of file becomes, and refusals in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from refusing import refusal

from metrics.io.images import is_volume, read_image, read_pages
from metrics.volume import InputError

PHASES = np.array([[0, 127, 254], [254, 0, 127]], dtype=np.uint8)
RAMP = np.arange(60, dtype=np.uint8).reshape(6, 10)
COLOUR = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    """Write an image by the type of its name."""
    if path.suffix == ".npy":
        np.save(path, pixels)
    elif path.suffix == ".tif":
        default = "minisblack" if pixels.ndim == 2 else "rgb"
        tifffile.imwrite(path, pixels, **{"photometric": default, **options})
    else:
        Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "A.npy"])
def test_phases_keep_their_values(tmp_path: Path, name: str) -> None:
    image = read_image(save(tmp_path / name, PHASES))
    np.testing.assert_array_equal(image, PHASES)
    assert image.dtype.kind in "iu"


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("kind", ["phases", "grey"])
@pytest.mark.parametrize("alpha", [False, True])
def test_equal_channels_and_opaque_alpha_count_as_one(
    tmp_path: Path, suffix: str, kind: Any, alpha: bool
) -> None:
    channels = [PHASES] * 3 + [np.full_like(PHASES, 255)] * alpha
    path = save(tmp_path / f"a{suffix}", np.stack(channels, axis=-1))
    np.testing.assert_array_equal(read_image(path, kind=kind), PHASES)


def test_grey_with_alpha(tmp_path: Path) -> None:
    pair = Image.merge("LA", [Image.fromarray(PHASES), Image.new("L", (3, 2), 255)])
    pair.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), PHASES)


def test_planar_tiff(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.moveaxis(COLOUR, -1, 0), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_image(path, kind="colour"), COLOUR)


@pytest.mark.parametrize(
    ("palette", "expected"),
    [
        ([0] * 3 + [90] * 3 + [180] * 3, [[0, 90, 180]]),
        ([255, 0, 0, 0, 255, 0, 9, 9, 9], [[0, 1, 2]]),
    ],
    ids=["grey palette: its greys", "coloured palette: its indices"],
)
def test_palette_of_phases(tmp_path: Path, palette: list[int], expected: list[list[int]]) -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8))
    image.putpalette(palette)
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)


def test_palette_of_colours(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8))
    image.putpalette([255, 0, 0, 0, 200, 7])
    image.save(tmp_path / "a.png")
    colours = read_image(tmp_path / "a.png", kind="colour")
    np.testing.assert_array_equal(colours, [[[255, 0, 0], [0, 200, 7]]])


def test_bilevel_images_are_two_phases(tmp_path: Path) -> None:
    mask = PHASES > 0
    Image.fromarray(mask).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), mask * 255)
    save(tmp_path / "a.npy", mask)
    np.testing.assert_array_equal(read_image(tmp_path / "a.npy"), mask)
    np.testing.assert_array_equal(read_image(tmp_path / "a.npy", kind="grey"), mask * 255)


@pytest.mark.parametrize(
    "dtype", [np.float32, np.float64, np.uint16, np.int32], ids=lambda d: d.__name__
)
def test_phases_of_other_types(tmp_path: Path, dtype: Any) -> None:
    np.testing.assert_array_equal(
        read_image(save(tmp_path / "a.npy", PHASES.astype(dtype))), PHASES
    )


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.npy"])
def test_deep_grey_is_scaled_from_its_own_range(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, np.array([[1000, 1051], [1255, 1102]], dtype=np.uint16))
    np.testing.assert_array_equal(read_image(path, kind="grey"), [[0, 51], [255, 102]])


def test_grey_bytes_and_flat_images_are_not_stretched(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", RAMP), kind="grey"), RAMP)
    flat = read_image(save(tmp_path / "b.npy", np.full((2, 2), 7.5)), kind="grey")
    np.testing.assert_array_equal(flat, 0)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.npy"])
def test_colour(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, COLOUR)
    np.testing.assert_array_equal(read_image(path, kind="colour"), COLOUR)


def test_jpeg_in_other_colour_spaces(tmp_path: Path) -> None:
    Image.new("CMYK", (3, 2), (0, 0, 0, 0)).save(tmp_path / "a.jpg")
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.jpg", kind="colour"), np.full((2, 3, 3), 255)
    )


def cut(path: Path) -> None:
    """An image whose end is missing."""
    noise = np.random.default_rng(0).integers(0, 2, (64, 64), dtype=np.uint8)
    whole = save(path, noise).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def frames(path: Path) -> None:
    first = Image.fromarray(PHASES)
    first.save(path, save_all=True, append_images=[Image.fromarray(PHASES + 1)])


BAD: list[tuple[str, Callable[[Path], object], str, str]] = [
    ("missing.png", lambda path: None, "phases", "no such file"),
    ("empty.png", Path.touch, "phases", "the file is empty"),
    ("cut.png", cut, "phases", "damaged|truncated"),
    ("cut.tif", cut, "phases", "damaged"),
    ("cut.npy", cut, "phases", "damaged"),
    ("text.png", lambda path: path.write_text("no image"), "grey", "damaged"),
    ("pickle.npy", lambda path: np.save(path, np.array([[{}]])), "phases", "Python objects"),
    ("a.gif", Path.touch, "phases", "empty"),
    ("a.webp", lambda path: path.write_text("x"), "phases", "unknown type '.webp': use .tif"),
    ("folder", Path.mkdir, "phases", "a folder where a 2D image is expected"),
    ("v.npy", lambda path: save(path, np.zeros((5, 6, 7), int)), "phases", "2D image is expected"),
    ("line.npy", lambda path: save(path, np.zeros(5, int)), "phases", "2D image is expected"),
    ("none.npy", lambda path: save(path, np.zeros((0, 5), int)), "phases", "holds no pixel"),
    ("complex.npy", lambda path: save(path, np.zeros((2, 2), complex)), "grey", "complex128"),
    (
        "v.tif",
        lambda path: save(path, np.zeros((5, 6, 7), np.uint8), photometric="minisblack"),
        "phases",
        "where a 2D image is expected",
    ),
    ("frames.png", frames, "phases", "holds 2 frames"),
    ("nan.npy", lambda path: save(path, np.array([[np.nan, 1]])), "grey", "NaN"),
    ("nan.tif", lambda path: save(path, np.array([[np.nan, 1]])), "phases", "NaN"),
    ("half.npy", lambda path: save(path, np.array([[0.5, 1]])), "phases", "no whole numbers"),
    ("rgb.png", lambda path: save(path, COLOUR), "phases", "8-bit greyscale"),
    ("rgb.tif", lambda path: save(path, COLOUR), "grey", "or use kind colour"),
    ("grey.png", lambda path: save(path, RAMP), "colour", "use kind grey"),
    ("ramp.png", lambda path: save(path, RAMP), "phases", "not segmented, more than 16"),
    (
        "glass.png",
        lambda path: save(path, np.full((2, 2, 4), 99, np.uint8)),
        "phases",
        "transparent",
    ),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad[0])
def test_refusals_are_one_line_and_name_the_file(
    tmp_path: Path, bad: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    name, make, kind, reason = bad
    make(tmp_path / name)
    with pytest.raises(InputError, match=reason) as caught:
        read_image(tmp_path / name, kind=kind)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["phases", "grey", "colour"])
def test_pages_are_read_as_images_of_their_own(tmp_path: Path, kind: Any) -> None:
    rng = np.random.default_rng(0)
    depth = (3,) if kind == "colour" else ()
    for shapes in ([(20, 24)] * 3, [(20, 24), (20, 24), (31, 17)]):
        pages = [rng.integers(0, 4, (*shape, *depth)).astype(np.uint8) for shape in shapes]
        with tifffile.TiffWriter(tmp_path / "pages.tif") as file:
            for page in pages:
                file.write(page, photometric="rgb" if depth else "minisblack")
        found = read_pages(tmp_path / "pages.tif", kind=kind)
        for k, page in enumerate(pages):
            tifffile.imwrite(tmp_path / "one.tif", page, photometric="rgb" if depth else None)
            assert np.array_equal(found[k], read_image(tmp_path / "one.tif", kind=kind))
        assert len(found) == 3


def test_pages_of_an_imagej_stack_which_has_one_header_are_read_too(tmp_path: Path) -> None:
    stack = np.arange(60, dtype=np.uint8).reshape(3, 4, 5) % 7
    tifffile.imwrite(tmp_path / "stack.tif", stack, imagej=True)
    assert np.array_equal(read_pages(tmp_path / "stack.tif"), stack)


def test_a_page_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    pages = np.zeros((2, 20, 20), np.uint8)
    pages[1] = np.arange(400).reshape(20, 20) % 251
    tifffile.imwrite(tmp_path / "pages.tif", pages)
    message = refusal(read_pages, tmp_path / "pages.tif")
    assert "pages.tif: page 2: not segmented" in message
    np.save(tmp_path / "a.npy", pages[0])
    (only,) = read_pages(tmp_path / "a.npy")
    assert np.array_equal(only, pages[0])


def test_an_image_larger_than_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "a.npy", np.zeros((100, 100), np.uint8))
    monkeypatch.setattr("metrics.machine.memory.free_memory", lambda: 89_999)
    assert "of memory" in refusal(read_image, tmp_path / "a.npy")
    monkeypatch.setattr("metrics.machine.memory.free_memory", lambda: 90_000)
    read_image(tmp_path / "a.npy")


def test_unknown_kinds_are_refused(tmp_path: Path) -> None:
    unknown: Any = "gray"
    with pytest.raises(InputError, match="phases, grey, colour, got 'gray'"):
        read_image(save(tmp_path / "a.png", PHASES), kind=unknown)


@pytest.mark.parametrize(
    ("name", "shape", "kind", "volume"),
    [
        ("a.tif", (6, 7), "phases", False),
        ("a.tif", (6, 7, 3), "phases", False),
        ("a.tif", (5, 6, 7), "phases", True),
        ("a.npy", (6, 7), "phases", False),
        ("a.npy", (5, 6, 3), "phases", True),
        ("a.npy", (5, 6, 3), "colour", False),
        ("a.npy", (5, 6, 7), "colour", True),
        ("a.png", (6, 7), "phases", False),
    ],
)
def test_volumes_are_told_from_images(
    tmp_path: Path, name: str, shape: tuple[int, ...], kind: Any, volume: bool
) -> None:
    photometric = "rgb" if shape[-1] == 3 else "minisblack"
    options = {"photometric": photometric} if name == "a.tif" else {}
    path = save(tmp_path / name, np.zeros(shape, np.uint8), **options)
    assert is_volume(path, kind=kind) is volume


def test_folders_raw_and_hdf5_are_volumes(tmp_path: Path) -> None:
    assert is_volume(tmp_path)
    assert is_volume("a.raw")
    assert is_volume("a.h5:/labels")
    assert not is_volume("a.jpg")


@pytest.mark.parametrize("name", ["a.tif", "a.npy"])
def test_the_kind_of_a_missing_or_empty_file_is_not_guessed(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: no such file"):
        is_volume(tmp_path / name)
    (tmp_path / name).touch()
    with pytest.raises(InputError, match=f"{name}: the file is empty"):
        is_volume(tmp_path / name)


def test_a_real_micrograph(data_path: Callable[[str], Path]) -> None:
    image = read_image(data_path("sofc_anode_slice.tif"))
    assert image.shape == (1024, 1024)
    assert len(np.unique(image)) == 3
