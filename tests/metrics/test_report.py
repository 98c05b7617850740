"""The page, the tables and the terminal text of a report."""

from __future__ import annotations

import base64
import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up_report import (
    HOSTILE,
    NAN,
    SECTIONS,
    make_comparison,
    make_volume,
    write,
)

from metrics.report import page as report_page
from metrics.report.page import FILES, terminal_table, write_report
from metrics.volume import Phase, Volume


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "deep" / "out"
    write(folder)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def test_terminal_table_puts_what_differs_first_and_counts_last() -> None:
    lines = terminal_table(make_comparison()).splitlines()
    assert lines[0].split() == ("metric phase axis gen real unit ratio [low, high] verdict".split())
    assert [re.split(r"\s{2,}", line)[-1] for line in lines[1:-2]] == (
        ["differs"] * 2 + ["cannot tell"] * 2 + ["same"] * 2
    )
    assert lines[-2] == "6 rows: 2 same, 2 differ, 2 cannot tell"
    assert lines[-1] == make_comparison().answer.sentence


def test_terminal_table_is_aligned_plain_text() -> None:
    text = terminal_table(make_comparison())
    assert text.isascii() and text.replace("\n", "").isprintable()
    header, *rows, _, _ = text.splitlines()
    for row in rows:
        assert row[header.index("verdict") - 1] == " "
        assert row[header.index("verdict") :] in ("same", "differs", "cannot tell")
    assert "0.968 [0.96, 0.976]" in text
    assert "diff. 0 [-0.02, 0.02]" in text
    assert "diff. 0.03 [-0.04, 0.1] at 0.2 um" in text


def test_files_and_columns_are_exact(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == set(FILES)
    head = (folder / "table.csv").read_text().splitlines()[0]
    assert head == (
        "metric,phase,axis,unit,gen,gen_low,gen_high,real,real_low,real_high,"
        "ratio,ratio_low,ratio_high,difference,difference_low,difference_high,margin,"
        "margin_needed,needed,verdict,n_gen,n_real,definition"
    )
    assert (folder / "distances.csv").read_text().splitlines()[0] == (
        "metric,phase,axis,unit,r,distance,low,high,floor,margin,margin_needed,lags,verdict,"
        "n_gen,n_real,definition"
    )


def test_a_row_that_cannot_tell_says_what_would_decide(folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("same within 0.1; 12 more gen. samples would decide") == 1
    assert page.count('<small class="remedy">same within 0.1</small>') == 1  # of a curve


def test_csv_keeps_the_numbers(folder: Path) -> None:
    comparison = make_comparison()
    for name in ("table", "distances", "curves"):
        frame = getattr(comparison, name)
        missing = dict.fromkeys(frame.select_dtypes("number").columns, "")
        back = pd.read_csv(folder / f"{name}.csv", keep_default_na=False, na_values=missing)
        # Ten significant digits are written; 1/3 is among them.
        pd.testing.assert_frame_equal(back, frame, rtol=1e-9, check_dtype=False)


def test_json_has_null_where_nothing_is_known(folder: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = (folder / "summary.json").read_text()
    summary = json.loads(text, parse_constant=refuse)
    answer = summary.pop("answer")
    assert summary == {"command": "compare.py <gen>", "seed": 0, "seconds": {"tpb": None}}
    assert (answer["verdict"], answer["sentence"]) == ("differs", make_comparison().answer.sentence)
    assert answer["tests"][0]["p"] == 0.001


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.int64(3), 3),
        (np.array([1.5, np.inf]), [1.5, None]),
        ((8, np.nan), [8, None]),
        (np.bool_(True), True),
        (Path("a"), "a"),
        ({1: {"x": None}}, {"1": {"x": None}}),
    ],
)
def test_summary_may_hold_numpy_and_paths(value: Any, plain: Any) -> None:
    result = report_page._plain(value)
    assert result == plain
    assert json.loads(json.dumps(result, allow_nan=False)) == plain


def test_page_has_every_section_and_chart(page: str) -> None:
    assert re.findall(r'<section id="(\w+)"', page) == SECTIONS
    # 6 slices, 2 phases x 2 directions of S2, the ratios, 4 scalar metrics, D_eff over one fraction
    assert page.count("<svg") == 6 + 4 + 1 + 4 + 1
    # each slice is an image of its own, and each view in 3D
    assert len(set(re.findall(r"data:image/png;base64,[^\"]+", page))) == 6 + 2
    assert f"<strong>{make_comparison().answer.sentence}</strong>" in page
    assert "Row by row: 2 same, 2\ndiffer, 2 cannot tell." in page
    assert "Not shown: 2 rows" in page


def test_each_definition_is_listed_once(page: str) -> None:
    definitions = page[page.index('<section id="definitions"') : page.index('<section id="record"')]
    for definition in make_comparison().table["definition"].unique():
        assert definitions.count(f"<dd>{definition}</dd>") == 1


def test_page_needs_nothing_from_outside(page: str) -> None:
    links = set(re.findall(r"https?://[^\s\"'<)]+", page))
    assert links == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # namespaces
    assert not re.search(r"<(script|link|iframe|object|embed)\b|@import|url\((?!#)", page)
    assert set(re.findall(r'(?:src|href)="(#|data:image/png)', page)) == {"#", "data:image/png"}
    assert not re.search(r'(?:src|href)="(?!#|data:image/png)', page)
    assert len(page) < 3_000_000


def test_ids_are_unique_and_every_reference_has_its_target(page: str) -> None:
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', page)) <= set(ids)


def test_what_users_named_is_escaped(page: str) -> None:
    assert html.escape(HOSTILE) in page
    assert "ysz &lt;b&gt;" in page
    assert "compare.py &lt;gen&gt;" in page
    assert "<script" not in page and "ysz <b>" not in page


def test_odd_phase_names_are_only_text(tmp_path: Path) -> None:
    comparison = make_comparison()
    # Mathematics that does not parse, glyphs that matplotlib lacks, a name as long as the picture.
    names = {"pore": r"$\broken{$", "ni": "孔隙", "ysz <b>": "y" * 300}
    comparison = replace(comparison, curves=comparison.curves[comparison.curves["axis"] == ""])
    for frame in (comparison.table, comparison.values, comparison.curves):
        frame["phase"] = frame["phase"].replace(names)
    phases = tuple(Phase(name, i, i) for i, name in enumerate(names.values()))
    volume = Volume(np.arange(24).reshape(2, 3, 4) % 3, phases=phases)
    write_report(tmp_path / "out", comparison, gen=[volume], real=[volume], summary={})
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count(r"$\broken{$") > 3
    assert "孔隙" in page


def test_slices_show_the_phases_at_one_scale(page: str) -> None:
    # z: 8 against 10 voxels of 0.1; y: 20 against 16 of 0.05; x: 12 against 16. Shared: 0.8 x 0.8
    # x 0.6 um, in both pictures of an axis.
    scales = []
    for axis, voxels, size in (
        ("z", (16, 12), (0.8, 0.6)),
        ("y", (8, 12), (0.8, 0.6)),
        ("x", (8, 16), (0.8, 0.8)),
    ):
        for kind in ("generated", "real"):
            svg = page[page.index(f'id="slice-{axis}-{kind}-') :]
            image = re.search(r'<image [^>]*base64,([^"]+)"[^>]*>', svg)
            assert image and _png_shape(image[1]) == voxels, (axis, kind)
            frame = re.search(r"<clipPath .*?<rect ([^>]+)>", svg, re.DOTALL)
            assert frame
            shown = [float(re.search(rf'{edge}="([\d.]+)"', frame[1])[1])  # type: ignore[index]
                     for edge in ("height", "width")]  # fmt: skip
            scales += [length / of for length, of in zip(shown, size, strict=True)]
    # points a micrometre; the SVG gives six decimals of some hundred points
    assert scales == pytest.approx([scales[0]] * 12, rel=1e-5)


def _png_shape(text: str) -> tuple[int, int]:
    """Rows and columns of a PNG in base64, from its header."""
    data = base64.b64decode(text)
    return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")


def test_thin_volume_many_phases_and_unknown_voxel_size(tmp_path: Path) -> None:
    labels = np.arange(16, dtype=np.int16).repeat(40).reshape(1, 16, 40)
    comparison = make_comparison()
    of_curves = comparison.table[-1:]  # only the two-point correlation
    comparison = replace(comparison, table=of_curves, values=comparison.values[:0])
    volumes = {"gen": [Volume(labels)] * 2, "real": [Volume(labels)]}
    write_report(tmp_path / "out", comparison, **volumes, summary={})
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<h1><small>Generated against real</small>2 volumes " in page
    assert 'id="curves"' in page and 'id="ratios"' not in page and 'id="distributions"' not in page
    assert "voxel size is unknown" in page
    colours = re.findall(r'class="swatch" style="background: (#\w+)"></span>\d', page)
    assert len(set(colours)) == 16


def test_one_subvolume_each_has_no_interval(tmp_path: Path) -> None:
    comparison = make_comparison()
    names = ("gen", "real", "ratio", "difference")
    comparison.table[[f"{name}_{end}" for name in names for end in ("low", "high")]] = NAN
    comparison.distances[["low", "high"]] = NAN
    comparison.table["verdict"] = "cannot tell"
    volume = make_volume((4, 4, 4), seed=0)
    comparison = replace(comparison, curves=comparison.curves[:0])  # not measured at all
    write_report(tmp_path / "out", comparison, gen=[volume], real=[volume], summary={})
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert 'id="ratios"' in page and 'id="curves"' not in page
    assert "[nan" not in page and "[-" not in page
    assert terminal_table(comparison).count("[") == 1  # in the header


# The page is measured in frames of a phone's and a desktop's width, and once more with a block
# that is too wide, which must be noticed.
FRAMES = """<!doctype html><body>
<iframe id="phone" style="width: 390px; height: 800px" srcdoc="{page}"></iframe>
<iframe id="desktop" style="width: 1280px; height: 800px" srcdoc="{page}"></iframe>
<iframe id="broken" style="width: 390px; height: 800px" srcdoc="{broken}"></iframe>
<pre id="found"></pre>
<script>
const found = {{}};
onload = () => {{
  for (const frame of document.querySelectorAll("iframe")) {{
    const page = frame.contentDocument, visible = (e) => e.getBoundingClientRect().height > 20;
    found[frame.id] = {{
      title: page.title,
      sections: [...page.querySelectorAll("section")].filter(visible).map((e) => e.id),
      charts: [...page.querySelectorAll("svg")].filter(visible).length,
      slices: [...page.querySelectorAll("svg image")].filter(visible).length,
      spare: page.documentElement.clientWidth - page.documentElement.scrollWidth,
    }};
  }}
  document.getElementById("found").textContent = JSON.stringify(found);
}};
</script>"""


def test_browser_shows_the_page_on_phone_and_desktop(tmp_path: Path, page: str) -> None:
    browsers = map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))
    browser = next(filter(None, browsers), None)
    if browser is None:
        pytest.skip("needs Chromium: none of chromium, google-chrome, chromium-browser found")
    broken = page.replace("</body>", '<div style="width: 500px">wide</div></body>')
    frames = FRAMES.format(page=html.escape(page), broken=html.escape(broken))
    (tmp_path / "frames.html").write_text(frames, encoding="utf-8")
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --dump-dom "
        "--disable-background-networking --disable-component-update --disable-sync"
    ).split()
    result = subprocess.run(
        [browser, *flags, f"--user-data-dir={tmp_path / 'profile'}",
         (tmp_path / "frames.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    text = re.search(r'<pre id="found">(.*?)</pre>', result.stdout, re.DOTALL)
    assert text, "the browser has measured nothing"
    found = json.loads(html.unescape(text[1]))
    for name in ("phone", "desktop"):
        assert found[name] == {
            "title": f"{Path(HOSTILE).name} against real.tif",
            "sections": SECTIONS,
            "charts": 15,
            "slices": 6,
            "spare": 0,
        }
    assert found["broken"]["spare"] < 0
