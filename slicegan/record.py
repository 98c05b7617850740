"""What a training run's result depends on, kept in its folder as ``config.json``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metrics.files import replacing
from metrics.volume import InputError
from slicegan.config import Config, DataConfig
from slicegan.settings import from_json, to_json

RECORD = "config.json"


@dataclass(frozen=True)
class Record:
    """Settings of a run; files of images with their sha256; versions and machine of its start."""

    config: Config
    data: DataConfig
    hashes: dict[str, str]
    seed: int
    versions: dict[str, str]
    machine: str


def read_record(folder: Path) -> Record:
    """Record of the run in a folder.

    Raises
    ------
    InputError
        If there is none, or it is damaged.
    """
    path = folder / RECORD
    if not path.is_file():
        raise InputError(f"{folder} holds no run: there is no {RECORD} in it")
    try:
        return from_json(path.read_bytes(), Record)
    except InputError as error:
        raise InputError(
            f"{path} is damaged or of another version of slicegan ({error}): start a new run"
        ) from None


def write_record(record: Record, folder: Path) -> None:
    """Write the record of the run in a folder, whole or not at all."""
    with replacing(folder / RECORD) as temporary:
        temporary.write_text(to_json(record) + "\n", encoding="utf-8")
