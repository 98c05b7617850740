"""Views, charts of diffusion, the filter of the table, and the text to paste."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from made_up_report import make_comparison, make_volume, write

from metrics.diffusivity import effective_diffusivity
from metrics.report import charts, methods, plots
from metrics.report.flux import component, local_flux
from metrics.volume import Volume

ROOT = Path(__file__).parents[2]


def test_straight_channels_carry_the_flux_of_free_space() -> None:
    labels = np.zeros((6, 5, 4), int)
    labels[:, 1:3, 2] = 1
    labels[2, 4, 0] = 1  # leads nowhere
    flux = local_flux(Volume(labels, (2.0, 1.0, 3.0), "um"), phase=1, axis="z")
    expected = np.zeros(labels.shape)
    expected[:, 1:3, 2] = 1
    # The solve is good to 1e-5.
    np.testing.assert_allclose(flux, expected, atol=1e-4)


def test_the_mean_flux_is_the_effective_diffusivity() -> None:
    volume = Volume(
        (np.random.default_rng(0).random((16, 18, 20)) < 0.6).astype(int), (1, 2, 3), "um"
    )
    for index, axis in enumerate("zyx"):
        found = effective_diffusivity(volume, phase=1, axis=axis, concentration=True)
        c, edge = found.concentration, volume.spacing[index]
        assert c is not None
        along = component(c, c > 0, index, edge, driven=True)
        mean = along.mean() * edge * volume.shape[index]
        assert mean == pytest.approx(found.value, rel=1e-3)


def test_a_bent_channel_carries_one_current_around_its_corners() -> None:
    labels = np.zeros((8, 1, 5), int)
    labels[:4, 0, 0] = labels[3, 0, :4] = labels[3:, 0, 3] = 1
    flux = local_flux(Volume(labels), phase=1, axis="z")
    assert flux is not None
    current = flux[0, 0, 0]
    # Half of a corner's two faces are crossed along z, half along x.
    corner = current / np.sqrt(2)
    assert flux[3, 0] == pytest.approx([corner, current, current, corner, 0], rel=1e-3)
    assert flux[:, 0, 3] == pytest.approx([0, 0, 0, corner, *[current] * 4], rel=1e-3)


def test_what_nothing_gets_through_has_no_flux() -> None:
    labels = np.ones((4, 4, 4), int)
    labels[2] = 0
    assert local_flux(Volume(labels), phase=1, axis="z") is None


def test_diffusion_is_drawn_of_phases_that_conduct() -> None:
    # The channel lies in a corner: the middle plane does not meet it.
    labels = np.zeros((6, 6, 8), int)
    labels[:, 0, :2] = 1
    corner = Volume(labels)
    rows = [
        (sample, block, metric, phase, axis, value)
        for sample in ("gen", "real")
        for block in range(3)
        for phase, share in (("0", 0.2), ("1", 0.6))
        for metric, axis, value in (
            ("volume_fraction", "", share + 0.01 * block),
            ("effective_diffusivity", "z", share - 0.2),
            ("effective_diffusivity", "y", share - 0.2),
        )
    ]
    values = pd.DataFrame(rows, columns="sample block metric phase axis value".split())
    comparison = make_comparison()
    object.__setattr__(comparison, "values", values)
    found = charts.transport(comparison, corner, corner)
    assert len(found["porosities"]) == 1
    assert [(kind, phase) for kind, phase, _ in found["fluxes"]] == [
        ("generated", "1"),
        ("real", "1"),
    ]
    # One that conducts in one window only has no picture of its flux.
    cut = Volume(np.where(np.arange(6)[:, None, None] == 3, 0, labels))
    assert charts.transport(comparison, corner, cut)["fluxes"] == []
    object.__setattr__(comparison, "values", values[values["metric"] == "volume_fraction"])
    assert charts.transport(comparison, corner, corner) == {"porosities": [], "fluxes": []}


def test_marks_lie_at_the_fraction_and_the_mean_over_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        ("real", 0, "volume_fraction", "pore", "", 0.9),  # has no diffusivity
        ("real", 1, "volume_fraction", "pore", "", 0.4),
        ("real", 1, "effective_diffusivity", "pore", "z", 0.1),
        ("real", 1, "effective_diffusivity", "pore", "y", 0.3),
        ("real", 2, "volume_fraction", "pore", "", 0.8),  # one axis did not converge
        ("real", 2, "effective_diffusivity", "pore", "z", 0.1),
        ("real", 2, "effective_diffusivity", "pore", "y", np.nan),
        ("gen", 0, "volume_fraction", "pore", "", 0.5),
        ("gen", 0, "effective_diffusivity", "pore", "z", 0.25),
    ]
    values = pd.DataFrame(rows, columns="sample block metric phase axis value".split())
    painted = _painted(monkeypatch)
    plots.porosity_plot(values, phase="pore", name="p")
    (ax,) = painted
    points = {line.get_color(): line.get_xydata().tolist() for line in ax.lines[:2]}
    assert points[plots.SAMPLE_COLOURS["real"]] == [[0.4, pytest.approx(0.2)]]
    assert points[plots.SAMPLE_COLOURS["gen"]] == [[0.5, 0.25]]


def test_a_flux_is_drawn_in_the_proportions_of_the_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    painted = _painted(monkeypatch)
    plots.flux_plot(np.eye(4)[:, :3], most=1, edges=(2.0, 9.0, 0.5), unit="um", name="f")
    (image,) = painted[0].images
    assert image.get_extent() == [0, 1.5, 8.0, 0]
    assert painted[0].get_xlabel() == "x [um]" and painted[0].get_ylabel() == "z [um]"


def test_a_phase_that_would_be_a_dot_at_zero_has_a_panel_of_its_own() -> None:
    comparison = make_comparison()
    row = comparison.table[comparison.table["metric"] == "volume_fraction"]
    values = comparison.values
    assert len(plots.strip_plots(values, row, metric="volume_fraction")) == 1
    for smaller, panels in ((0.31 / 6, 2), (0.31 / 4, 1), (0.0, 1)):
        table = row.assign(real=[0.31, smaller], gen=[0.31, smaller])
        assert len(plots.strip_plots(values, table, metric="volume_fraction")) == panels


def fails(*_: object, **__: object) -> None:
    raise RuntimeError("no display")


@pytest.mark.parametrize("missing", [True, False])
def test_a_report_is_not_lost_for_want_of_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: bool
) -> None:
    if missing:
        monkeypatch.setitem(sys.modules, "pyvista", None)
    else:
        monkeypatch.setattr("pyvista.Plotter.screenshot", fails)
    write(tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert 'id="views"' not in page and 'id="slices"' in page


def test_the_view_is_of_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(
        charts, "rendered", lambda v, *_, **__: seen.append(v) or np.zeros((2, 2, 3), np.uint8)
    )
    # Both 100 voxels, of which 96 are shown: marked are the first and the last of them.
    long = Volume(np.isin(np.arange(300), (102, 197)).reshape(300, 1, 1))
    short = Volume(np.isin(np.arange(100), (2, 97)).reshape(100, 1, 1))
    assert [kind for kind, _ in charts.views(long, short)["views"]] == ["generated", "real"]
    assert [v.labels.ravel()[[0, -1]].tolist() for v in seen] == [[1, 1], [1, 1]]


def test_rows_keep_their_order_and_carry_their_verdict(tmp_path: Path) -> None:
    write(tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    table = page[page.index('<section id="table"') : page.index('<section id="reading"')]
    rows = re.findall(r'<tr class="row-([\w-]+)"><td>([^<]+)</td>', table)
    comparison = make_comparison()
    verdicts = [*comparison.table["verdict"], *comparison.distances["verdict"]]
    assert [verdict for verdict, _ in rows] == [v.replace(" ", "-") for v in verdicts]
    for verdict in set(verdicts):
        name = verdict.replace(" ", "-")
        assert f'id="rows-{name}"' in table
        assert f"#rows-{name}:checked) tbody tr:not(.row-{name})" in page


def test_methods_have_numbers_and_every_paper_is_in_the_citation_file() -> None:
    comparison = make_comparison()
    text = methods.methods(comparison, make_volume((4, 4, 4), 0), {"slicegan": "9.9"})
    assert "(slicegan 9.9) on 4 sub-volumes of the generated and 5 sub-volumes of" in text
    assert "of 8 x 8 x 8 voxels of 0.1 x 0.05 x 0.05 um (z, y, x), chosen with seed 0" in text
    assert "lies within 5 %" in text and "rests on 2 quantities" in text
    assert "TPB density: voxel faces per total volume [2]." in text
    papers = methods.references(comparison)
    assert papers[:2] == [methods.WELCH, methods.JORGENSEN]
    cited = set(map(int, re.findall(r"\[(\d+)\]", text)))
    assert cited == set(range(1, len(papers) + 1))
    known = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["references"]
    dois = {paper["doi"] for paper in known if "doi" in paper}
    for paper in {*methods.REFERENCES.values(), methods.WELCH}:
        doi = re.search(r"doi:(\S+)", paper)
        assert doi[1] in dois if doi else paper == methods.JORGENSEN  # has none in the file


def test_methods_say_what_was_compared_with_images_and_nothing_of_a_spread_of_one() -> None:
    comparison = make_comparison()
    comparison.settings.update(sections="any", n_gen=1, subvolume=[1, 8, 8])
    text = methods.methods(comparison, make_volume((4, 4, 4), 0), {})
    assert "on 1 cube of the generated and 5 windows of the real sample, of 1 x 8 x 8" in text
    assert "planes normal to z, y and x" in text
    assert "confidence intervals" not in text


def test_titles_count_files(tmp_path: Path) -> None:
    two = [make_volume((10, 16, 16), seed=seed) for seed in (2, 3)]
    write(tmp_path / "out", real=two, real_names=["a.tif", "b.tif"])
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert text.splitlines()[0].endswith("against 2 volumes")


def test_markdown_has_the_answer_all_rows_and_shows_names_as_they_are(tmp_path: Path) -> None:
    write(tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    comparison = make_comparison()
    lines = text.splitlines()
    assert lines[0] == "# script>.tif against real.tif"
    assert f"**{comparison.answer.sentence}**" in text
    rows = [line for line in lines if line.startswith("| ")][2:]
    assert len(rows) == len(comparison.table) + len(comparison.distances)
    assert rows[2].startswith("| TPB density |  |  | 2.6 \\[2.59, 2.61\\] |")
    assert all(re.sub(r"\\\|", "", row).count("|") == 9 for row in rows)
    assert "ysz <b>" not in text
    assert lines[-1] == "    compare.py <gen>"


def _painted(monkeypatch: pytest.MonkeyPatch) -> list:
    """Axes that a plot paints on, which it else gives away as SVG."""
    from matplotlib.figure import Figure

    axes: list = []

    def keep(name: str, width: float, height: float, paint) -> str:  # type: ignore[no-untyped-def]
        axes.append(Figure().subplots())
        paint(axes[-1])
        return ""

    monkeypatch.setattr(plots, "_svg", keep)
    return axes
