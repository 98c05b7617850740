"""What is no segmentation is found by where its values lie, and no segmentation is taken for it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.ndimage import distance_transform_edt, zoom

from benchmarks import datasets
from metrics import InputError, read
from metrics.io.blur import blurred_values
from metrics.io.images import read_image
from metrics.shapes import gaussian_random_field, plurigaussian
from slicegan.data import load_training_data

# In 2D: a volume of one plane.
TWO, THREE = (
    gaussian_random_field((1, 128, 128), correlation_length=5, fractions=shares, seed=0).volume
    for shares in ((0.6, 0.4), (0.4, 0.3, 0.3))
)
PLANES = {"two": TWO.labels[0] * np.uint8(255), "three": THREE.labels[0] * np.uint8(127)}


def found(image: np.ndarray) -> list[int]:
    volume = np.atleast_3d(image) if image.ndim == 3 else image[np.newaxis]
    return blurred_values(volume, np.unique(volume).tolist())


@pytest.mark.parametrize("quality", [100, 98, 95])
@pytest.mark.parametrize("name", PLANES)
def test_what_jpeg_adds_is_named(name: str, quality: int) -> None:
    file = io.BytesIO()
    Image.fromarray(PLANES[name]).save(file, "jpeg", quality=quality)
    image = np.asarray(Image.open(file))
    assert set(found(image)) == set(np.unique(image)) - set(np.unique(PLANES[name]))


@pytest.mark.parametrize("name", PLANES)
def test_what_averages_and_interpolation_add_is_named(name: str) -> None:
    plane = PLANES[name]
    binned = plane.reshape(64, 2, 64, 2).mean((1, 3)).astype(np.uint8)
    # Where three phases lie in order, the mean of the outer two is the value of the third.
    assert set(found(binned)) >= set(np.unique(binned)) - {0, 127, 254, 255, *np.unique(plane)}
    larger = np.asarray(Image.fromarray(plane).resize((256, 256), Image.Resampling.BILINEAR))
    assert set(found(larger)) == set(np.unique(larger)) - set(np.unique(plane))


def test_a_volume_is_looked_at_in_several_planes() -> None:
    body = gaussian_random_field((40,) * 3, correlation_length=4, seed=1).volume
    larger = zoom(body.labels * np.uint8(255), 2, order=1)
    larger = larger // 16 * 16  # some sixteen values
    assert len(found(larger)) > 5
    assert found(larger[:1]) and not found(zoom(body.labels, 2, order=0))


def test_segmentations_are_no_blur() -> None:
    for plane in PLANES.values():
        assert found(plane) == []
    labels = plurigaussian((32,) * 3, correlation_length=2, seed=0).volume.labels
    assert found(labels * np.uint8(100)) == []
    noise = np.random.default_rng(0).choice([0, 60, 120, 180, 240], (64, 64))
    assert found(noise) == []


@pytest.mark.parametrize("thickness", [1, 2, 3])
def test_a_thin_coating_on_a_core_is_a_phase(thickness: int) -> None:
    core = PLANES["two"] > 0
    coated = np.where(distance_transform_edt(core) <= thickness, 127, 255)
    image = np.where(core, coated, 0).astype(np.uint8)
    assert np.unique(image).tolist() == [0, 127, 255]
    assert found(image) == []
    # A second one would be four values; two coatings side by side are thick together.
    numbered = np.where(core, coated // 127, 0)
    assert found(numbered) == []


def test_files_are_refused_with_the_remedy_unless_the_phases_are_named(tmp_path: Path) -> None:
    jpeg, file = tmp_path / "image.jpg", tmp_path / "image.png"
    Image.fromarray(PLANES["two"]).save(jpeg, quality=100)
    Image.fromarray(np.asarray(Image.open(jpeg))).save(file)
    values = np.unique(np.asarray(Image.open(file))).tolist()
    with pytest.raises(InputError, match=r"values 1, 254 occur only along boundaries.*PNG"):
        load_training_data(file)
    names = {f"value {v}": v for v in values}
    assert len(load_training_data(file, phases=names).material.phases) == len(values)
    stack = np.repeat(np.asarray(Image.open(file))[np.newaxis], 4, axis=0)
    np.save(tmp_path / "stack.npy", stack)
    with pytest.raises(InputError, match="only along boundaries"):
        read(tmp_path / "stack.npy")
    assert len(read(tmp_path / "stack.npy", phases=names).phases) == len(values)


@pytest.mark.parametrize("lines", [False, True])
def test_a_jpeg_that_changed_its_labels_is_refused(lines: bool, tmp_path: Path) -> None:
    image = PLANES["two"].copy()
    if lines:  # one thin value may be a phase, in a JPEG it is none
        image[3, ::9] = 254
        assert found(image) == []
    written = write_jpegs(image, tmp_path)
    for file in written[:2]:
        names = {f"{v}": v for v in np.unique(read_image(file, kind="grey")).tolist()}
        for pages in (False, True):
            with pytest.raises(InputError, match=r"JPEG has changed the labels.*PNG"):
                load_training_data(file, phases=names, pages=pages)
    with pytest.raises(InputError, match="JPEG has changed the labels"):
        read(written[2])


def test_a_jpeg_that_kept_its_labels_is_read(tmp_path: Path) -> None:
    # Whole blocks of 8 x 8 pixels.
    image = np.kron([[0, 1, 1], [1, 0, 0], [0, 0, 1]], np.full((8, 8), 255)).astype(np.uint8)
    written = write_jpegs(image, tmp_path)
    for file in written[:2]:
        phases = load_training_data(file).material.phases
        assert [phase.value for phase in phases] == [0, 255]
    assert [phase.value for phase in read(written[2]).phases] == [0, 255]


def test_a_phase_of_one_slice_of_a_jpeg_is_a_phase(tmp_path: Path) -> None:
    stack = np.zeros((24, 32, 32), np.uint8)
    stack[:, :, 16:] = 255
    stack[1, 8:16, 8:16] = 128  # in none of the planes that are looked at first
    file = tmp_path / "stack.tif"
    tifffile.imwrite(
        file, stack, photometric="minisblack", compression="jpeg", compressionargs={"level": 100}
    )
    assert np.unique(tifffile.imread(file)).tolist() == [0, 128, 255]
    assert [phase.value for phase in read(file).phases] == [0, 128, 255]


def test_a_jpeg_of_four_dimensions_is_refused_as_such(tmp_path: Path) -> None:
    file = tmp_path / "series.tif"
    values = np.kron(np.eye(4, dtype=np.uint8), np.full((8, 8), 255, np.uint8))
    tifffile.imwrite(
        file,
        np.stack([np.stack([values] * 3)] * 2),
        metadata={"axes": "TZYX"},
        photometric="minisblack",
        compression="jpeg",
        compressionargs={"level": 100},
    )
    with pytest.raises(InputError, match=r"an array of shape \(2, 3, 32, 32\)"):
        read(file)


def write_jpegs(image: np.ndarray, folder: Path) -> tuple[Path, Path, Path]:
    """A picture, a page and a stack, compressed as little as JPEG can."""
    picture, page, stack = (folder / name for name in ("a.jpg", "a.tif", "stack.tif"))
    Image.fromarray(image).save(picture, quality=100)
    for file, pixels in ((page, image), (stack, np.stack([image] * 4))):
        tifffile.imwrite(
            file,
            pixels,
            photometric="minisblack",
            compression="jpeg",
            compressionargs={"level": 100},
        )
    return picture, page, stack


@pytest.mark.parametrize("name", ["nmc", "berea", "snow", "stack"])
def test_real_volumes_are_segmentations(name: str) -> None:
    try:
        volume = datasets.load(name)
    except InputError as error:
        pytest.skip(str(error))
    values = np.array([phase.value for phase in volume.phases])
    assert blurred_values(values[np.asarray(volume.labels)], sorted(values.tolist())) == []
