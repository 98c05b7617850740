"""Everything that wants a GPU, in one command that can be stopped and goes on.

``python -m benchmarks.making.gpu_job --reference CHECKOUT`` measures training and generation
against the original and the solver of diffusivity against TauFactor's, trains the preset `fast` on
one slice of the electrode and one of the sandstone, compares volumes of fresh seeds with the
tomograms, measures counting and S2 (which run on that machine's CPU), trains every shipped
generator from another seed, and reproduces the paper's validation with those. Each stage that has
its result in ``--out`` is left out, and a training or a table that was stopped goes on: where a
command may run for ten minutes only, repeat ``timeout -s INT 580 python -m
benchmarks.making.gpu_job ...`` until it says that all is done.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.datasets import DATASETS
from benchmarks.script import Script
from benchmarks.validation.cases import CASES, STUDIES
from slicegan.checkpoint import SUFFIX

SCRIPT = Script("making.gpu_job", __doc__)

MATERIALS = ("nmc", "berea")
SIDE, COUNT = 128, 16


def stages(out: Path, reference: Path, seed: int, device: str) -> list[tuple[Path, list[str]]]:
    """Each result with the arguments of ``python`` that make it, in order."""
    data, seeded = out / "data", ["--seed", str(seed), "--device", device]
    beside = ["--reference", str(reference), "--device", device, "--out", str(out)]
    solver = ["--cases", "generated pore", "--sizes", "64", "128", "256", "512"]
    solver += ["--peers", "TauFactor", "--device", device, "--out", str(out)]
    todo = [
        (out / "speed_training.csv", ["-m", "benchmarks.speed.training", *beside]),
        (out / "speed_generate.csv", ["-m", "benchmarks.speed.generation", *beside, "--large"]),
        (out / "speed_diffusivity.md", ["-m", "benchmarks.speed.diffusivity", *solver]),
    ]
    for name in MATERIALS:
        run, volumes = out / f"run_{name}", out / f"gen_{name}"
        train = ["-m", "slicegan", "train", "--out", str(run), "--device", device]
        if (run / "config.json").exists():
            train.append("--resume")
        else:
            train += [str(data / f"{name}.png"), "--preset", "fast", "--seed", str(seed)]
            dataset = DATASETS[name]
            train += ["--spacing", str(dataset.voxel), "--unit", str(dataset.unit)]
        generate = ["-m", "slicegan", "generate", str(run), "--size", str(SIDE), *seeded]
        last = volumes / f"gen_{COUNT - 1}.tif"
        real, report = str(data / f"{name}.tif"), out / f"report_{name}"
        todo += [
            (data / f"{name}.png", ["-m", "benchmarks.export", name, "--out", str(data)]),
            (run / "done", train),
            (last, [*generate, "--count", str(COUNT), "--out", str(volumes / "gen.tif")]),
            (
                report / "report.html",
                [
                    *("benchmarks/compare.py", str(volumes / "*.tif"), real),
                    *("--device", device, "--out", str(report)),
                ],
            ),
        ]
    counting = ["--volume", str(data / "nmc.tif"), "--repeats", "1", "--out", str(out)]
    todo.append((out / "speed.csv", ["-m", "benchmarks.speed.counting", *counting]))
    kept = ["--device", device, "--out"]
    for name in CASES:
        train = ["-m", "benchmarks.making.train_pretrained", name, "--seed", str(seed + 1)]
        folders = [str(out / "shipped"), "--runs", str(out / "runs")]
        todo.append((out / "shipped" / f"{name}.json", [*train, *kept, *folders]))
    for name, study in STUDIES.items():
        files = (str(out / "shipped" / f"{model}{SUFFIX}") for model in study.models)
        models = [word for file in files for word in ("--model", file)]
        measured = [str(out / name), "--cache", str(out / "measured")]
        reproduce = ["benchmarks/reproduce.py", name, *models, *kept, *measured]
        todo.append((out / name / "README.md", reproduce))
    return todo


def finished(command: list[str]) -> int:
    """Exit status of a command; Ctrl-C, which it gets as well, gives it time to save its work."""
    with subprocess.Popen(command) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            return process.wait() or 130


def main(argv: Sequence[str] | None = None) -> int:
    parser = SCRIPT.parser(out=None)
    parser.add_argument("--reference", type=Path, required=True, help="checkout of the original")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/gpu"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    return SCRIPT.run(parser, argv, work)


def work(args: argparse.Namespace, command: str) -> int:
    for result, words in stages(args.out, args.reference, args.seed, args.device):
        if result.exists():
            continue
        result.parent.mkdir(parents=True, exist_ok=True)
        print(f"\n{result}: python {' '.join(words)}", flush=True)
        if status := finished([sys.executable, *words]):
            return status
        if result.name == "done":  # training leaves no file of its own that says it has ended
            result.touch()
    print("all is done")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
