"""Reports of a comparison: a table for the terminal; CSV, JSON and one HTML page in a folder."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from metrics.comparison.answer import WIDEST
from metrics.files import scratch
from metrics.intervals import VERDICTS
from metrics.report import charts, methods, plots
from metrics.volume import InputError, Volume
from metrics.wording import readable

if TYPE_CHECKING:
    import pandas as pd

    from metrics.comparison.comparing import Comparison

NOT_IN_SECTIONS = (
    "sections do not show percolation, clusters, the Euler number in 3D, nor transport; only a 3D "
    "image does"
)
FILES = ("table.csv", "distances.csv", "curves.csv", "summary.json", "report.html", "report.md")


def terminal_table(comparison: Comparison) -> str:
    """Lay out the comparison as plain text, rows that differ first and verdict counts last.

    Parameters
    ----------
    comparison : Comparison
        Result of `compare`.

    Returns
    -------
    str
        One header line, one line for each row of the table and of the distances, a line of counts,
        and the answer. Where there is no ratio, and for curves, its column gives the difference.
    """
    columns = ("metric", "phase", "axis", "gen", "real", "unit", "ratio", "verdict")
    numbers = ("gen", "real", "ratio")
    lines = [dict(zip(columns, columns, strict=True)) | {"ratio": "ratio [low, high]"}]
    for row in sorted(_rows(comparison), key=lambda row: VERDICTS.index(row["verdict"])):
        lines.append(row | {"ratio": f"{row['ratio']} {row['ratio_interval']}".rstrip()})
    width = {column: max(len(line[column]) for line in lines) for column in columns}
    text = [
        "  ".join(f"{line[c]:{'>' if c in numbers else '<'}{width[c]}}" for c in columns).rstrip()
        for line in lines
    ]
    count = _counts(comparison)
    text.append(
        f"{sum(count.values())} rows: {count['same']} same, {count['differs']} differ, "
        f"{count['cannot tell']} cannot tell"
    )
    text.append(comparison.answer.sentence)
    return "\n".join(text)


def write_report(
    folder: str | os.PathLike[str],
    comparison: Comparison,
    *,
    gen: Sequence[Volume],
    real: Sequence[Volume],
    summary: Mapping[str, Any],
    gen_names: Sequence[str] = (),
    real_names: Sequence[str] = (),
) -> None:
    """Write tables, ``summary.json``, ``report.html`` and ``report.md``, all or none.

    The tables are ``table.csv``, ``distances.csv`` and ``curves.csv``, the summary gets the answer.

    The files are written beside `folder` and moved there in one step, so that neither an error nor
    Ctrl-C leaves half a report. An earlier report in `folder` is replaced.

    Parameters
    ----------
    folder : path
        New, empty, or an earlier report.
    comparison : Comparison
        Result of `compare`.
    gen, real : sequences of Volume
        The compared volumes; the first of each is pictured.
    summary : mapping
        How the comparison was made (command, seed, versions, seconds, ...); stored as JSON, with
        null for what is not finite, and shown at the end of the page.
    gen_names, real_names : sequences of str, optional
        File names of the volumes.

    Raises
    ------
    InputError
        If `folder` holds something else or cannot be written.
    """
    target = check_folder(folder)
    found = comparison.answer
    record = _plain({"answer": vars(found) | {"tests": found.tests.to_dict("records")}, **summary})
    text = methods.methods(comparison, real[0], record.get("versions", {}))
    many = "images" if comparison.settings["sections"] else "volumes"
    samples = {
        "gen": _sample("generated", gen, gen_names, "volumes"),
        "real": _sample("real", real, real_names, many),
    }
    texts = {
        "table.csv": _csv(comparison.table),
        "distances.csv": _csv(comparison.distances),
        "curves.csv": _csv(comparison.curves),
        "summary.json": json.dumps(record, indent=2, allow_nan=False) + "\n",
        "report.html": _page(comparison, gen, real, samples, record, text),
        "report.md": methods.markdown(
            comparison,
            _rows(comparison),
            titles=(samples["gen"]["title"], samples["real"]["title"]),
            text=text,
            command=str(record.get("command", "")),
        ),
    }
    try:
        _write_whole(target, texts)
    except OSError as error:
        raise _cannot_write(folder, error) from error


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """Return the resolved path of a folder that a report may be written to.

    Raises
    ------
    InputError
        If it is a file, holds anything but an earlier report, or lies where nothing can be written.
    """
    try:
        target = Path(os.path.realpath(folder))  # which a loop of links does not stop
        if target == Path.cwd() or target.is_mount():
            raise InputError(f"{folder} cannot be replaced as a whole: name a new folder in it")
        held = {path.name for path in target.iterdir()} if target.exists() else set()
        home = _home(target)
        with scratch(target, ".report-", home=home):  # tried: permissions do not say all
            pass
    except OSError as error:
        raise _cannot_write(folder, error) from error
    # Earlier versions wrote fewer tables.
    if held and not {"report.html", "summary.json"} <= held <= set(FILES):
        raise InputError(f"{folder} holds files that are no report: name a new or empty folder")
    return target


def _cannot_write(folder: str | os.PathLike[str], error: OSError) -> InputError:
    return InputError(
        f"cannot write a report to {folder} ({error.strerror}): "
        "name a new folder where there is room and permission"
    )


def _home(target: Path) -> Path:
    """Nearest folder above `target` that exists: what is written there can be moved to `target`."""
    home = next(path for path in target.parents if path.exists())
    if not home.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{home} is no folder")
    return home


def _write_whole(target: Path, texts: Mapping[str, str]) -> None:
    """Make `target` a folder of exactly these files, or leave everything as it was."""
    home = _home(target)
    path = target.relative_to(home)
    with scratch(target, ".report-", home=home) as folder:
        new, old = folder / "new", folder / "old"
        (new / path).mkdir(parents=True)
        for name, text in texts.items():
            (new / path / name).write_text(text, encoding="utf-8", errors="backslashreplace")
        try:
            if target.exists():
                target.rename(old)
            (new / path.parts[0]).rename(home / path.parts[0])
        except BaseException:  # Ctrl-C between the two moves as well
            if old.exists() and not target.exists():
                old.rename(target)
            raise


def _csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False, float_format="%.10g", lineterminator="\n")


def _plain(value: Any) -> Any:
    """Turn a value into JSON's own types, a number that is not finite into None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | None) else str(value)


def _counts(comparison: Comparison) -> dict[str, int]:
    verdicts = [*comparison.table["verdict"], *comparison.distances["verdict"]]
    return {verdict: verdicts.count(verdict) for verdict in VERDICTS}


def _rows(comparison: Comparison) -> list[dict[str, str]]:
    """Rows of both tables as text, quantity by quantity."""
    return [
        *map(_row, comparison.table.to_dict("records")),
        *map(_curve_row, comparison.distances.to_dict("records")),
    ]


def _row(row: Mapping[str, Any]) -> dict[str, str]:
    text = _keys(row)
    for key in ("gen", "real", "ratio"):
        text |= _value(key, row[key], row[f"{key}_low"], row[f"{key}_high"])
    if math.isnan(row["ratio"]) and not math.isnan(row["difference"]):
        limits = row["difference"], row["difference_low"], row["difference_high"]
        text |= _value("ratio", *limits, before="diff. ")
    return text


def _curve_row(row: Mapping[str, Any]) -> dict[str, str]:
    at = "" if math.isnan(row["r"]) else f" at {_number(row['r'])} {row['unit']}"
    nothing = dict.fromkeys(("gen", "gen_interval", "real", "real_interval"), "")
    distance = row["distance"], row["low"], row["high"]
    return (
        _keys(row) | nothing | _value("ratio", *distance, before="diff. ", after=at) | {"unit": ""}
    )


def _keys(row: Mapping[str, Any]) -> dict[str, str]:
    text = {key: row[key] for key in ("metric", "phase", "axis", "unit", "verdict")}
    return text | {"n": f"{row['n_gen']} / {row['n_real']}", "remedy": _remedy(row)}


def _remedy(row: Mapping[str, Any]) -> str:
    """What would decide a row that cannot tell."""
    if row["verdict"] != "cannot tell":
        return ""
    margin, needed = row["margin_needed"], row.get("needed", math.nan)
    scarcer = "gen." if row["n_gen"] < row["n_real"] else "real"
    known = [f"same within {margin:.2g}"] if margin <= WIDEST else []
    more = [] if math.isnan(needed) else [f"{needed:.0f} more {scarcer} samples would decide"]
    return "; ".join(known + more)


def _value(
    key: str, value: float, low: float, high: float, *, before: str = "", after: str = ""
) -> dict[str, str]:
    known = "" if math.isnan(value) else before
    interval = "" if math.isnan(low) else f"[{_number(low)}, {_number(high)}]"
    return {key: f"{known}{_number(value)}", f"{key}_interval": f"{interval}{after}"}


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"


def _page(
    comparison: Comparison,
    gen: Sequence[Volume],
    real: Sequence[Volume],
    samples: Mapping[str, Mapping[str, Any]],
    record: Mapping[str, Any],
    text: str,
) -> str:
    import pandas as pd
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["readable"] = readable
    table = comparison.table
    definitions = pd.concat([table, comparison.distances])[["definition", "metric"]]
    colours = plots.phase_colours(len(real[0].phases))
    sections = comparison.settings["sections"]
    return environment.get_template("report.html.j2").render(
        samples=samples,
        sample_colours=plots.SAMPLE_COLOURS,
        blocks={key: comparison.settings[f"n_{key}"] for key in ("gen", "real")},
        unit=real[0].unit,
        phases=_phases(table, gen[0], real[0], colours),
        answer=comparison.answer,
        counts=_counts(comparison),
        rows=_rows(comparison),
        definitions=definitions.groupby("definition", sort=False)["metric"].unique().to_dict(),
        settings=_plain(comparison.settings),
        record=record,
        pieces="sections" if sections else "sub-volumes",
        methods=text,
        references=methods.references(comparison),
        unseen=NOT_IN_SECTIONS if sections else "",
        **charts.slices(gen[0], real, colours, sections),
        **charts.views(gen[0], None if sections else real[0]),
        **charts.quantities(comparison),
        **charts.transport(comparison, gen[0], real[0]),
    )


def _sample(
    kind: str, volumes: Sequence[Volume], names: Sequence[str], many: str
) -> dict[str, Any]:
    """Kind, title and named volumes of a sample."""
    names = list(names) or [f"{kind} {i + 1}" for i in range(len(volumes))]
    title = PurePath(names[0]).name if len(names) == 1 else f"{len(names)} {many}"
    return {"kind": kind, "title": title, "volumes": list(zip(names, volumes, strict=True))}


def _phases(
    table: pd.DataFrame, gen: Volume, real: Volume, colours: Sequence[str]
) -> list[dict[str, str]]:
    """Name, colour, file values and, where the table has them, fractions of every phase.

    Phases match by rank, and the table names them as the real volume does.
    """
    fractions = table[table["metric"] == "volume_fraction"].set_index("phase")
    return [
        {
            "name": in_real.name,
            "colour": colour,
            "values": " / ".join(dict.fromkeys((str(in_gen.value), str(in_real.value)))),
            "gen": _number(fractions["gen"].get(in_real.name, math.nan)),
            "real": _number(fractions["real"].get(in_real.name, math.nan)),
        }
        for in_gen, in_real, colour in zip(gen.phases, real.phases, colours, strict=True)
    ]
