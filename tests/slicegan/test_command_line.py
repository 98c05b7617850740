"""Help and examples of every command."""

from __future__ import annotations

import shlex

import pytest

from slicegan import cli, command_line
from slicegan.cli import main

COMMANDS = tuple(cli.COMMANDS)


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_fits_a_screen(
    name: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as left:
        main(["--help"] if name is None else [name, "--help"])
    assert left.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    assert name is None or lines[-1] == getattr(command_line, f"{name.upper()}_EXAMPLE")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_is_a_command_that_parses(name: str) -> None:
    words = shlex.split(getattr(command_line, f"{name.upper()}_EXAMPLE"))
    assert words[:3] == ["example:", "slicegan", name]
    assert command_line.command_line([name]).parse_args(words[2:]).command == name


def test_a_name_runs_the_function_of_that_name() -> None:
    assert COMMANDS == (*("train", "generate", "segment", "info", "convert", "compare", "measure"),)
    assert all(run is getattr(cli, name) for name, run in cli.COMMANDS.items())
