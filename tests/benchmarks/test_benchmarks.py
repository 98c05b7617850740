"""Every benchmark at a tiny size: it runs, and its table says what it measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from PIL import Image

from benchmarks import demo, export
from benchmarks.speed import comparing, counting, diffusivity
from benchmarks.tables import markdown, write_result
from benchmarks.trust import coverage, coverage_sections, real_pairs, sections_against_volumes
from benchmarks.validation import readme_pictures
from metrics import (
    ALL_METRICS,
    SECTION_METRICS,
    TABLE_COLUMNS,
    Volume,
    read,
    volume_fraction,
    write,
)
from metrics.shapes import gaussian_random_field, plurigaussian
from metrics.volume import InputError
from slicegan.generation import generate


def test_result_page_says_how_it_was_made(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1.23456789, np.nan], "b": ["x", "y"]})
    write_result(
        tmp_path / "new" / "t", "Title", "Text.", table, {"command": "python x", "seed": 7}
    )
    page = (tmp_path / "new" / "t.md").read_text()
    assert page.startswith(
        "# Title\n\nText.\n\n| a | b |\n| --- | --- |\n| 1.235 | x |\n|  | y |\n"
    )
    for fact in ("- command: python x", "- seed: 7", "- machine: ", "numpy "):
        assert fact in page
    assert (tmp_path / "new" / "t.csv").read_text() == "a,b\n1.23457,x\n,y\n"


def test_markdown_of_an_empty_table() -> None:
    assert markdown(pd.DataFrame(columns=["a"])) == ["| a |", "| --- |"]


def test_coverage_rates_are_counted() -> None:
    answers = [
        ("a", "one law", "same", 3, 1.0, 0.0),
        ("a", "one law", "differs", 4, 0.5, 0.25),
    ]
    columns = ["law", "case", "answer", "quantities", "s2 same", "s2 differs"]
    table = coverage.summarise_answers(pd.DataFrame(answers, columns=columns))
    (line,) = table.to_dict("records")
    assert (line["quantities"], line["answer differs"], line["answer same"]) == (4, 50, 50)
    assert (line["S2 differs"], line["S2 same"]) == (12.5, 75)
    columns = [
        *("law", "metric", "ratio_low", "ratio_high", "difference_low", "difference_high"),
        "verdict",
    ]
    rows = [
        ("a", "m", 0.9, 1.1, -1.0, 1.0, "same"),
        ("a", "m", 1.2, 1.4, -0.1, 0.2, "differs"),
        ("a", "m", 0.5, 0.9, 0.1, 0.2, "cannot tell"),
        ("a", "m", np.nan, np.nan, -1.0, 0.5, "cannot tell"),
    ]
    (line,) = coverage.summarise_rows(pd.DataFrame(rows, columns=columns)).to_dict("records")
    assert line["ratio covers 1"] == pytest.approx(100 / 3)
    assert line["difference covers 0"] == 75
    assert (line["differs"], line["cannot tell"], line["same"]) == (25, 50, 25)


def test_coverage_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    laws = (
        coverage.Law(2.0, cut=False, counts=(3, 2)),
        coverage.Law(3.0, cut=True, fractions=(0.4, 0.3, 0.3)),
    )
    monkeypatch.setattr(coverage, "LAWS", laws)
    monkeypatch.setattr(coverage, "SIDE", 16)
    # In this process, which holds the two settings.
    with parallel_config(backend="sequential"):
        assert coverage.main(["--pairs", "1", "--out", str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "coverage.csv")
    assert table.iloc[:, 0].unique().tolist() == [
        *(laws[0].name(3), laws[0].name(2), laws[1].name(8))
    ]
    assert set(table.case) == {*("one law", "one law, isotropic", "x 1.1", "x 1.2", "length x 1.6")}
    rows = pd.read_csv(tmp_path / "coverage_rows.csv")
    assert "tpb_density" in set(rows.metric)
    assert "--pairs 1" in (tmp_path / "coverage.md").read_text()


def test_coverage_of_images_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage_sections, "LAWS", (coverage_sections.Law(2.0),))
    with parallel_config(backend="sequential"):
        assert coverage_sections.main(["--pairs", "1", "--out", str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "coverage_sections.csv").set_index("case")
    assert table["answer differs"]["one law"] == 0
    assert table["answer differs"]["length x 1.3"] == 100
    rows = pd.read_csv(tmp_path / "coverage_sections_rows.csv")
    assert set(rows.metric) | {"two_point_correlation"} == set(SECTION_METRICS) - {
        "section_thickness",
        *("interface_length", "triple_point_density"),
    }


def test_an_image_and_the_volume_it_is_of_are_both_asked() -> None:
    def body(seed: int, length: float) -> Volume:
        return gaussian_random_field((48,) * 3, correlation_length=length, seed=seed).volume

    pair = sections_against_volumes.Pair("a", "b", [body(0, 4.0)], body(1, 1.5), isotropic=True)
    found = sections_against_volumes.judged(pair, workers=1)
    assert (found["answer by image"], found["answer by volume"]) == ("differs", "differs")


def test_other_laws_are_told_apart_and_one_law_is_not() -> None:
    answers, rows = coverage.judge_pair(0, coverage.Law(1.5, cut=False), seed=0)
    found = {line["case"]: line for line in answers}
    assert found["one law"]["answer"] == "undecided"
    assert found["x 1.2"]["answer"] == "differs"
    assert found["length x 1.6"]["s2 differs"] == 1
    surface = rows[rows.metric == "specific_surface_area"].iloc[0]
    assert surface.verdict == "same"


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory needs Linux")
def test_speed_runs_and_both_sides_agree(tmp_path: Path) -> None:
    volume = tmp_path / "three.tif"
    write(plurigaussian((40,) * 3, correlation_length=3, seed=0).volume, volume)
    arguments = ["--volume", str(volume), "--size", "40", "--repeats", "1"]
    assert counting.main([*arguments, "--out", str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "speed.csv")
    assert len(table) == len(counting.ROWS)
    agreement = dict(zip(counting.ROWS, table["ours / peer"], strict=True))
    assert agreement["counts"] == pytest.approx(1)  # the same faces
    assert agreement["two_point"] == pytest.approx(1, abs=0.02)  # bins weighted differently
    # Marching cubes on a smoothed image lose 10 to 20 % of structures of 3 voxels.
    assert agreement["crofton"] == pytest.approx(1.15, abs=0.15)
    assert agreement["percolation"] == pytest.approx(1)
    # PoreSpy leaves out chords on the sides, which are more in so small a volume.
    assert agreement["chords"] == pytest.approx(1, abs=0.05)
    # Of 40 voxels 10 begin segments of 10 voxels that end outside: PoreSpy's share is of all.
    assert agreement["lineal_path"] == pytest.approx(40 / 30, rel=0.01)


def test_speed_of_the_solver_runs_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    what = ["--cases", "generated pore", "--peers", "TauFactor"]
    arguments = [*what, "--out", str(tmp_path), "--sizes"]
    assert diffusivity.main([*arguments, "24"]) == 0
    assert "24" in capsys.readouterr().out
    assert diffusivity.main([*arguments, "24", "32"]) == 0
    assert "'size': 24" not in capsys.readouterr().out  # has its rows
    table = pd.read_csv(tmp_path / "speed_diffusivity.csv")
    assert table["size"].tolist() == [24] * 3 + [32] * 3
    assert set(table.solver) == {"multigrid", "multigrid to 1e-10", "TauFactor"}
    assert table.error.count() == 4
    assert (table.error.dropna() < 2e-3).all()  # the tolerance of ours; the peer's own is tighter
    page = (tmp_path / "speed_diffusivity.md").read_text()
    assert "GB/s" in page and "to the power, TauFactor" in page
    assert (tmp_path / "speed_diffusivity.png").stat().st_size > 1000


def test_the_whole_comparison_is_measured_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = generate("nmc", 32, seed=1)
    monkeypatch.setattr(comparing.datasets, "load", lambda name: stand_in)
    compared = comparing.compare
    monkeypatch.setattr(  # nothing is to be compiled here: the command once is enough
        comparing,
        "compare",
        lambda *given: compared(*given) if given[2][0] == "gen.tif" else (0.0, {}),
    )
    measured: list[dict[str, Any]] = []
    row = comparing.row

    def once(label: str, *given: Any) -> dict[str, Any]:  # measuring takes half a minute
        if not measured:
            measured.append(row(label, *given))
        return measured[0] | {"version": label}

    monkeypatch.setattr(comparing, "row", once)
    for label in ("before", "after", "after"):
        arguments = ["--label", label, "--size", "32", "--out", str(tmp_path)]
        assert comparing.main(arguments) == 0
    table = pd.read_csv(tmp_path / "speed_compare.csv")
    assert table["version"].tolist() == ["before", "after"]
    assert set(ALL_METRICS) <= set(table)
    assert (table[["s wall", "GiB", "effective_diffusivity", "two_point_correlation"]] > 0).all(
        axis=None
    )
    assert "about" in table["said before"][0]


def test_demo_twin_has_the_fraction_of_its_model() -> None:
    model = gaussian_random_field((48,) * 3, correlation_length=2, seed=1).volume
    twin = demo.random_twin(model)
    assert volume_fraction(twin)[0] == pytest.approx(volume_fraction(model)[0], abs=0.01)
    assert (twin.shape, twin.phases) == (model.shape, model.phases)


def test_demo_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> None:
        raise InputError(f"{name} is not on this machine")

    monkeypatch.setattr(demo.datasets, "load", missing)
    assert demo.main(["--out", str(tmp_path / "demo")]) == 2
    assert "snow is not on this machine" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


def test_export_writes_a_volume_and_its_middle_slice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = gaussian_random_field((9, 16, 20), correlation_length=2, fractions=(0.3, 0.3, 0.4),
                                   seed=1).volume  # fmt: skip
    monkeypatch.setattr(export.datasets, "load", lambda name: volume)
    assert export.main(["snow", "--out", str(tmp_path / "new")]) == 0
    assert np.array_equal(read(tmp_path / "new" / "snow.tif").labels, volume.labels)
    with Image.open(tmp_path / "new" / "snow.png") as image:
        assert np.array_equal(np.asarray(image), np.array([0, 127, 255])[volume.labels[4]])


def test_picture_of_a_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Small fields stand in for the snow and for its generator.
    fields = (gaussian_random_field((32,) * 3, correlation_length=2, seed=s).volume for s in (1, 2))
    real, generated = fields
    monkeypatch.setattr(demo.datasets, "load", lambda name: real)
    monkeypatch.setattr(demo, "generate", lambda name, shape, *, seed, count: [generated])
    compare = demo.compare
    quick = ["--quiet", "--workers", "1", "--metrics", "volume_fraction,chord_length"]
    monkeypatch.setattr(demo, "compare", lambda argv: compare([*argv, *quick]))
    assert demo.main(["--out", str(tmp_path)]) == 0
    reports = {file.parent.name for file in tmp_path.glob("*/report.html")}
    assert reports == {demo.GENERATED, demo.RANDOM}
    out = tmp_path / "docs" / "demo.png"
    assert readme_pictures.main(["demo", "--demo", str(tmp_path), "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_pairs_write_a_table_that_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A small field stands in for the large rock.
    rock = gaussian_random_field((64, 32, 32), correlation_length=2, seed=1).volume
    monkeypatch.setattr(real_pairs.datasets, "load", lambda name: rock)
    gen, real = real_pairs.berea_halves()
    assert np.array_equal(np.concatenate([gen[0].labels, real[0].labels]), rock.labels)
    assert real_pairs.main(["berea_halves", "--out", str(tmp_path)]) == 0
    assert list(pd.read_csv(tmp_path / "berea_halves.csv")) == TABLE_COLUMNS
    page = (tmp_path / "berea_halves.md").read_text()
    assert "benchmarks.trust.real_pairs berea_halves" in page
    assert "sub-volumes: 8 and 8 of 16x16x16 voxels" in page
