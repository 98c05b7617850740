"""Files that are written whole or not at all, and errors about them in one line."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from glob import escape
from pathlib import Path

from filelock import FileLock, Timeout

from metrics.volume import InputError

TEMPORARY = ".writing-"
LOCK = ".lock"
# Errors that more space on the disk, or another export, would not mend.
NO_ACCESS = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR),
    errno.ENAMETOOLONG,
}


@contextmanager
def replacing(path: Path, *, extend: bool = False) -> Iterator[Path]:
    """Temporary path beside the target, moved onto it if all went well, else removed.

    With `extend` it starts as a copy of the target, if there is one.
    """
    if path.is_dir() and any(path.iterdir()):
        raise InputError("is a folder with something in it: choose a new name")
    with scratch(path, TEMPORARY) as folder, _alone(path) if extend else nullcontext():
        temporary = folder / path.name
        if extend and path.exists():
            shutil.copyfile(path, temporary)
        yield temporary
        temporary.replace(path)


@contextmanager
def scratch(path: Path, prefix: str, *, home: Path | None = None) -> Iterator[Path]:
    """Folder beside the target, or in `home`; what a killed process left of it before is removed.

    A process that still writes holds a lock in its folder, which goes when it dies.
    """
    home, prefix = home or path.parent, f"{prefix}{path.name[:64]}-"
    # One without a lock is being made by another process.
    for left in [lock.parent for lock in home.glob(f"{escape(prefix)}*/{LOCK}")]:
        with suppress(Timeout, OSError), FileLock(left / LOCK, timeout=0):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=prefix) as folder:
        with FileLock(Path(folder, LOCK), timeout=0):
            yield Path(folder)


@contextmanager
def held(lock: Path, otherwise: str) -> Iterator[None]:
    """Hold a lock, which goes when the process dies; `InputError` where another process has it."""
    file = FileLock(lock, timeout=0)
    try:
        file.acquire()
    except Timeout:
        raise InputError(otherwise) from None
    try:
        yield
    finally:
        file.release()


def _alone(path: Path) -> AbstractContextManager[None]:
    """Keep other processes from adding to the file meanwhile: what they add would be lost."""
    name = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()
    lock = Path(tempfile.gettempdir(), f"{name}.lock")
    return held(lock, "another process adds to it: wait, or choose another file")


def check_space(folder: Path, nbytes: int, *, bound: str = "", remedy: str) -> None:
    """Raise `InputError` if a disk has less space; `bound` is such as "at least "."""
    free = shutil.disk_usage(folder).free
    if nbytes > free:
        raise InputError(
            f"needs {bound}{nbytes / 2**30:.3g} GiB on the disk, {free / 2**30:.3g} GiB are free: "
            f"{remedy}"
        )


@contextmanager
def one_line(path: str | os.PathLike[str], done: str, remedy: str) -> Iterator[None]:
    """Put the file's name before every `InputError`, once, and turn every other error into one.

    A damaged file can raise anything in the library that decodes it; the cause stays attached.
    """
    try:
        yield
    except InputError as error:
        named = str(error).startswith(f"{path}: ")
        raise InputError(str(error) if named else f"{path}: {error}") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ACCESS:
            remedy = "check the path and its permissions"
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = " ".join(str(reason).split())[:200]
        raise InputError(f"{path}: cannot be {done} ({reason}): {remedy}") from error
