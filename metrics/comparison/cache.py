"""Measurements kept on disk by what was measured and how, so that each is made once.

The name of an entry is a hash of the labels, voxel size and phases, of what was asked, of this
package's source and of the versions it runs with: whatever could change an answer makes a new
entry, so none is ever stale. Entries are JSON with a checksum; a damaged one is measured anew.
"""

from __future__ import annotations

import hashlib
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from metrics.files import one_line, replacing
from metrics.machine.provenance import versions
from metrics.volume import Volume


def recall(folder: Path, volume: Volume, question: Any) -> Any:
    """Answer kept for a volume and a question (anything that JSON can hold), or None.

    Raises
    ------
    InputError
        If the entry cannot be read. Of a damaged one a line on stderr says so, and it is no answer.
    """
    entry = _entry(folder, volume, question)
    if not entry.exists():
        return None
    with one_line(entry, "read", "delete it"):
        checksum, _, content = entry.read_bytes().partition(b"\n")
    if checksum != _checksum(content):
        print(f"{entry}: damaged, measured anew", file=sys.stderr)
        return None
    return json.loads(content)


def keep(folder: Path, volume: Volume, question: Any, answer: Any) -> None:
    """Write an answer, whole or not at all.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    entry = _entry(folder, volume, question)
    with one_line(entry, "written", "free some space or choose another folder"):
        entry.parent.mkdir(parents=True, exist_ok=True)
        with replacing(entry) as temporary:
            content = json.dumps(answer).encode()
            temporary.write_bytes(_checksum(content) + b"\n" + content)


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _entry(folder: Path, volume: Volume, question: Any) -> Path:
    labels = volume.labels
    asked = [question, labels.shape, labels.dtype.str, volume.spacing, volume.unit, volume.phases]
    digest = hashlib.sha256(json.dumps([_code(), *asked]).encode())
    for layer in labels:
        digest.update(np.ascontiguousarray(layer).data)
    return folder / f"{digest.hexdigest()}.json"


def _sources() -> list[Path]:
    """Every file of `metrics`, whose change may change an answer."""
    return sorted(Path(__file__).parents[1].rglob("*.py"))


@cache
def _code() -> str:
    """Hash of the source of `metrics`, and the versions of what it is built on."""
    digest = hashlib.sha256(json.dumps(versions()).encode())
    for file in _sources():
        digest.update(file.read_bytes())
    return digest.hexdigest()
