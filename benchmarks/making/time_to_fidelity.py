"""How long training runs took to match their images.

Each row is a run folder. Errors are those of `slicegan.fidelity` on validation noise, against the
training images alone: the volume fractions, the worst plane's S2 and length of boundaries (the
45-degree planes of isotropic materials included), and the lattice (`slicegan.places`). `best` is
the evaluation whose generator the run keeps. The bar is an S2 error below 0.02; a run that never
met it has no time there. What volumes of fresh seeds are worth against the real volume is on the
cards of shipped generators.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.script import Script
from benchmarks.tables import write_result
from metrics.volume import InputError
from slicegan.config import Config
from slicegan.fidelity import S2_BAR
from slicegan.record import read_record
from slicegan.settings import preset, presets

SCRIPT = Script("making.time_to_fidelity", __doc__)


def row_of(folder: Path) -> dict[str, Any]:
    """Row of one run."""
    record = read_record(folder)
    try:
        log = pd.read_csv(folder / "log.csv")
    except OSError as error:
        raise InputError(f"{folder}: no evaluation yet ({error.strerror}): train longer") from None
    best = log.loc[log["score"].idxmin()]
    met = log.loc[log["s2"] < S2_BAR, "seconds"]
    return {
        "images": ", ".join(Path(file).name for file in record.hashes),
        "settings": settings_of(record.config),
        "seed": record.seed,
        "steps": int(log["step"].iloc[-1]),
        "minutes": log["seconds"].iloc[-1] / 60,
        "minutes to the bar": met.min() / 60 if len(met) else np.nan,
        "best at minute": best["seconds"] / 60,
        "fraction": best["fraction"],
        "S2": best["s2"],
        "boundary": best["boundary"],
        "lattice": best.get("lattice", np.nan),  # runs of earlier versions have none
        "machine": record.machine,
    }


def settings_of(config: Config) -> str:
    """The preset that is nearest to a config, and what differs from it."""
    name = min(presets(), key=lambda name: len(_differences(config, preset(name))))
    changes = (f"{key}={value}" for key, value in _differences(config, preset(name)).items())
    return " ".join([name, *changes])


def _differences(config: Config, other: Config) -> dict[str, Any]:
    """Settings of networks and training in which a config differs from another."""
    mine, theirs = (
        {
            f"{part}.{key}": value
            for part, items in asdict(c).items()
            for key, value in items.items()
        }
        for c in (config, other)
    )
    material = ("channels", "output")
    return {
        key.removeprefix("training."): value
        for key, value in mine.items()
        if value != theirs[key] and not key.endswith(material)
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = SCRIPT.parser()
    parser.add_argument("run", type=Path, nargs="+", help="folders of runs")
    parser.add_argument("--note", default="none", help="what else a reader should know")
    return SCRIPT.run(parser, argv, work)


def work(args: argparse.Namespace, command: str) -> int:
    table = pd.DataFrame([row_of(folder) for folder in args.run])
    write_result(
        args.out / "learning",
        "How long training takes",
        SCRIPT.text,
        table,
        {"command": command, "note": args.note},
    )
    print(table.to_string(index=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
