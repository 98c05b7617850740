"""Volumes against images: windows, directions, verdicts, and the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from refusing import refusal

from metrics.command import comparing as command
from metrics.command.preflight import preflight
from metrics.comparison.comparing import Comparison, compare_sections
from metrics.comparison.measuring import Curve, Measured
from metrics.comparison.plan import plan_section_comparison
from metrics.comparison.sections import in_every_direction, plan_sections, sections_of
from metrics.comparison.verdicts import stack_curves
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
    assert np.bincount(plan.groups[0]).tolist() == [24] * 16


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
    assert plan.count[1] == 9 + 16 and plan.available[1] == 9 + 36  # 16 drawn


def test_an_image_for_two_axes_is_one_sample() -> None:
    top, side = image(0), image(1)
    images = {"z": top, "y": side, "x": side}
    found = compared([body(2)], images, metrics=["volume_fraction", "chord_length"])
    counts = found.table[found.table.phase == "0"].set_index(["metric", "axis"]).n_real
    assert counts["volume_fraction", ""] == 32  # 16 of each image
    assert counts["chord_length", "z"] == 16  # of the side alone
    assert counts["chord_length", "y"] == 32
    fraction = found.table.set_index(["metric", "phase"]).loc["volume_fraction", "0"].real
    assert fraction == pytest.approx(np.mean([top == 0, side == 0]))


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
    found = in_every_direction(Measured(rows, curves, {}, 0, 0))
    frame = pd.DataFrame(found.rows)
    values = frame.groupby(["metric", "axis"]).value.mean().to_dict()
    assert values == {
        ("volume_fraction", ""): 0.4,
        **{("boundary_length", f"normal to {axis}"): 0.2 for axis in AXES},
        **{("chord_length", axis): 3.0 for axis in AXES},
    }
    of = {
        axis: stack.means()[0].tolist() for (_, axis), stack in stack_curves([found], [0]).items()
    }
    assert of == {
        **{f"normal to {axis}": [0.4, 0.3, 0.2] for axis in AXES},
        **{axis: [0.4, pytest.approx(0.3), 0.2] for axis in AXES},
    }


def test_one_law_is_not_called_different_and_another_is() -> None:
    volumes = [body(seed) for seed in range(4)]
    same = compared(volumes, image(10))
    assert same.answer.verdict != "differs"
    assert "More or larger images would decide" in same.answer.sentence
    assert set(same.table.metric) | set(same.distances.metric) == set(SECTION_METRICS) - {
        "section_thickness",
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


def test_much_of_one_law_is_the_same() -> None:
    volumes = [body(seed) for seed in range(8)]
    images = [image(seed) for seed in range(10, 22)]
    found = compared(volumes, images, metrics=["boundary_length"], samples=400, margin=0.05)
    assert set(found.table.n_real) == {48}
    assert found.answer.verdict == "same"


def test_flat_voxels_keep_their_edges() -> None:
    """Sections of a body of voxels 2 x 1 x 1, given as arrays and as volumes of one layer."""
    edges = (2.0, 1.0, 1.0)
    volumes = [Volume(body(seed).labels, edges, "um") for seed in range(2)]
    real = body(9, side=128).labels
    arrays = {"z": real[7], "y": real[:, 7], "x": real[:, :, 7]}
    found = compared(volumes, arrays, metrics=CHEAP)
    layers = {
        axis: Volume(np.expand_dims(plane, k), edges, "um")
        for k, (axis, plane) in enumerate(arrays.items())
    }
    pd.testing.assert_frame_equal(found.table, compared(volumes, layers, metrics=CHEAP).table)
    assert found.answer.verdict != "differs"
    said = refusal(compared, volumes, real[7])
    assert "an image stands for every axis, but voxels are (2.0, 1.0, 1.0)" in said


def test_three_phases_have_lines_and_points() -> None:
    def three(seed: int) -> np.ndarray:
        return plurigaussian((64,) * 3, correlation_length=2, seed=seed).volume.labels

    found = compared([three(0), three(1)], [three(k)[0] for k in range(2, 6)])
    assert set(found.table.metric) | set(found.distances.metric) == set(SECTION_METRICS) - {
        "section_thickness"
    }
    assert found.answer.verdict != "differs"
    assert "boundary_length" not in set(found.answer.tests.metric)  # sums of the lines


def test_coarse_images_are_said_to_be_worth_fewer_windows_than_are_compared() -> None:
    def said(length: float) -> bool:
        volumes = [body(seed, length, side=48) for seed in range(2)]
        plan = plan_section_comparison(
            volumes, [image(9, length, side=48)], metrics=["volume_fraction"], window=16,
            samples=16, max_lag=None, margin=0.05, seed=0, workers=1,
        )  # fmt: skip
        lines = preflight(plan, [["a", "b"], ["c"]], [[0, 1], [0, 1]], periodic_gen=False)
        return any("intervals too narrow" in line for line in lines)

    # Nine windows of 16 pixels: features of 2 pixels are many in each, those of 12 are not.
    assert not said(2.0)
    assert said(12.0)


def test_rows_stand_metric_by_metric_and_curves_phase_by_phase() -> None:
    found = compared([body(0)], image(1), metrics=CHEAP)
    normal = [f"normal to {axis}" for axis in AXES]
    rows = list(zip(found.table.metric, found.table.axis, strict=True))
    expected = [("volume_fraction", "")] * 2 + [("boundary_length", axis) for axis in normal]
    assert rows == expected
    assert found.distances.axis.tolist() == [*AXES, *normal]
    assert found.curves.axis.unique().tolist() == [*AXES, *normal]


def test_what_no_section_shows_is_refused() -> None:
    said = refusal(compared, [body(0)], image(1), metrics=["effective_diffusivity"])
    assert "no section shows effective_diffusivity" in said
    assert "an image normal to z is expected" in refusal(compared, [body(0)], body(1))
    flat = np.zeros((1, 64, 64), np.uint8)
    assert "an image normal to z is expected" in refusal(compared, [body(0)], flat)
    line = Volume(image(1)[np.newaxis, :1])
    assert "an image normal to z is expected" in refusal(compared, [body(0)], line)
    thin = body(0).crop((slice(1), slice(None), slice(None)))
    assert "is 1 voxels wide, the smallest window 16" in refusal(compared, [thin], image(1))
    listed = [[0, 1], [1, 0]]
    assert "got list" in refusal(compared, [body(0)], [listed])
    empty = {"z": [], "y": image(1), "x": image(2)}
    assert "no image for axis z" in refusal(compared, [body(0)], empty)
    assert "no image for axis z" in refusal(compared, [body(0)], [])
    some = {"z": image(1), "y": image(2)}
    assert "no image for axis x: name those of z, y and x" in refusal(compared, [body(0)], some)


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


def test_an_image_may_lack_a_phase_that_is_named(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["gen_0.tif", "real.png", "one.png", "--metrics", "volume_fraction", "--workers", "1"]
    assert command.main([*argv, "--out", "out"]) == 0
    assert "0 = value 0 (100.0%), 255 = value 255 (0.0%)" in capsys.readouterr().out
    named = ["gen_0.tif", "one.png", "--real-phases", "a=0,b=255", "--metrics", "volume_fraction"]
    assert command.main([*named, "--out", "out2", "--workers", "1"]) == 0


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
        (["--axis", "z=real.png"], "no image for axis y, x"),
        (["real.png", "--solver", "taufactor"], "--solver and --device are of transport"),
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
