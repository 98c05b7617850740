"""The README quotes the committed results, to the digit."""

from __future__ import annotations

from pathlib import Path

from benchmarks.validation import readme_table


def test_the_table_of_the_readme_is_that_of_the_results() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert "\n".join(readme_table.lines()) in readme
