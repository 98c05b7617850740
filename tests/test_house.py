"""Imports run one way, and no room of the house leads back to itself."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("metrics", "slicegan", "benchmarks")
# What a wing of metrics may import.
ALLOWED = {
    "metrics.volume": {"metrics.units"},
    "metrics.machine": {"metrics.machine", "metrics.volume"},
    "metrics.io": {
        *("metrics.io", "metrics.machine", "metrics.files", "metrics.units", "metrics.volume"),
        "metrics.neighbourhood",  # labels by rank
    },
    "metrics.solver": {"metrics.solver", "metrics.machine", "metrics.arrays", "metrics.volume"},
}


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(file: Path) -> set[str]:
    """Modules of the project that a file imports, wherever it does."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{file}: a relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name for name in inner if name in MODULES} or {node.module}
    return {name for name in names if name.partition(".")[0] in PACKAGES}


FILES = {module_name(file): file for name in PACKAGES for file in (ROOT / name).rglob("*.py")}
MODULES = set(FILES)
IMPORTS = {name: imported(file) for name, file in FILES.items()}


def test_packages_import_downwards_only() -> None:
    for name, of_module in IMPORTS.items():
        rank = PACKAGES.index(name.partition(".")[0])
        up = {other for other in of_module if PACKAGES.index(other.partition(".")[0]) > rank}
        assert not up, f"{name} imports {up}"
    assert any(other.startswith("metrics") for other in IMPORTS["slicegan.runs"])


def test_no_module_leads_back_to_itself() -> None:
    graph = {name: {other for other in of if other in MODULES} for name, of in IMPORTS.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("wing", ALLOWED)
def test_a_wing_knows_only_what_lies_below_it(wing: str) -> None:
    rooms = [name for name in IMPORTS if name == wing or name.startswith(f"{wing}.")]
    assert rooms
    for room in rooms:
        for other in IMPORTS[room]:
            known = any(other == name or other.startswith(f"{name}.") for name in ALLOWED[wing])
            assert known, f"{room} imports {other}"


def test_wings_do_not_lead_back_to_each_other() -> None:
    wings = {name for name in MODULES if name.startswith("metrics.") and name.count(".") == 2}
    wing_of = {name: name.rpartition(".")[0] if name in wings else name for name in MODULES}
    graph: dict[str, set[str]] = {}
    for name, others in IMPORTS.items():
        if name.startswith("metrics."):
            outside = {wing_of.get(other, other) for other in others} - {wing_of[name]}
            graph.setdefault(wing_of[name], set()).update(outside)
    TopologicalSorter(graph).prepare()


def test_no_module_bears_the_name_of_a_public_function() -> None:
    import metrics
    import slicegan

    public = {*metrics.__all__, *slicegan.__all__}
    rooms = {name for name in MODULES if not name.startswith("benchmarks")}
    assert {name for name in rooms if name.rpartition(".")[2] in public} == set()
