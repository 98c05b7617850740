"""The command ``slicegan``, also as ``python -m slicegan``."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Run the command; its exit status."""
    # While libraries are imported Ctrl-C ends the process as any other: an import that is
    # interrupted leaves a traceback, and modules that are half there.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from slicegan.cli import main as command

    signal.signal(signal.SIGINT, before)
    return command()


if __name__ == "__main__":
    sys.exit(main())
