"""The validation script: the whole path on small fields, its tables, and its refusals."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import datasets, export, reproduce
from benchmarks.validation import alternatives
from benchmarks.validation.cases import CASES, STUDIES, Study, middle_slice
from benchmarks.validation.table import compact, curve_errors, floors_of, result_rows, summary
from benchmarks.validation.taufactor import D_EFF, beside, solver_summary
from metrics.comparison.measuring import Measured, Question, measure_all
from metrics.comparison.verdicts import tabulate
from metrics.description import CURVE, Row
from metrics.shapes import gaussian_random_field
from metrics.volume import InputError, Phase, Volume
from slicegan.data import load_training_data

STUDY = Study(("snow",), 24, s2=0.02, areas=0.05, diffusivity=0.1, conductors=("0",))


def field(seed: int, length: float = 2, fractions: tuple[float, ...] = (0.4, 0.6)) -> Volume:
    return gaussian_random_field(
        (48,) * 3, correlation_length=length, seed=seed, fractions=fractions
    ).volume


def test_the_whole_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    argv = ["snow", "--quick", "--out", str(out), "--cache", str(tmp_path / "c"), "--workers", "1"]
    assert reproduce.main(argv) == 0
    assert "rows meet the bar" in capsys.readouterr().out
    names = {"table", "tests", "solvers", "values", "curves"}
    assert {path.name for path in out.iterdir()} == {
        *(f"{name}.csv" for name in names),
        *("README.md", "table.tex", "slices.png", "curves.png", "distributions.png", "lattice.png"),
    }
    table = pd.read_csv(out / "table.csv", keep_default_na=False, na_values=["nan", ""])
    assert set(table["sample"]) == {"snow", "stacked slice", "random field"}
    # Stacked, a slice goes straight through: no chord ends along z.
    stacked = table[
        (table["sample"] == "stacked slice") & (table.metric == "effective_diffusivity")
    ]
    assert stacked[stacked.axis == "z"].ratio.min() > 1
    solvers = pd.read_csv(out / "solvers.csv")
    assert set(solvers["sample"]) == {"real", "snow"}
    # Two solvers of one discretisation; the tolerance of each is 2e-3.
    assert solvers.difference.max() < 2e-3 and solvers.difference.max() > 0
    page = (out / "README.md").read_text()
    assert "--quick" in page and "all 300 slices" in page and "numpy" in page
    assert "**" not in (out / "table.tex").read_text()
    kept = len(list((tmp_path / "c").iterdir()))
    before = (out / "table.csv").read_text()
    assert reproduce.main(argv) == 0  # from the cache
    assert len(list((tmp_path / "c").iterdir())) == kept
    assert (out / "table.csv").read_text() == before


def test_a_material_without_a_generator_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproduce, "pretrained", list)
    assert reproduce.main(["nmc", "--quick"]) == 2
    error = capsys.readouterr().err
    assert "benchmarks.making.train_pretrained nmc" in error and error.count("\n") == 1
    assert reproduce.main(["snow", "--model", "nowhere"]) == 2
    assert reproduce.main(["snow", "--model", "snow", "--seeds", "1"]) == 2
    assert reproduce.main(["snow", "--model", "snow", "--taufactor", "0"]) == 2


def measured(volumes: list[Volume]) -> list:
    names = ("volume_fraction", "specific_surface_area", "effective_diffusivity", CURVE)
    question = Question(names, 12, solver="taufactor")
    return measure_all([(v, question) for v in volumes])


def test_rows_say_what_meets_the_bar() -> None:
    real, other = ([field(seed, length) for seed in range(4)] for length in (2, 3))
    of_real, of_other = measured(real), measured(other)
    options = {"unit": "voxel", "phases": ["0", "1"]}
    compared = tabulate(of_other, of_real, **options)
    floors = floors_of(compared.values[compared.values["sample"] == "real"])
    table = pd.DataFrame(
        [
            *result_rows(
                "itself",
                tabulate(of_real, of_real, **options),
                curve_errors(of_real, of_real),
                floors,
                STUDY,
            ),
            *result_rows("other", compared, curve_errors(of_other, of_real), floors, STUDY),
        ]
    )
    itself, others = (table[table["sample"] == name] for name in ("itself", "other"))
    assert set(itself.met) == {"yes", ""}
    # Only the first phase is a conductor of this study, and fractions have another bar.
    judged = others[others.met != ""]
    assert set(judged.metric) == {"specific_surface_area", "effective_diffusivity", CURVE}
    assert set(judged[judged.metric == "effective_diffusivity"].phase) == {"0"}
    assert (others[others.metric == "specific_surface_area"].met == "no").all()
    # The S2 error is of phi (1 - phi), computed here from the curves themselves.
    row = others[(others.metric == CURVE) & (others.axis == "z")].iloc[0]
    means = [
        np.mean([next(c.value for c in m.curves if c.axis == "z") for m in of], axis=0)
        for of in (of_other, of_real)
    ]
    phi = np.mean([np.mean(v.labels == 0) for v in real])
    assert row.value == pytest.approx(np.abs(means[0] - means[1]).mean() / (phi * (1 - phi)))
    assert np.isfinite(others.floor).all() and (others.floor > 0).all()
    said = summary(table, "other", compared.answer)
    assert "specific surface area, 0" in said and said.endswith(compared.answer.sentence)
    lines = compact(table)
    assert len(lines) == len(itself) and list(lines) == [
        "quantity",
        "real",
        "floor",
        "itself",
        "other",
    ]
    assert "above the bar" in lines.set_index("quantity").loc["specific surface area, 0", "other"]


def test_solvers_are_compared_where_something_percolates() -> None:
    def solved(*values: float) -> Measured:
        rows = [Row(D_EFF, "pore", axis, d, "1", "") for axis, d in zip("zyx", values, strict=True)]
        return Measured(rows, [], {D_EFF: sum(values)}, 0, 0)

    found = beside([solved(0.5, 0, np.nan)], [solved(0.4, 0, 0.1), solved(1, 1, 1)])
    assert found.axis.tolist() == ["z", "x"] and found.difference[0] == pytest.approx(0.2)
    line = solver_summary(found.assign(sample="real")).iloc[0]
    assert line["solves"] == 2 and line["converged"] == 1
    assert line["largest difference"] == "2.0e-01 (pore, z)"


def test_features_longer_than_the_slice_shows_are_refused() -> None:
    with pytest.raises(InputError, match="longer than 3 voxels"):
        alternatives.half_length(np.array([0.4, 0.39, 0.38, 0.37]))


def test_alternatives_are_what_they_claim() -> None:
    real = field(3, length=3)
    stacked = alternatives.stacked_slice(real, 24)
    assert len(stacked) == 4 and {v.shape for v in stacked} == {(24,) * 3}
    plane = middle_slice(real, "z")
    assert (stacked[0].labels == plane[:24, :24]).all()
    fields = alternatives.random_fields(real, 48, 8)
    assert np.mean([np.mean(v.labels == 0) for v in fields]) == pytest.approx(
        np.mean(plane == 0), abs=0.05
    )
    from metrics import two_point_correlation

    def half(volumes: list[Volume]) -> float:
        curves = [two_point_correlation(v, max_lag=24).axis["x"] for v in volumes]
        return alternatives.half_length(np.mean(curves, axis=0))

    # One slice of 48^2 says its own length to some 15 %.
    assert half(fields) == pytest.approx(half([real]), rel=0.25)
    three = alternatives.random_fields(field(1, fractions=(0.3, 0.3, 0.4)), 32, 1)[0]
    assert len(np.unique(three.labels)) == 3


@pytest.mark.parametrize("name", CASES)
def test_training_images_are_what_the_case_says(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    count = 3 if case.dataset in ("nmc", "stack") else 2
    phases = tuple(Phase(f"p{k}", k, 100 * k) for k in range(count))
    fractions = (0.3, 0.3, 0.4)[:count] if count == 3 else (0.4, 0.6)
    real = Volume(field(1, fractions=fractions).labels, (0.5,) * 3, "um", phases=phases)
    config = case.training_data(real, tmp_path, name)
    data = load_training_data(**vars(config))
    assert data.material.unit == "um" and data.material.phases == phases
    assert data.isotropic == case.isotropic
    assert len(data.sources) == (1 if case.isotropic else 3)
    slices = sum(len(image) for source in data.sources for image in source.images)
    (told,) = re.findall(r"all (\d+) slices|one slice|three slices", case.slices(real)) or [""]
    if case.seen == "volume":
        assert slices == int(told) == 144
    else:
        assert slices == len(case.axes)
        for axis, source in zip(case.axes, data.sources, strict=True):
            assert (source.images[0][0].numpy() == middle_slice(real, axis)).all()


def test_every_study_has_its_cases() -> None:
    for study in STUDIES.values():
        assert {CASES[name].dataset for name in study.models} == {study.dataset}
        assert {CASES[name].seen for name in study.models} == {"volume", "slice"}


def test_a_folder_of_something_else_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "README.md"
    page.write_text("# My project\n")
    assert reproduce.main(["snow", "--quick", "--out", str(tmp_path)]) == 2
    assert "holds something else than a validation" in capsys.readouterr().err
    assert page.read_text() == "# My project\n"


def test_a_generator_of_another_material_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["snow", "--model", "nmc", "--out", str(tmp_path / "out")]
    assert reproduce.main(argv) == 2
    line = capsys.readouterr().err
    assert line.startswith("reproduce: nmc makes 3 phases, snow has 2: ")
    assert line.count("\n") == 1


def test_no_workers_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reproduce.main(["snow", "--workers", "0", "--out", str(tmp_path / "out")]) == 2
    assert "workers must be" in capsys.readouterr().err


@pytest.mark.parametrize("main", [reproduce.main, export.main, datasets.main])
def test_a_wrong_option_is_one_line(
    main: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--loud"])
    assert left.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
