"""How every command ends: its exit status, and one line on stderr where something is wrong."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from metrics.volume import InputError

BAD_INPUT, INTERRUPTED, NO_READER = 2, 130, 141
# What to ask of a command where memory does not suffice, and what to say after Ctrl-C.
LESS_TO_COMPARE = "ask for smaller sub-volumes (--subvolume) or fewer at a time (--workers)"
LESS_TO_MEASURE = "ask for fewer volumes at a time (--workers) or fewer metrics (--metrics)"
UNWRITTEN = "interrupted, nothing was written"


def exit_status(
    name: str,
    work: Callable[[], int],
    *,
    less: str = "close other programs, or take a machine with more",
    interrupted: str = "interrupted",
) -> int:
    """Do a command's work; its exit status, with one line on stderr if it failed.

    Parameters
    ----------
    name : str
        Of the command, which begins the line.
    work : callable
        Returns the exit status of work that is done.
    less : str
        What to ask for where the memory does not suffice.
    interrupted : str
        What to say after Ctrl-C or SIGTERM.

    Returns
    -------
    int
        That of `work`; 2 for bad input, or a want of memory or disk; 130 if it was interrupted, 141
        if nobody reads its output any more (``| head``).
    """
    for stream in (sys.stdout, sys.stderr):  # a file's name may hold what a terminal cannot show
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        with termination():
            status = work()
            sys.stdout.flush()
        return status
    except InputError as error:
        line, status = str(error), BAD_INPUT
    except KeyboardInterrupt:
        line, status = interrupted, INTERRUPTED
    except BrokenPipeError:
        # Python flushes once more when it ends, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_READER
    except OSError as error:  # what no reader or writer has put into words
        at = f"{error.filename}: " if error.filename else ""
        line, status = f"{at}{error.strerror or error}: check the path", BAD_INPUT
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or "memory" in str(error):
            line, status = f"not enough memory: {less}", BAD_INPUT
        elif "CUDA" in str(error):  # too old, in use by another alone, or gone
            reason = str(error).splitlines()[0]
            line, status = f"the GPU fails ({reason}): take another one, or --device cpu", BAD_INPUT
        else:
            raise
    print(f"{name}: {line}", file=sys.stderr)
    return status


@contextmanager
def termination() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does: raise KeyboardInterrupt, so that files are cleaned up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
