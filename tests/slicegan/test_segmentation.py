"""From grey to phases: known levels are found, fractions move as thresholds do, files are whole."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from matplotlib.colors import to_rgb
from PIL import Image
from refusing import refusal

import metrics
from metrics.io.images import read_image
from metrics.report.plots import phase_colours
from metrics.shapes import plurigaussian
from slicegan.cli import main
from slicegan.segmentation import segment

GREYS = (60, 120, 190)
PHASES = plurigaussian((16, 96, 96), correlation_length=4, seed=0).volume.labels[0]


def photograph(noise: float, seed: int = 0) -> np.ndarray:
    """The phases as a camera sees them: three greys with noise."""
    rng = np.random.default_rng(seed)
    grey = np.array(GREYS)[PHASES] + noise * rng.standard_normal(PHASES.shape)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def test_phases_are_found_in_their_greys() -> None:
    found = segment([photograph(8)], classes=3)
    # Thresholds lie between the greys, which are 7 deviations apart and more.
    assert GREYS[0] < found.thresholds[0] < GREYS[1] < found.thresholds[1] < GREYS[2]
    assert np.mean(found.labels[0] != PHASES) < 0.001
    shares = [np.mean(PHASES == k) for k in range(3)]
    assert found.fractions[1] == pytest.approx(shares, abs=0.001)
    assert found.values == [0, 128, 255]


def test_a_median_filter_takes_off_noise() -> None:
    noisy = photograph(40)
    wrong = [
        np.mean(segment([noisy], classes=3, smooth=radius).labels[0] != PHASES) for radius in (0, 2)
    ]
    assert wrong[1] < wrong[0] / 2


def test_fractions_with_shifted_thresholds_are_those_of_shifted_images() -> None:
    image = photograph(30)
    found = segment([image], classes=3)
    for row, shift in zip(found.fractions, (-2, 0, 2), strict=True):
        edges = np.array(found.thresholds) + shift
        labels = np.digitize(image, edges + 1)
        assert row == pytest.approx([np.mean(labels == k) for k in range(3)])
    assert found.fractions.sum(axis=1) == pytest.approx([1, 1, 1])


def test_a_threshold_at_black_can_be_shifted_below_it() -> None:
    image = np.tile(np.arange(0, 40, dtype=np.uint8), (40, 1))
    found = segment([image], thresholds=[1])
    assert found.fractions[:, 0] == pytest.approx([0, 2 / 40, 4 / 40])


def test_given_thresholds_are_taken() -> None:
    found = segment([photograph(8)], thresholds=[90, 150])
    assert found.thresholds == (90, 150)
    assert np.array_equal(found.labels[0], np.digitize(photograph(8), [91, 151]))


def test_images_share_their_thresholds() -> None:
    bright = np.full((40, 40), 200, np.uint8)
    bright[:, :20] = np.arange(180, 200)
    found = segment([photograph(8), bright], classes=3)
    assert set(np.unique(found.labels[1])) == {2}  # alone it would be cut in two


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photograph(8)).save("a.png")
    Image.fromarray(photograph(8, seed=1)).save("b.png")
    np.save("deep.npy", photograph(8).astype(np.uint16) * 200)
    Image.fromarray(np.array([0, 128, 255], np.uint8)[PHASES]).save("done.png")
    return tmp_path


def test_the_command_writes_phases_and_a_picture(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["segment", "a.png", "--classes", "3", "--out", "seg.png"]) == 0
    first, thresholds, *shares = capsys.readouterr().out.splitlines()
    assert first == f"seg.png; look at {Path('previews', 'seg.png')}"
    assert thresholds.startswith("thresholds: ") and len(shares) == 3
    assert shares[0].startswith("value 0: ") and "thresholds 2 lower or higher" in shares[0]
    values = read_image("seg.png")  # as phases, as training would
    assert np.mean(values != np.array([0, 128, 255])[PHASES]) < 0.001
    with Image.open("previews/seg.png") as picture:
        pixels = np.asarray(picture.convert("RGB")) / 255
    for colour in map(np.array, map(to_rgb, phase_colours(3))):
        assert (abs(pixels - colour) < 0.02).all(axis=-1).mean() > 0.01


def test_several_images_go_into_a_folder(folder: Path) -> None:
    assert main(["segment", "a.png", "b.png", "--classes", "3", "--out", "seg", "--quiet"]) == 0
    assert {path.name for path in Path("seg").iterdir()} == {"a.png", "b.png", "previews"}
    assert {path.name for path in Path("seg/previews").iterdir()} == {"a.png", "b.png"}


def test_sixteen_bits_are_scaled_by_all_images_together(folder: Path) -> None:
    assert main(["segment", "deep.npy", "--classes", "3", "--out", "seg.tif", "--quiet"]) == 0
    assert np.mean(read_image("seg.tif") != np.array([0, 128, 255])[PHASES]) < 0.001


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["absent.png", "--classes", "2", "--out", "s.png"], "absent.png: no such file"),
        (["a.png", "--classes", "1", "--out", "s.png"], "classes must be 2 to 5, got 1"),
        (["a.png", "--classes", "9", "--out", "s.png"], "classes must be 2 to 5, got 9"),
        (["a.png", "--classes", "2", "--smooth", "-1", "--out", "s.png"], "smooth must be 0"),
        (["a.png", "--classes", "2", "--smooth", "99", "--out", "s.png"], "smooth must be 0"),
        (["a.png", "--out", "s.png"], "give either classes or thresholds"),
        (["a.png", "--thresholds", "9", "5", "--out", "s.png"], "thresholds must ascend"),
        (
            ["a.png", "--thresholds", "9", "255", "--out", "s.png"],
            "255 lies outside the greys",
        ),
        (["a.png", "--classes", "2", "--out", "a.png"], "a.png is one of the images"),
        (["a.png", "b.png", "--classes", "2", "--out", "."], "is one of the images"),
        (["a.png", "done.png", "--classes", "2", "--out", "s"], "image 2 holds 3 grey values"),
        (["a.png", "deep.npy", "--classes", "2", "--out", "s"], "of types uint16, uint8"),
        (["a.png", "--classes", "2", "--out", "s"], "--out must be .png or .tif"),
        (["a.png", "--classes", "2", "--out", "s.jpg"], "--out must be .png or .tif"),
        (["a.png", "b.png", "--classes", "2", "--out", "s.png"], "of several images a folder"),
        (["a.png", "a.png", "--classes", "2", "--out", "s"], "two images are called a"),
        (
            ["done.png", "--classes", "3", "--out", "s.png"],
            "holds 3 grey values: it is segmented already",
        ),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], argv: list[str], said: str
) -> None:
    before = sorted(folder.rglob("*"))
    assert main(["segment", *argv]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and said in error
    assert sorted(folder.rglob("*")) == before


def test_an_image_without_greys_is_refused() -> None:
    assert "holds 1 grey values" in refusal(segment, [np.zeros((9, 9), np.uint8)], classes=2)


BODY = plurigaussian((40, 48, 44), correlation_length=5, seed=1).volume.labels


def scan(factor: int = 1, seed: int = 0) -> np.ndarray:
    """A volume as a tomograph sees it, with some voxels far too bright."""
    rng = np.random.default_rng(seed)
    grey = factor * (np.array(GREYS)[BODY] + 8 * rng.standard_normal(BODY.shape))
    if factor > 1:
        grey[0, 0, ::5] = 60_000
    return np.clip(np.rint(grey), 0, 2**16 - 1).astype(np.uint16 if factor > 1 else np.uint8)


def test_a_volume_is_segmented_with_its_voxel_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite(
        "scan.tif", scan(), imagej=True, resolution=(2, 2), metadata={"spacing": 0.5, "unit": "um"}
    )
    argv = ["segment", "scan.tif", "--classes", "3", "--out", "seg.tif"]
    assert main(argv) == 0
    assert "% of the voxels" in capsys.readouterr().out
    found = metrics.read("seg.tif")
    assert (found.spacing, found.unit) == ((0.5, 0.5, 0.5), "um")
    assert [phase.value for phase in found.phases] == [0, 128, 255]
    assert np.mean(found.labels != BODY) < 0.001
    with Image.open("previews/seg.png") as picture:
        assert picture.width > 1000
    assert "(slicegan segment)" in refusal(metrics.read, "scan.tif")


def test_hot_voxels_do_not_squeeze_the_greys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("scan.npy", scan(20))
    size = ["--spacing", "2", "--unit", "um"]
    argv = ["segment", "scan.npy", "--classes", "3", *size, "--out", "seg.npy"]
    assert main(argv) == 0
    found = metrics.read("seg.npy")
    assert np.mean(found.labels != BODY) < 0.002
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "in the file" in line]
    low, high = (float(x) for x in line.partition("in the file ")[2].rstrip(")").split(", "))
    assert 20 * GREYS[0] < low < 20 * GREYS[1] < high < 20 * GREYS[2]
    # They are what parts the phases: all values up to them are darker phases.
    labels = np.digitize(scan(20), [low, high])
    assert np.mean(labels != found.labels) < 1e-4
    # They hold for a scan that comes later, whatever its own greys are: here without the brightest.
    later = np.minimum(scan(20), 20 * 130)
    np.save("later.npy", later)
    argv = ["segment", "later.npy", "--thresholds", str(low), str(high), *size]
    assert main([*argv, "--out", "late.npy", "--quiet"]) == 0
    late = metrics.read("late.npy").labels
    assert np.mean(late != np.digitize(later, [low, high])) < 0.002


def test_several_volumes_and_real_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, seed in (("a", 0), ("b", 1)):
        np.save(f"{name}.npy", scan(seed=seed) / np.float32(255))
    argv = ["segment", "a.npy", "b.npy", "--classes", "3", "--smooth", "1", "--out", "seg"]
    assert main([*argv, "--quiet"]) == 0
    for name in "ab":
        assert np.mean(metrics.read(f"seg/{name}.tif").labels != BODY) < 0.2  # thin parts go


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["scan.npy", "a.png", "--out", "s"], "images and volumes: segment them one after"),
        (["scan.npy", "--out", "s.png"], "--out must be .tif or .tiff or .npy"),
        (["a.png", "--unit", "um", "--out", "s.png"], "--spacing and --unit are of volumes"),
        (["scan.npy", "--unit", "um", "--out", "s.tif"], "without a voxel size"),
        (["nan.npy", "--out", "s.tif"], "nan.npy: holds NaN or infinite values"),
        (["done.npy", "--out", "s.tif"], "holds 3 grey values: it is segmented already"),
        (["yes.npy", "--out", "s.tif"], "bool values are no greys"),
        (["f.npy", "--thresholds", "nan", "--out", "s.tif"], "the threshold nan lies outside"),
        (["scan.npy", "--smooth", "9", "--out", "s.tif"], "smooth must be 0 to 5 pixels, got 9"),
        (["slices", "--out", "slices/s.tif"], "is one of the images, or among them"),
    ],
)
def test_bad_volumes_are_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], argv: list[str], said: str
) -> None:
    np.save("scan.npy", scan())
    np.save("nan.npy", np.full((3, 4, 5), np.nan))
    np.save("done.npy", BODY)
    np.save("yes.npy", BODY > 0)
    np.save("f.npy", scan() / 255)
    Path("slices").mkdir()
    for z, layer in enumerate(scan()):
        Image.fromarray(layer).save(f"slices/{z:03d}.png")
    before = sorted(folder.rglob("*"))
    classes = [] if "--thresholds" in argv else ["--classes", "2"]
    assert main(["segment", *argv, *classes]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and said in error
    assert sorted(folder.rglob("*")) == before


def test_smoothing_may_leave_too_few_greys() -> None:
    noise = np.random.default_rng(0).normal(100, 10, (12, 12)).astype(np.uint8)
    said = refusal(segment, [noise], classes=4, smooth=20)
    assert "grey values are left after smooth=20: smooth less" in said


def test_an_existing_store_is_refused_before_the_work(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save("scan.npy", scan())
    argv = ["segment", "scan.npy", "--classes", "3", "--out", "seg.zarr", "--quiet"]
    assert main(argv) == 0
    monkeypatch.setattr("slicegan.segment_command.read_greys", lambda *_, **__: pytest.fail("read"))
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert error.count("seg.zarr") == 1 and "choose a new name" in error


def test_a_threshold_belongs_to_the_darker_phase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    values = np.tile(np.arange(128, dtype=np.uint16), (5, 6, 1))  # fewer values than levels
    np.save("scan.npy", values)
    for threshold in (0, 17, 91, 126):
        argv = ["segment", "scan.npy", "--thresholds", str(threshold), "--out", "seg.npy"]
        assert main([*argv, "--quiet"]) == 0
        assert np.array_equal(np.load("seg.npy") > 0, values > threshold)


def test_a_dataset_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with h5py.File("scan.h5", "w") as file:
        file["volume"] = scan()
    assert main(["segment", "scan.h5:/volume", "--classes", "3", "--out", "scan.h5"]) == 2
    assert "is one of the images" in capsys.readouterr().err
    with h5py.File("scan.h5") as file:
        assert np.array_equal(file["volume"], scan())
