"""Streaming: files are those that write makes of the whole volume, or there is none."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from small_models import ANODE, small_model

from metrics.io.volumes import read, write
from metrics.volume import InputError
from slicegan import field
from slicegan.config import Material
from slicegan.field import activation_bytes
from slicegan.generation import generate, stream

MODEL = small_model()
GREY = small_model(material=Material("grey", (), (2.0, 1.0, 0.5), "nm"))
COLOUR = small_model(material=Material("colour"))


@pytest.fixture(autouse=True)
def several_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of 8 voxels."""
    monkeypatch.setattr(field, "TILE_BYTES", activation_bytes(MODEL.generator, 8))


@pytest.mark.parametrize("name", ["v.tif", "v.npy", "v.h5", "folder"])
@pytest.mark.parametrize("window", [{}, {"origin": (-3, 5, 1)}, {"periodic": "zx"}])
def test_the_file_is_that_of_the_whole(tmp_path: Path, name: str, window: dict) -> None:
    options = {"size": (20, 9, 12), "seed": 3, **window}
    stream(MODEL, tmp_path / name, **options, index=1)
    whole = generate(MODEL, **options, count=2)[1]
    streamed = read(tmp_path / name)
    np.testing.assert_array_equal(streamed.labels, whole.labels)
    if name.endswith((".tif", ".h5")):
        assert (streamed.spacing, streamed.unit) == (ANODE.spacing, "um")
        assert streamed.phases == ANODE.phases
    write(whole, tmp_path / f"whole_{name}")
    if name.endswith((".tif", ".npy")):
        assert (tmp_path / name).read_bytes() == (tmp_path / f"whole_{name}").read_bytes()


def test_intensities_are_streamed(tmp_path: Path) -> None:
    for name, grey in (("g.npy", np.load), ("g.tif", tifffile.imread)):
        stream(GREY, tmp_path / name, (20, 9, 12), seed=3)
        np.testing.assert_array_equal(grey(tmp_path / name), generate(GREY, (20, 9, 12), seed=3))
    with tifffile.TiffFile(tmp_path / "g.tif") as tif:
        assert (tif.imagej_metadata["spacing"], tif.imagej_metadata["unit"]) == (2.0, "nm")  # type: ignore[index]
    colour = generate(COLOUR, (20, 9, 12), seed=3)
    for name, rgb in (("c.npy", np.load), ("c.tif", tifffile.imread)):
        stream(COLOUR, tmp_path / name, (20, 9, 12), seed=3)
        np.testing.assert_array_equal(rgb(tmp_path / name), colour)
    with tifffile.TiffFile(tmp_path / "c.tif") as tif:
        assert (tif.series[0].axes, tif.pages[0].photometric.name) == ("ZYXS", "RGB")  # type: ignore[union-attr]
    stream(COLOUR, tmp_path / "slices", (20, 9, 12), seed=3)
    from PIL import Image

    with Image.open(tmp_path / "slices" / "0019.png") as image:
        np.testing.assert_array_equal(np.asarray(image), colour[19])


def test_only_one_slab_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    empty = np.empty

    def note(shape: tuple[int, ...], dtype: type) -> np.ndarray:
        shapes.append(shape)
        return empty(shape, dtype)

    monkeypatch.setattr("slicegan.field.np", SimpleNamespace(empty=note, uint8=np.uint8))
    stream(MODEL, tmp_path / "v.npy", (20, 9, 12))
    assert shapes == [(8, 9, 12), (8, 9, 12), (4, 9, 12)]


def test_no_space_is_said_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    monkeypatch.setattr(field.Field, "voxels", None)
    with pytest.raises(InputError, match=r"v\.npy: needs .* GiB on the disk, .* GiB are free: "):
        stream(MODEL, tmp_path / "v.npy", (20, 9, 12))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["v.tif", "v.npy"])
@pytest.mark.parametrize(
    ("error", "raised"),
    [(OSError(errno.ENOSPC, "No space left on device"), InputError), (KeyboardInterrupt(), None)],
)
def test_a_file_that_was_not_completed_is_none(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    error: BaseException,
    raised: type[BaseException] | None,
) -> None:
    work, tiles = field.Field.voxels, []

    def voxels(self: field.Field, *args: object) -> np.ndarray:
        tiles.append(args)
        if len(tiles) == 6:  # in the second slab
            raise error
        return work(self, *args)  # type: ignore[arg-type]

    (tmp_path / name).write_text("an older file")
    monkeypatch.setattr(field.Field, "voxels", voxels)
    with pytest.raises(raised or type(error)) as caught:
        stream(MODEL, tmp_path / name, (20, 9, 12))
    if raised:
        message = str(caught.value)
        assert "No space left on device): free some space" in message
        assert "\n" not in message
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "an older file"


def test_bad_input_is_said_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="size must be positive"):
        stream(MODEL, tmp_path / "v.tif", 0)
    with pytest.raises(InputError, match="index must be a whole number"):
        stream(MODEL, tmp_path / "v.tif", 8, index=-1)
    with pytest.raises(InputError, match=r"unknown type '\.txt'"):
        stream(MODEL, tmp_path / "v.txt", 8)
    assert list(tmp_path.iterdir()) == []
