"""Train a shipped generator, compare it with the real volume, and write its file and card.

``python -m benchmarks.making.train_pretrained snow`` goes on where it was stopped; the run lies in
``--runs``. When training has ended, `slicegan/pretrained/NAME.safetensors` (16-bit weights) and
`NAME.json` are written: on what it was trained, how long, and how good it is. The volumes that say
so come from seeds that neither training nor the choice of the best step has seen. Effective
diffusivity, which takes long, is in the tables of ``benchmarks/reproduce.py``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks import datasets
from benchmarks.making.time_to_fidelity import settings_of
from benchmarks.script import Script
from benchmarks.validation.cases import CASES
from metrics.command.arguments import Parser
from metrics.comparison.comparing import compare
from metrics.description import COMPARED_METRICS
from metrics.files import replacing
from metrics.volume import InputError, Volume
from slicegan.checkpoint import PRETRAINED, load_model, save_model
from slicegan.evaluation import JUDGED
from slicegan.generation import generate
from slicegan.preflight import fit
from slicegan.record import RECORD
from slicegan.runs import Run

if TYPE_CHECKING:
    import pandas as pd

SCRIPT = Script("making.train_pretrained", __doc__)

TEST_VOLUMES = 8
TEST_SIDE = 128
SAMPLES = 64  # sub-volumes of each sample, at most
METRICS = tuple(name for name in COMPARED_METRICS if name != "effective_diffusivity")
COLUMNS = (
    *("metric", "phase", "axis", "unit", "gen", "gen_low", "gen_high", "real", "real_low"),
    *("real_high", "ratio", "ratio_low", "ratio_high", "verdict", "n_gen", "n_real"),
)
CURVE_COLUMNS = ("phase", "axis", "r", "distance", "low", "high", "floor", "margin", "verdict")


def start(name: str, folder: Path, *, seed: int, device: torch.device) -> Run:
    """Run of a case: a new one, or the one that the folder holds.

    Raises
    ------
    InputError
        If that one has other settings or another seed than the case.
    """
    case = CASES[name]
    if (folder / RECORD).exists():
        run = Run.resume(folder, device=device)
        wanted = fit(case.config, run.data.material), seed
        if (run.record.config, run.record.seed) != wanted:
            raise InputError(f"{folder}: a run of other settings than {name} has: move it away")
        return run
    data = case.training_data(datasets.load(case.dataset), folder.parent, name)
    return Run.start(folder, data, case.config, seed=seed, device=device)


def card(
    name: str, run: Run, errors: Mapping[str, float], volumes: Sequence[Volume], command: str
) -> dict[str, Any]:
    """What a user should know of a generator; `errors` are those of its choice."""
    case, record = CASES[name], run.record
    dataset, real = datasets.DATASETS[case.dataset], datasets.load(case.dataset)
    measured = compare(volumes, real, metrics=METRICS, samples=SAMPLES)
    judged = JUDGED * record.config.training.validation_volumes
    return {
        "name": name,
        "trained on": {
            "dataset": dataset.name,
            "what": dataset.note,
            "source": dataset.url,
            "licence": dataset.licence,
            "sha256 of the source": dataset.sha256,
            "sha256 of the training file": record.hashes,
            "slices seen": case.slices(real),
        },
        "training": {
            "settings": settings_of(record.config),
            "seed": record.seed,
            "steps": run.trainer.step,
            "steps of the generator shipped": errors["step"],
            "seconds": round(run.seconds),
            "machine": record.machine,
            "device": f"{run.trainer.device}, {torch.get_num_threads()} threads",
            "command": command,
            "versions": record.versions,
        },
        f"errors against the training images, {judged} volumes of seeds of their own": {
            key: errors[key] for key in ("fraction", "s2", "boundary", "lattice")
        },
        "against the real volume": {
            "generated": f"{len(volumes)} volumes of {volumes[0].shape}, seeds 0 to "
            f"{len(volumes) - 1}",
            "sub-volumes": measured.settings["subvolume"],
            "effective diffusivity": f"benchmarks/results/{case.dataset}/README.md",
            "answer": measured.answer.sentence,
            "table": _records(measured.table, COLUMNS),
            "two-point correlation": _records(measured.distances, CURVE_COLUMNS),
        },
        "generator": asdict(replace(record.config.generator, calibrated=True)),
    }


def _records(table: pd.DataFrame, columns: Sequence[str]) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = json.loads(table[list(columns)].to_json(orient="records"))
    return records


def _parser() -> Parser:
    parser = SCRIPT.parser(out=None)
    parser.add_argument("name", choices=tuple(CASES))
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs (runs)")
    parser.add_argument("--seed", type=int, default=0, help="of training (0)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--out", type=Path, default=Path(str(PRETRAINED)), help="of file and card")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    return SCRIPT.run(_parser(), argv, work)


def work(args: argparse.Namespace, command: str) -> int:
    device, folder = torch.device(args.device), args.runs / f"{args.name}_{args.seed}"
    run = start(args.name, folder, seed=args.seed, device=device)
    if not run.train(progress=True):
        print(f"stopped; the same command goes on: {command}")
        return 130
    file = args.out / f"{args.name}.safetensors"
    args.out.mkdir(parents=True, exist_ok=True)
    model = load_model(folder)
    errors = json.loads(model.facts["fidelity"])
    save_model(model, file, half=True)
    volumes = generate(str(file), TEST_SIDE, seed=0, count=TEST_VOLUMES)
    with replacing(file.with_suffix(".json")) as temporary:
        text = json.dumps(card(args.name, run, errors, volumes, command), indent=2, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    print(file)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
