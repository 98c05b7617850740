"""Training data: which files and slices each critic sees, and what is refused."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from refusing import refusal

from metrics.io.volumes import write
from metrics.volume import InputError, Phase, Volume
from slicegan.data import load_training_data
from slicegan.sources import Source, slices

RANDOM = np.random.default_rng(0)
# Different along all three axes, and under every reversal: each voxel says where it is.
BODY = np.zeros((4, 5, 6), dtype=np.uint8)
BODY[0, 1, 2], BODY[3, 0, 5], BODY[1, 4, 0] = 1, 2, 1


def save(path: Path, pixels: np.ndarray) -> str:
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return str(path)


def two_phases(path: Path, *, shape: tuple[int, int] = (8, 9), top: int = 127) -> str:
    pixels = RANDOM.integers(0, 2, shape) * top
    pixels[0, :2] = 0, top
    return save(path, pixels)


def test_planes_are_numpys(tmp_path: Path) -> None:
    """The convention of docs/planes.md, of real slices and of generated ones."""
    path = tmp_path / "body.tif"
    write(Volume(BODY), path)
    data = load_training_data([path])
    volume = torch.from_numpy(BODY)[None, None]
    planes = {
        "z": [BODY[k, :, :] for k in range(4)],
        "y": [BODY[:, j, :] for j in range(5)],
        "x": [BODY[:, :, i] for i in range(6)],
    }
    assert [source.axes for source in data.sources] == [("z",), ("y",), ("x",)]
    for source in data.sources:
        (axis,), (real,) = source.axes, source.images
        np.testing.assert_array_equal(real, planes[axis])
        assert torch.equal(slices(volume, axis)[0, :, 0], real)


def test_one_image_is_isotropic(tmp_path: Path) -> None:
    path = two_phases(tmp_path / "a.png")
    data = load_training_data([path], phases={"ni": 127, "pore": 0}, spacing=0.1, unit="µm")
    (source,) = data.sources
    assert (source.axes, source.turns, data.isotropic) == (("z", "y", "x"), True, True)
    assert data.material.phases == (Phase("ni", 0, 127), Phase("pore", 1, 0))
    assert (data.material.spacing, data.material.unit) == ((0.1, 0.1, 0.1), "um")
    np.testing.assert_array_equal(source.images[0][0], np.asarray(Image.open(path)) == 0)
    (file,) = data.files
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert (file.path, file.sha256, file.axes) == (path, digest, ("z", "y", "x"))


def test_images_of_different_sizes_are_pooled(tmp_path: Path) -> None:
    paths = [two_phases(tmp_path / "a.png"), two_phases(tmp_path / "b.png", shape=(20, 10))]
    (source,) = load_training_data(paths).sources
    assert [tuple(image.shape) for image in source.images] == [(1, 8, 9), (1, 20, 10)]
    assert source.positions(8) == 2 + 13 * 3


def test_axes_with_the_same_images_share_a_critic(tmp_path: Path) -> None:
    top, side = (two_phases(tmp_path / f"{name}.png") for name in "ab")
    other_name = f"{tmp_path}/../{tmp_path.name}/b.png"
    data = load_training_data({"x": [side], "y": other_name, "z": [top]}, flips="y")
    assert not data.isotropic
    assert [source.axes for source in data.sources] == [("z",), ("y", "x")]
    assert [source.flips for source in data.sources] == [(True, False), (False, True)]
    assert not any(source.turns for source in data.sources)
    assert [(file.path, file.axes) for file in data.files] == [
        (top, ("z",)),
        (other_name, ("y", "x")),
    ]


def test_three_images_have_three_critics(tmp_path: Path) -> None:
    images = {axis: two_phases(tmp_path / f"{axis}.png") for axis in "zyx"}
    data = load_training_data(images, flips="z", spacing=(3, 2, 1), unit="nm")
    assert [source.axes for source in data.sources] == [("z",), ("y",), ("x",)]
    assert [s.flips for s in data.sources] == [(False, False), (True, False), (True, False)]
    assert data.material.spacing == (3.0, 2.0, 1.0)


@pytest.mark.parametrize("isotropic", [None, False])
def test_one_image_named_for_all_axes(tmp_path: Path, isotropic: bool | None) -> None:
    path = two_phases(tmp_path / "a.png")
    data = load_training_data(dict.fromkeys("zyx", path), isotropic=isotropic)
    (source,) = data.sources
    assert source.turns is data.isotropic is (isotropic is None)


@pytest.mark.parametrize("name", ["body.npy", "body.h5", "body"])
def test_isotropic_volumes_pool_the_slices_of_all_axes(tmp_path: Path, name: str) -> None:
    write(Volume(BODY), tmp_path / name)
    data = load_training_data(tmp_path / name, isotropic=True)
    (source,) = data.sources
    assert source.turns
    assert source.axes == ("z", "y", "x")
    assert [tuple(image.shape) for image in source.images] == [(4, 5, 6), (5, 4, 6), (6, 4, 5)]
    assert len(data.files[0].sha256) == 64


def test_volumes_keep_their_spacing_and_names(tmp_path: Path) -> None:
    phases = (Phase("pore", 0, 0), Phase("ni", 1, 127), Phase("ysz", 2, 254))
    write(Volume(BODY, (3.0, 2.0, 1.0), "um", phases), tmp_path / "a.tif")
    material = load_training_data([tmp_path / "a.tif"]).material
    assert (material.spacing, material.unit, material.phases) == ((3.0, 2.0, 1.0), "um", phases)


@pytest.mark.parametrize(("kind", "channels"), [("grey", 1), ("colour", 3)])
def test_intensities(tmp_path: Path, kind: Any, channels: int) -> None:
    pixels = RANDOM.integers(0, 256, (4, 4, 3)[: 2 if kind == "grey" else 3])
    data = load_training_data(save(tmp_path / "a.png", pixels), kind=kind)
    (source,) = data.sources
    assert (data.material.kind, data.material.phases, source.channels) == (kind, (), channels)
    expected = pixels.reshape(1, 4, 4, channels)
    np.testing.assert_array_equal(source.images[0], expected)
    crop = Source(("z",), source.images, channels).draw(1, 4, torch.Generator())
    # One rounding to float32 of numbers up to 1.
    np.testing.assert_allclose(crop.movedim(1, -1), expected / 255, atol=1e-7)


def test_data_move_between_devices(tmp_path: Path) -> None:
    data = load_training_data(two_phases(tmp_path / "a.png")).to("meta")
    assert data.sources[0].images[0].device.type == "meta"


def refused(images: Any, reason: str, **options: Any) -> None:
    assert re.search(reason, refusal(load_training_data, images, **options))


def test_options_that_contradict_are_refused(tmp_path: Path) -> None:
    a, b = (two_phases(tmp_path / f"{name}.png") for name in "ab")
    refused([], "no image: give at least one")
    refused({"z": [], "y": [a], "x": [a]}, "no image: give at least one")
    refused({"z": [a], "x": [a]}, "no image for axis y")
    refused({"z": [a], "y": [a], "x": [a], "w": [a]}, "axis must be one of z, y, x, got 'w'")
    refused([a], "can only be isotropic", isotropic=False)
    refused({"z": a, "y": b, "x": b}, "axes of an isotropic material share", isotropic=True)
    refused([a], "leave flips out", flips="z")
    refused({"z": a, "y": b, "x": b}, "axis must be one of", flips="k")
    refused([a], "a spacing needs its unit", spacing=1.0)
    refused([a], "and a unit a spacing", unit="um")
    refused([a], "must be one or three positive lengths", spacing=-1, unit="um")
    refused([a], "axes z, y, x share images, but a spacing", spacing=(2, 1, 1), unit="um")
    refused({"z": a, "y": b, "x": b}, "axes y, x share images", spacing=(1, 2, 1), unit="um")
    refused([a], "phases= does not apply to grey", kind="grey", phases={"a": 1})
    refused([a], "kind must be one of", kind="gray")


def test_unequal_pixels_of_axes_apart_are_no_fault(tmp_path: Path) -> None:
    a, b = (two_phases(tmp_path / f"{name}.png") for name in "ab")
    data = load_training_data({"z": a, "y": b, "x": b}, spacing=(2, 1, 1), unit="um")
    assert data.material.spacing == (2.0, 1.0, 1.0)


def test_images_that_differ_in_phases_are_refused(tmp_path: Path) -> None:
    a, b = two_phases(tmp_path / "a.png"), two_phases(tmp_path / "b.png", top=200)
    refused([a, b], r"phase 200 of .*b\.png is missing in .*a\.png")
    refused({"z": a, "y": b, "x": b}, "is missing in")
    refused([a], r"a\.png: phases=.* must name each value in the file", phases={"pore": 0})
    named = {"pore": 0, "ni": 127, "ysz": 254}
    refused([a], r"a\.png: phase 'ysz' \(value 254\) has no pixel", phases=named)


def test_volumes_that_cannot_serve_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "body.tif"
    write(Volume(BODY, (2.0, 1.0, 1.0), "um"), path)
    a = two_phases(tmp_path / "a.png")
    refused([path], "share images, but a spacing", isotropic=True)
    refused([path], "a grey volume: give 2D images", kind="grey")
    refused([path, a], r"body\.tif: .* where a 2D image is expected")
    refused({"z": path, "y": path, "x": path}, "where a 2D image is expected")
    refused([path], "'d' .* has no pixel", phases={"a": 0, "b": 1, "c": 2, "d": 3})
    refused([tmp_path / "none.tif"], "no such file")
    refused([tmp_path / "none.h5"], "no such file")
    refused([tmp_path / "a.webp"], "no such file")


def test_real_data(data_path: Callable[[str], Path]) -> None:
    data = load_training_data(data_path("sofc_anode_slice.tif"))
    assert data.material.channels == 3
    assert data.sources[0].positions(64) == (1024 - 63) ** 2
    with pytest.raises(InputError, match="where a 2D image"):
        load_training_data({axis: data_path("berea.tif") for axis in "zyx"})
