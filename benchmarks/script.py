"""How every script here reads its arguments, titles its page and ends."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from metrics.command.arguments import Parser
from metrics.command.ending import exit_status

RESULTS = Path("benchmarks/results")


@dataclass(frozen=True)
class Script:
    """A script that is run as ``python -m benchmarks.NAME``.

    Parameters
    ----------
    name : str
        With its folder, e.g. ``trust.coverage``.
    doc : str or None
        Docstring of the module: a title, then what the page of results says, and how to run it in
        indented blocks.
    """

    name: str
    doc: str | None

    def parser(self, *, out: Path | None = RESULTS) -> Parser:
        """Parser with the module's text and, unless None, ``--out``."""
        parser = Parser(
            prog=self.name.rpartition(".")[2],
            description=self.doc,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if out is not None:
            parser.add_argument("--out", type=Path, default=out, help="folder (%(default)s)")
        return parser

    @property
    def text(self) -> str:
        """What the module says below its title, without the blocks of commands."""
        paragraphs = (self.doc or "").strip().split("\n\n")[1:]
        return "\n\n".join(text for text in paragraphs if not text.startswith(" "))

    def command(self, argv: Sequence[str] | None) -> str:
        """The command as a user would type it from the root of a checkout."""
        words = sys.argv[1:] if argv is None else argv
        return shlex.join(["python", "-m", f"benchmarks.{self.name}", *words])

    def run(
        self,
        parser: Parser,
        argv: Sequence[str] | None,
        work: Callable[[argparse.Namespace, str], int],
    ) -> int:
        """Read the arguments and do the work, given these and the command; its exit status."""
        args = parser.parse_args(argv)
        return exit_status(
            parser.prog,
            lambda: work(args, self.command(argv)),
            interrupted="interrupted; the same command goes on with what was kept",
        )
