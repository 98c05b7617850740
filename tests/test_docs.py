"""The manual knows every public name, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import metrics
import slicegan

ROOT = Path(__file__).parents[1]
# What is no function, class or error.
CONSTANTS = {name for name in metrics.__all__ if name.isupper()}
PAGES = sorted(
    [ROOT / "README.md", ROOT / "benchmarks" / "README.md"]
    + [page for page in (ROOT / "docs").rglob("*.md") if "generated" not in page.parts]
)


@pytest.mark.parametrize("package", [metrics, slicegan], ids=["metrics", "slicegan"])
def test_every_public_name_is_in_the_reference(package: object) -> None:
    page = (ROOT / "docs" / "api" / f"{package.__name__}.rst").read_text(encoding="utf-8")
    listed = set(re.findall(r"^   (\w+)$", page, re.MULTILINE))
    assert set(package.__all__) - CONSTANTS == listed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing == []


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^([\w/]+)$", index, re.MULTILINE))
    pages = {
        page.relative_to(ROOT / "docs").with_suffix("").as_posix()
        for page in PAGES
        if page.is_relative_to(ROOT / "docs") and "gallery" not in page.parts
    }
    assert pages - {"index"} <= listed
