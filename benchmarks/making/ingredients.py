"""What each ingredient of training is worth: the preset `tiny` with one thing changed at a time.

Every variant learns the same image, a section through overlapping spheres (discs of all radii up to
6 voxels, fraction 0.4), with the same generator and critic, from the same seeds. Steps are chosen
so that a variant takes about the time of `tiny`; the seconds of processor time are in the table.
Errors are those of `slicegan.fidelity`, of fresh volumes against the image: means over training
seeds, the worst seed in brackets. The last generator is judged, not the best.

Rows are kept in ``--cache`` as they come: a command that was interrupted goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import tifffile
import torch

from benchmarks.script import Script
from benchmarks.tables import write_result
from metrics.files import replacing
from metrics.shapes import overlapping_spheres
from metrics.volume import InputError
from slicegan.checkpoint import load_model
from slicegan.config import DataConfig
from slicegan.fidelity import judge
from slicegan.generation import generate
from slicegan.runs import LAST, Run
from slicegan.settings import override, preset

SCRIPT = Script("making.ingredients", __doc__)

RADIUS, FRACTION, SIDE = 6, 0.4, 256
TEST_VOLUMES, TEST_SIDE = 4, 96
WGAN = "loss=wgan-gp real_slices=48 critic_steps={} penalty=10 penalty_every=1 betas=[0,0.9]"
# What `tiny` is compared with: settings of `training`, and steps for about equal time.
VARIANTS = {
    "tiny": "",
    "wgan-gp, 5 critic steps, its rates": WGAN.format(5)
    + " generator_rate=1e-4 critic_rate=1e-4 steps=250",
    "wgan-gp, 5 critic steps, ten times longer": WGAN.format(5)
    + " generator_rate=1e-4 critic_rate=1e-4 steps=2500",
    "wgan-gp, 1 critic step": WGAN.format(1) + " steps=800",
    "first weights N(0, 0.02^2)": "init=normal",
    "first weights N(0, 1 / (3 fan-in))": "init=torch",
    "rates 5e-4": "generator_rate=5e-4 critic_rate=5e-4",
    "rates 1e-3": "generator_rate=1e-3 critic_rate=1e-3",
    "rates 4e-3": "generator_rate=4e-3 critic_rate=4e-3",
    "rates not decayed": "decay=1",
    "weights not averaged": "average=0",
    "weights averaged over 500 steps": "average=0.998",
    "BatchNorm from 16 volumes": "norm_volumes=16",
    "penalty 0.2": "penalty=0.2",
    "penalty 5": "penalty=5",
    "penalty at every step": "penalty_every=1 steps=700",
    "4 volumes, 8 slices each": "critic_volumes=4 generator_volumes=4 slices=8 steps=400",
    "all 32 slices": "slices=0 steps=600",
    "4 slices": "slices=4 steps=2500",
}


def draw_image(path: Path) -> None:
    """Write the training image."""
    density = -math.log(1 - FRACTION) / (4 / 3 * math.pi * RADIUS**3)
    body = overlapping_spheres((16, SIDE, SIDE), radius=RADIUS, density=density, seed=3)
    tifffile.imwrite(path, body.volume.labels[0])


def errors(settings: str, seed: int) -> dict[str, float]:
    """Time of one run, and errors of its last generator."""
    changes = [f"training.{setting}" for setting in settings.split()]
    config = override(preset("tiny"), changes)
    with tempfile.TemporaryDirectory() as folder:
        image, out = Path(folder, "image.tif"), Path(folder, "run")
        draw_image(image)
        # Evaluated at the end alone: the time is nearly that of training.
        config = override(config, [f"training.evaluate_every={config.training.steps}"])
        data = DataConfig((str(image),))
        run = Run.start(out, data, config, seed=seed, device=torch.device("cpu"))
        began = time.process_time()
        run.train()
        seconds = time.process_time() - began
        model = load_model(out / LAST)
        volumes = [generate(model, TEST_SIDE, seed=index) for index in range(TEST_VOLUMES)]
        found = judge(volumes, run.reference)
    return {
        "s": seconds,
        "fraction": found.fraction,
        "S2": found.s2,
        "boundary": found.boundary,
        "score": found.score,
    }


def summarise(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """One line for each variant: means over seeds, and the worst."""
    lines = []
    for (variant, settings), runs in pd.DataFrame(rows).groupby(
        ["variant", "settings"], sort=False
    ):
        line = {"variant": variant, "settings": settings, "seeds": len(runs)}
        line["processor time, s"] = runs["s"].mean()
        for name in ("fraction", "S2", "boundary", "score"):
            line[name] = f"{runs[name].mean():.3f} ({runs[name].max():.3f})"
        lines.append(line)
    return pd.DataFrame(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = SCRIPT.parser()
    parser.add_argument("--seeds", type=int, default=3, help="runs of each variant (3)")
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), help="of the table (all)")
    parser.add_argument("--cache", type=Path, default=Path("ingredients.json"), help="rows so far")
    return SCRIPT.run(parser, argv, work)


def work(args: argparse.Namespace, command: str) -> int:
    if unknown := sorted(set(args.variants) - set(VARIANTS)):
        raise InputError(f"no variant {unknown[0]}: there are {', '.join(VARIANTS)}")
    rows = json.loads(args.cache.read_text()) if args.cache.exists() else []
    # Only rows of today's settings count.
    rows = [row for row in rows if VARIANTS.get(row["variant"]) == row["settings"]]
    done = {(row["variant"], row["seed"]) for row in rows}
    for seed in range(args.seeds):
        for variant in args.variants:
            if (variant, seed) in done:
                continue
            settings = VARIANTS[variant]
            row = {"variant": variant, "settings": settings, "seed": seed, **errors(settings, seed)}
            rows.append(row)
            print(row, flush=True)
            with replacing(args.cache) as temporary:
                temporary.write_text(json.dumps(rows))
    order = list(VARIANTS)
    table = summarise(sorted(rows, key=lambda row: order.index(row["variant"])))
    write_result(
        args.out / "ingredients",
        "Ingredients of training",
        (__doc__ or "").partition("\n\n")[2].rpartition("\n\n")[0],
        table,
        {
            "command": command,
            "seeds": f"of training from 0 on, of fresh volumes 0 to {TEST_VOLUMES - 1}",
            "device": f"cpu, {torch.get_num_threads()} threads",
        },
    )
    print(table.to_string(index=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
