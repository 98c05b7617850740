"""From grey to phases: known levels are found, fractions move as thresholds do, files are whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from refusing import refusal

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
        (["a.png", "--thresholds", "9", "255", "--out", "s.png"], "thresholds must ascend"),
        (["a.png", "--classes", "2", "--out", "a.png"], "a.png is one of the images"),
        (["a.png", "b.png", "--classes", "2", "--out", "."], "is one of the images"),
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
