from __future__ import annotations

import base64
import html
import json
import math
import re
import resource
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metrics import report
from metrics.comparison import TABLE_COLUMNS, Comparison
from metrics.report import FILES, check_folder, terminal_table, write_report
from metrics.volume import InputError, Phase, Volume

NAN = math.nan
HOSTILE = "<script>alert(1)</script>.tif"
SECTIONS = (
    "verdict inputs slices curves ratios distributions table reading definitions record".split()
)


def make_volume(shape: tuple[int, int, int], seed: int, unit: str = "um") -> Volume:
    labels = np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)
    phases = (Phase("pore", 0, 0), Phase("ni", 1, 127), Phase("ysz <b>", 2, 254))
    return Volume(labels, spacing=(0.1, 0.05, 0.05), unit=unit, phases=phases)


def make_comparison() -> Comparison:
    """Five rows by hand: each verdict, a correlation, a negative and a missing ratio."""
    fraction, area = "voxels of the phase / all voxels", "voxel faces per total volume"
    rows = [
        # metric, phase, axis, unit, gen, real, ratio with limits, margin, verdict, definition
        ("volume_fraction", "pore", "", "", 0.3, 0.31, 0.968, 0.96, 0.976, 0.05, "same", fraction),
        ("volume_fraction", "ni", "", "", 0.3, 0.32, 0.94, 0.8, 1.1, 0.05, "cannot tell", fraction),
        ("tpb_density", "", "", "1/um^2", 2.6, 2, 1.3, 1.2, 1.4, 0.05, "differs", area),
        ("euler_density", "pore", "", "1/um^3", -1, 1, -1, -1.5, -0.5, 0.05, "differs", "Euler"),
        ("effective_diffusivity", "ni", "z", "", 0, 0, NAN, NAN, NAN, 0.05, "same", "D_eff/D_0"),
        ("two_point_correlation", "pore", "z", "", 0.004, 0.003, NAN, NAN, NAN, 0.0105,
         "same", "mean |difference|"),
    ]  # fmt: skip
    table = pd.DataFrame(
        [
            (*row[:4], row[4], row[4] - 0.01, row[4] + 0.01, row[5], row[5] - 0.01, row[5] + 0.01,
             *row[6:11], 4, 5, row[11])
            for row in rows
        ],
        columns=TABLE_COLUMNS,
    )  # fmt: skip
    values = pd.DataFrame(
        [
            (sample, block, row.metric, row.phase, row.axis, getattr(row, sample) + 0.01 * block,
             row.unit, row.definition)
            for row in table[table["metric"] != "two_point_correlation"].itertuples()
            for sample, count in (("gen", 4), ("real", 5))
            for block in range(count)
        ],
        columns="sample block metric phase axis value unit definition".split(),
    )  # fmt: skip
    curves = pd.DataFrame(
        [
            (sample, phase, axis, r, "um", s2, s2 - 0.01, s2 + 0.01, 4)
            for sample in ("gen", "real")
            for phase in ("pore", "ysz <b>")
            for axis in ("", "z")
            for r, s2 in ((0.0, 0.3), (0.1, 1 / 3), (0.2, 0.09))
        ],
        columns="sample phase axis r unit mean low high n".split(),
    )
    settings = {"margin": 0.05, "seed": 0, "subvolume": [8, 8, 8], "metrics": ["volume_fraction"]}
    return Comparison(table, values, curves, settings, seconds={}, peak_memory=0)


def write(folder: Path, **changes: Any) -> None:
    arguments: dict[str, Any] = {
        "gen": [make_volume((8, 20, 12), seed=1)],
        "real": [make_volume((10, 16, 16), seed=2)],
        "gen_names": [HOSTILE],
        "real_names": ["real.tif"],
        "summary": {"command": "compare.py <gen>", "seed": 0, "seconds": {"tpb": np.float64(NAN)}},
    }
    write_report(folder, make_comparison(), **arguments | changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "deep" / "out"
    write(folder)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the slow part where only the files matter."""
    monkeypatch.setattr(report, "_page", lambda *_: "<html>")


def test_terminal_table_puts_what_differs_first_and_counts_last() -> None:
    lines = terminal_table(make_comparison()).splitlines()
    assert lines[0].split() == ("metric phase axis gen real unit ratio [low, high] verdict".split())
    assert [re.split(r"\s{2,}", line)[-1] for line in lines[1:-1]] == (
        ["differs"] * 2 + ["cannot tell"] + ["same"] * 3
    )
    assert lines[-1] == "6 quantities: 3 same, 2 differ, 1 cannot tell"


def test_terminal_table_is_aligned_plain_text() -> None:
    text = terminal_table(make_comparison())
    assert text.isascii() and text.replace("\n", "").isprintable()
    header, *rows, _ = text.splitlines()
    for row in rows:
        assert row[header.index("verdict") - 1] == " "
        assert row[header.index("verdict") :] in ("same", "differs", "cannot tell")
    assert "0.968 [0.96, 0.976]" in text
    assert "limit 0.0105" in text


def test_files_and_columns_are_exact(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == set(FILES)
    head = (folder / "table.csv").read_text().splitlines()[0]
    assert head == (
        "metric,phase,axis,unit,gen,gen_low,gen_high,real,real_low,real_high,"
        "ratio,ratio_low,ratio_high,margin,verdict,n_gen,n_real,definition"
    )


def test_csv_keeps_the_numbers(folder: Path) -> None:
    comparison = make_comparison()
    for name, frame in (("table", comparison.table), ("curves", comparison.curves)):
        missing = dict.fromkeys(frame.select_dtypes("number").columns, "")
        back = pd.read_csv(folder / f"{name}.csv", keep_default_na=False, na_values=missing)
        # Ten significant digits are written; 1/3 is among them.
        pd.testing.assert_frame_equal(back, frame, rtol=1e-9, check_dtype=False)


def test_json_has_null_where_nothing_is_known(folder: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = (folder / "summary.json").read_text()
    summary = json.loads(text, parse_constant=refuse)
    assert summary == {"command": "compare.py <gen>", "seed": 0, "seconds": {"tpb": None}}


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
    result = report._plain(value)
    assert result == plain
    assert json.loads(json.dumps(result, allow_nan=False)) == plain


def test_page_has_every_section_and_chart(page: str) -> None:
    assert re.findall(r'<section id="(\w+)"', page) == SECTIONS
    # 6 slices, 2 phases x 2 directions of S2, the ratios, 4 scalar metrics
    assert page.count("<svg") == 6 + 4 + 1 + 4
    # each slice is an image of its own
    assert len(set(re.findall(r"data:image/png;base64,[^\"]+", page))) == 6
    assert "3 of 6 quantities are the same,\n2 differ, and for 1 the data cannot tell." in page
    assert "it differs in TPB density, Euler density." in page
    assert "Not shown: 3 rows" in page


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
    limits = [f"{name}_{end}" for name in ("gen", "real", "ratio") for end in ("low", "high")]
    comparison.table[limits] = NAN
    comparison.table["verdict"] = "cannot tell"
    volume = make_volume((4, 4, 4), seed=0)
    comparison = replace(comparison, curves=comparison.curves[:0])  # not measured at all
    write_report(tmp_path / "out", comparison, gen=[volume], real=[volume], summary={})
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert 'id="ratios"' in page and 'id="curves"' not in page
    assert "[nan" not in page and "[-" not in page
    assert terminal_table(comparison).count("[") == 1  # in the header


def test_report_replaces_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_plots(monkeypatch)
    write(tmp_path / "out", summary={"run": 1})
    write(tmp_path / "out", summary={"run": 2})
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == {"run": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["write_text", "rename"])
def test_failure_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    without_plots(monkeypatch)
    write(tmp_path / "old", summary={"run": 1})
    work = getattr(Path, step)

    def fail(path: Path, *args: Any, **kwargs: Any) -> Any:
        # The third of four files; the new folder's move, after the old one has been moved away.
        if path.name == "summary.json" or path.parent.name == "new":
            raise error
        return work(path, *args, **kwargs)

    for name in ("old", "new/and/deep"):
        with monkeypatch.context() as patch, pytest.raises((InputError, KeyboardInterrupt)):
            patch.setattr(Path, step, fail)
            write(tmp_path / name, summary={"run": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert {path.name for path in (tmp_path / "old").iterdir()} == set(FILES)
    assert json.loads((tmp_path / "old" / "summary.json").read_text()) == {"run": 1}


def test_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operating system itself refuses to write more than 1000 bytes to a file."""
    without_plots(monkeypatch)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(InputError, match="cannot write a report to") as caught:
            write(tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_foreign_folders_and_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_plots(monkeypatch)
    for name in ("thesis.tex", "table.csv"):  # one of our names does not make a report
        folder = tmp_path / f"folder of {name}"
        folder.mkdir()
        (folder / name).write_text("mine")
        with pytest.raises(InputError, match="no report: name a new or empty folder"):
            write(folder)
        assert (folder / name).read_text() == "mine"
        assert len(list(folder.iterdir())) == 1
        for below in (folder / name, folder / name / "below"):
            with pytest.raises(InputError, match="cannot write a report"):
                check_folder(below)
    with pytest.raises(InputError, match="cannot write a report"):
        write(Path("/proc/no/report"))


def test_empty_and_linked_folders_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_plots(monkeypatch)
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert {path.name for path in (tmp_path / "empty").iterdir()} == set(FILES)


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
