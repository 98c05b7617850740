"""Result tables: CSV for programs, and a Markdown page that says how the numbers were made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metrics.machine.provenance import machine, versions

if TYPE_CHECKING:
    import pandas as pd


def device_name(device: str) -> str:
    """What a page calls a torch device: the GPU's name, or cpu."""
    if device != "cuda":
        return device
    import torch

    return torch.cuda.get_device_name()


def write_result(
    stem: Path,
    title: str,
    text: str,
    table: pd.DataFrame,
    facts: Mapping[str, Any],
    *,
    plain: str = "",
    floats: str = "%.6g",
) -> None:
    """Write ``stem.csv`` and ``stem.md``; `facts` (command, seed, ...) end the page.

    A table too wide for a page can be shown there as `plain` text instead; `floats` is the format
    of numbers in the CSV.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(stem.with_suffix(".csv"), index=False, float_format=floats)
    shown = ["```", plain, "```"] if plain else markdown(table)
    lines = [f"# {title}", "", text, "", *shown, "", *fact_lines(facts)]
    stem.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def fact_lines(facts: Mapping[str, Any]) -> list[str]:
    """Markdown list of facts, machine and versions."""
    made_by = ", ".join(f"{name} {number}" for name, number in versions().items())
    facts = {**facts, "machine": machine(), "versions": made_by}
    return [f"- {name}: {value}" for name, value in facts.items()]


def markdown(table: pd.DataFrame) -> list[str]:
    """Lines of a Markdown table; numbers with four digits, nan as an empty cell."""
    rows = [list(table), ["---"] * table.shape[1]]
    rows += [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    return [f"| {' | '.join(row)} |" for row in rows]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    return str(value)
