"""Files that are written whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metrics.volume import InputError


@contextmanager
def replacing(path: Path, *, extend: bool = False) -> Iterator[Path]:
    """Temporary path beside the target, moved onto it if all went well, else removed.

    With `extend` it starts as a copy of the target, if there is one.
    """
    if path.is_dir() and any(path.iterdir()):
        raise InputError("is a folder with something in it: choose a new name")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as folder:
        temporary = Path(folder, path.name)
        if extend and path.exists():
            shutil.copyfile(path, temporary)
        yield temporary
        temporary.replace(path)
