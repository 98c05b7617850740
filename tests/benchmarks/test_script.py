"""How scripts read their arguments, title their pages and end."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from benchmarks.script import Script
from metrics.volume import InputError

ROOT = Path(__file__).parents[2]
DOC = """A title.

    python -m benchmarks.trust.example --seed 1

What the page says,
in two lines.

And more.
"""
SCRIPTS = sorted(
    file.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    for file in (ROOT / "benchmarks").rglob("*.py")
    if re.search(r"^SCRIPT = ", file.read_text(encoding="utf-8"), re.MULTILINE)
)


def test_a_page_says_what_the_module_does_and_not_how_it_is_run() -> None:
    script = Script("trust.example", DOC)
    assert script.text == "What the page says,\nin two lines.\n\nAnd more."
    assert script.command(["--seed", "a b"]) == ("python -m benchmarks.trust.example --seed 'a b'")


def test_bad_input_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    script = Script("trust.example", DOC)

    def work(args: object, command: str) -> int:
        raise InputError("no such data: give some")

    assert script.run(script.parser(), [], work) == 2
    assert capsys.readouterr().err == "example: no such data: give some\n"
    with pytest.raises(SystemExit) as ended:
        script.run(script.parser(), ["--nothing"], work)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_knows_its_own_name_and_has_help(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(name)
    assert f"benchmarks.{module.SCRIPT.name}" == name
    with pytest.raises(SystemExit) as ended:
        module.main(["--help"])
    assert ended.value.code == 0
    assert module.SCRIPT.doc.splitlines()[0] in capsys.readouterr().out


def test_the_list_of_commands_names_every_script() -> None:
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    missing = [name for name in SCRIPTS if f"`{name.removeprefix('benchmarks.')}" not in page]
    assert missing == []
    assert len(SCRIPTS) > 15


@pytest.mark.parametrize(
    ("name", "argv", "line"),
    [
        ("trust.real_pairs", ["foo"], "no case foo"),
        ("making.ingredients", ["--variants", "foo"], "no variant foo"),
    ],
)
def test_scripts_refuse_in_one_line(
    name: str, argv: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    assert module.main(argv) == 2
    error = capsys.readouterr().err
    assert line in error and error.count("\n") == 1
