"""Files that are written whole or not at all, and errors about them in one line."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metrics.volume import InputError

TEMPORARY = ".writing-"
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
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=TEMPORARY) as folder:
        temporary = Path(folder, path.name)
        if extend and path.exists():
            shutil.copyfile(path, temporary)
        yield temporary
        temporary.replace(path)


@contextmanager
def one_line(path: str | os.PathLike[str], done: str, remedy: str) -> Iterator[None]:
    """Put the file's name before every `InputError`, and turn every other error into one.

    A damaged file can raise anything in the library that decodes it; the cause stays attached.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ACCESS:
            remedy = "check the path and its permissions"
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = " ".join(str(reason).split())[:200]
        raise InputError(f"{path}: cannot be {done} ({reason}): {remedy}") from error
