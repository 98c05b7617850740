"""Volumes against images: windows, directions, verdicts, and the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from refusing import refusal

from metrics.command import comparing as command
from metrics.comparison.comparing import Comparison, compare_sections
from metrics.comparison.measuring import Curve, Measured
from metrics.comparison.sections import in_every_direction, plan_sections, sections_of
from metrics.description import SECTION_METRICS, Row
from metrics.io.volumes import write
from metrics.shapes import gaussian_random_field, plurigaussian
from metrics.volume import AXES, Volume

LENGTH = 2.0
CHEAP = ("volume_fraction", "boundary_length", "two_point_correlation")


def body(seed: int, length: float | tuple[float, float, float] = LENGTH, side: int = 64) -> Volume:
    return gaussian_random_field(
        (side,) * 3, correlation_length=length, fractions=(0.4, 0.6), seed=seed
    ).volume


def image(seed: int, length: float = LENGTH, side: int = 128) -> np.ndarray:
    """A section of another body, so small that it costs nothing: the field is stationary."""
    return gaussian_random_field(
        (16, side, side), correlation_length=length, fractions=(0.4, 0.6), seed=seed
    ).volume.labels[0]


def compared(volumes: list[Volume], images: object, **options: object) -> Comparison:
    return compare_sections(volumes, images, workers=1, **options)


def test_windows_and_cubes_have_one_side() -> None:
    plan = plan_sections([body(0), body(1)], [Volume(image(2)[np.newaxis])])
    side = plan.shape[1]
    assert plan.shape == (1, 32, 32)  # 16 windows and cubes; of 33 there were 9 and 2
    assert plan.available == (16, 16) and plan.count == (16, 16)
    assert {v.shape for v in plan.real} == {(1, side, side)}
    assert {v.shape for v in plan.gen} == {(1, side, side), (side, 1, side), (side, side, 1)}
    # 8 planes normal to each axis of each cube.
    assert np.bincount(plan.groups).tolist() == [24] * 16


def test_planes_are_evenly_spaced_and_belong_to_their_cube() -> None:
    cube = Volume(np.arange(16**3).reshape(16, 16, 16) // 512)
    planes = sections_of(cube)
    assert [int(p.labels[0, 0, 0]) for p in planes[:8]] == [k // 2 for k in range(1, 16, 2)]
    assert len(planes) == 24


def test_windows_of_each_axis_are_as_many() -> None:
    images = [Volume(image(0, side=64)[np.newaxis]), Volume(image(1, side=128)[:, np.newaxis])]
    plan = plan_sections([body(2)], images)
    assert {v.shape for v in plan.real} == {(1, 21, 21), (21, 1, 21)}
    assert sum(v.shape[0] == 1 for v in plan.real) == 9


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"side": 80}, "windows of 80 pixels do not fit: choose 16 to 64"),
        ({"side": 8}, "windows of 8 pixels do not fit"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"seed": -1}, "seed must not be negative"),
    ],
)
def test_what_cannot_be_cut_is_refused(options: dict[str, int], said: str) -> None:
    images = [Volume(image(0)[np.newaxis])]
    assert said in refusal(plan_sections, [body(0)], images, **options)


def test_rows_and_columns_of_an_isotropic_image_stand_for_every_axis() -> None:
    rows = [
        Row("volume_fraction", "a", "", 0.4, "", ""),
        Row("boundary_length", "a", "normal to z", 0.2, "", ""),
        Row("chord_length", "a", "z", np.nan, "", ""),
        Row("chord_length", "a", "y", 2.0, "", ""),
        Row("chord_length", "a", "x", 4.0, "", ""),
    ]
    lags = np.arange(3.0)
    curves = [
        Curve("a", "normal to z", lags, np.array([0.4, 0.3, 0.2])),
        Curve("a", "y", lags, np.array([0.4, 0.2, 0.2])),
        Curve("a", "x", lags, np.array([0.4, 0.4, 0.2])),
    ]
    found = in_every_direction(Measured(rows, curves, {}, 0, 0), "z")
    values = {(row.metric, row.axis): row.value for row in found.rows}
    assert values == {
        ("volume_fraction", ""): 0.4,
        **{("boundary_length", f"normal to {axis}"): 0.2 for axis in AXES},
        **{("chord_length", axis): 3.0 for axis in AXES},
    }
    of = {curve.axis: curve.value.tolist() for curve in found.curves}
    assert of == {
        **{f"normal to {axis}": [0.4, 0.3, 0.2] for axis in AXES},
        **{axis: [0.4, pytest.approx(0.3), 0.2] for axis in AXES},
    }


def test_one_law_is_not_called_different_and_another_is() -> None:
    volumes = [body(seed) for seed in range(4)]
    same = compared(volumes, image(10))
    assert same.answer.verdict != "differs"
    assert set(same.table.metric) | set(same.distances.metric) == set(SECTION_METRICS) - {
        "interface_length",
        "triple_point_density",
    }
    assert set(same.table.n_gen) == {16} and set(same.table.n_real) == {16}
    other = compared([body(seed, 1.5 * LENGTH) for seed in range(4)], image(10))
    assert other.answer.verdict == "differs"


def test_one_axis_that_is_longer_is_found() -> None:
    long = [body(seed, (LENGTH, 1.6 * LENGTH, LENGTH)) for seed in range(4)]
    found = compared(long, image(10), metrics=["chord_length"])
    verdicts = found.table[found.table.phase == "0"].set_index("axis").verdict
    assert verdicts["y"] == "differs"
    assert verdicts["z"] != "differs" and verdicts["x"] != "differs"


def test_images_of_each_axis_are_compared_with_planes_normal_to_it() -> None:
    lengths = (2 * LENGTH, LENGTH, LENGTH)
    volumes = [body(seed, lengths) for seed in range(4)]
    real = body(9, lengths, side=128).labels
    images = {"z": real[7], "y": real[:, 7], "x": real[:, :, 7]}
    assert compared(volumes, images, metrics=CHEAP).answer.verdict != "differs"
    # Negative control: rows for columns.
    turned = {"z": real[7], "y": real[:, 7].T, "x": real[:, :, 7].T}
    assert compared(volumes, turned, metrics=CHEAP).answer.verdict == "differs"


def test_three_phases_have_lines_and_points() -> None:
    def three(seed: int) -> np.ndarray:
        return plurigaussian((64,) * 3, correlation_length=2, seed=seed).volume.labels

    found = compared([three(0), three(1)], [three(k)[0] for k in range(2, 6)])
    assert set(found.table.metric) | set(found.distances.metric) == set(SECTION_METRICS)
    assert found.answer.verdict != "differs"
    assert "boundary_length" not in set(found.answer.tests.metric)  # sums of the lines


def test_what_no_section_shows_is_refused() -> None:
    said = refusal(compared, [body(0)], image(1), metrics=["effective_diffusivity"])
    assert "no section shows effective_diffusivity" in said
    assert "an image of one layer" in refusal(compared, [body(0)], body(1))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for seed in range(2):
        write(Volume(body(seed).labels, (0.5,) * 3, "um"), tmp_path / f"gen_{seed}.tif")
    Image.fromarray(image(5) * 255).save("real.png")
    Image.fromarray(image(6) * 255).save("real2.png")
    Image.fromarray(np.arange(128 * 128, dtype=np.uint8).reshape(128, 128)).save("grey.png")
    Image.fromarray(image(5) * 0).save("one.png")
    write(body(7), tmp_path / "real.tif")
    return tmp_path


def test_the_command_takes_images(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["gen_*.tif", "real.png", "real2.png", "--workers", "1", "--metrics", ",".join(CHEAP)]
    assert command.main([*argv, "--out", "out"]) == 0
    said = capsys.readouterr().out
    assert "windows of 32x32 pixels: cubes of that side, 16 of 16 in gen" in said
    assert "sections do not show percolation" in said
    table = pd.read_csv("out/table.csv", dtype={"phase": str})
    assert set(table[table.metric == "boundary_length"].unit) == {"1/um"}  # the pixels of gen
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert "Real are 2D images" in page and page.count("<figcaption><b>real</b>, an image") == 1


def test_the_command_takes_an_image_for_each_axis(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    axes = ["--axis", "z=real.png", "y=real2.png", "x=real2.png"]
    argv = ["gen_0.tif", *axes, "--metrics", "boundary_length", "--workers", "1", "--quiet"]
    assert command.main([*argv, "--out", "out"]) == 0
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert page.count("<figcaption><b>real</b>, normal to") == 3
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["real.png", "--axis", "z=real.png"], "give REAL, or --axis"),
        ([], "give REAL, or --axis"),
        (["--axis", "z=real.png", "y"], "--axis takes z=FILE y=FILE x=FILE"),
        (["--axis", "w=real.png"], "axis must be one of z, y, x, got 'w'"),
        (["real.png", "real.tif"], "give one volume"),
        (["real.tif", "real.tif"], "give one volume"),
        (["grey.png"], "grey.png: not segmented"),
        (["one.png"], "one phase only"),
        (["absent.png"], "absent.png: no such file"),
        (["real.png", "--isotropic"], "--isotropic and --periodic-gen are of volumes"),
        (["real.png", "--metrics", "tpb_density"], "no section shows tpb_density"),
        (["real.png", "--subvolume", "100"], "windows of 100 pixels do not fit"),
    ],
)
def test_bad_images_are_refused_in_one_line(
    files: Path, capsys: pytest.CaptureFixture[str], argv: list[str], said: str
) -> None:
    assert command.main(["gen_0.tif", *argv, "--out", "out"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and said in error
    assert not Path("out").exists()
