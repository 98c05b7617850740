"""The original SliceGAN in a checkout of its own, which is run beside ours and never changed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from metrics.volume import InputError

SIGNATURE = "def train(pth, imtype, datatype, real_data, Disc, Gen, nc, l, nz, sf)"
REMEDY = "git clone https://github.com/stke9/SliceGAN and give its path"


def commit_of(checkout: Path) -> str:
    """Commit of a checkout of the original, found unmodified.

    Raises
    ------
    InputError
        If it is no such checkout.
    """
    model = checkout / "slicegan" / "model.py"
    if not model.is_file() or SIGNATURE not in model.read_text(encoding="utf-8"):
        raise InputError(f"{checkout} is not the original SliceGAN: {REMEDY}")
    files = _git(checkout, "ls-tree", "--name-only", "HEAD", "slicegan/").split()
    if not files:
        raise InputError(f"{checkout} is not a git checkout of its own: {REMEDY}")
    for file in files:
        committed, path = _git(checkout, "show", f"HEAD:./{file}"), checkout / file
        if not path.is_file() or path.read_text(encoding="utf-8") != committed:
            raise InputError(f"{path} is not as committed: {REMEDY}")
    return _git(checkout, "rev-parse", "HEAD").strip()


def _git(checkout: Path, *words: str) -> str:
    command = ["git", "-C", str(checkout), *words]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    if done.returncode:
        raise InputError(f"{checkout}: git says {done.stderr.strip()!r}: {REMEDY}")
    return done.stdout
