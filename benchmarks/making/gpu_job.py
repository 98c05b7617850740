"""What wants a GPU, in minutes: correct, how fast, how good.

A stage after the other, in order of worth, each in a process of its own with its share of the time:
the device against the CPU; effective diffusivity against TauFactor; generation; training; a run on
one slice of the electrode and how good it is; the largest volume that is solved. Rows are written
as they come: a stage that takes longer than its share ends with what it has, and its page says so.
The same command does those again that failed or had too little time.

``python -m benchmarks.making.gpu_job --minutes 8 --out DIR`` needs PyTorch with CUDA and what
``--wheels FOLDER`` brings, installed without a network (``benchmarks/making/gpu_wheels.txt`` says
which); TauFactor is left out where it is not installed. The electrode lies in the folder
SLICEGAN_DATA, or is downloaded. ``--tiny --device cpu`` tries the job.
"""

from __future__ import annotations

import argparse
import csv
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import torch

from benchmarks.making.gpu_checks import Job
from benchmarks.making.gpu_stages import STAGES, learnt_from
from benchmarks.script import Script
from benchmarks.tables import device_name, write_result
from metrics.command.arguments import names
from metrics.volume import InputError

SCRIPT = Script("making.gpu_job", __doc__)

GRACE = 20  # seconds that a stage may take beyond its share: a row is not cut
DONE = "done"
CUT = 3  # exit status of a stage that had no time for all its rows


def main(argv: Sequence[str] | None = None) -> int:
    parser = SCRIPT.parser(out=None)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/gpu"))
    parser.add_argument("--minutes", type=float, default=8.0, help="for all stages (8)")
    parser.add_argument("--stages", type=names, default=list(STAGES), help=f"{','.join(STAGES)}")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--reference", type=Path, help="checkout of the original, to train as well")
    parser.add_argument("--wheels", type=Path, help="folder of wheels to install first")
    parser.add_argument("--tiny", action="store_true", help="sizes that a CPU does in a minute")
    parser.add_argument("--stage", choices=tuple(STAGES), help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    return SCRIPT.run(parser, argv, work)


def work(args: argparse.Namespace, command: str) -> int:
    if unknown := [name for name in args.stages if name not in STAGES]:
        raise InputError(f"--stages: {unknown[0]} is none of {', '.join(STAGES)}")
    if args.minutes <= 0:
        raise InputError(f"--minutes must be positive, got {args.minutes:g}")
    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("no GPU that PyTorch can use: --device cpu --tiny tries the job")
    args.out.mkdir(parents=True, exist_ok=True)
    if args.stage:
        return measure(args.stage, args)
    end = perf_counter() + 60 * args.minutes
    environment = installed(args.wheels, args.out) if args.wheels else dict(os.environ)
    for name in args.stages:
        check_page(args.out / f"{name}.md", args)
    todo = [name for name in args.stages if not is_done(args.out / f"{name}.md")]
    if "fidelity" in todo:  # what is missing is said before the other stages, not after them
        from benchmarks import datasets  # which needs some of the wheels

        datasets.path(learnt_from(tiny=args.tiny))
    failed = 0
    for place, name in enumerate(todo):
        # What one stage leaves, or takes beyond its share, is that of all that follow.
        waiting = sum(STAGES[other][0] for other in todo[place:])
        seconds = max(end - perf_counter(), 0.0) * STAGES[name][0] / waiting
        if seconds < 1:
            print(f"{name}: no time is left, not begun", flush=True)
            continue
        print(f"\n{name}, {seconds:.0f} s", flush=True)
        status = run_stage(name, seconds, args, environment)
        failed += status.startswith("failed")
        print(page(name, status, args, command), flush=True)
    return 1 if failed else 0


def is_done(page: Path) -> bool:
    """Whether a page is that of a stage that had time for all its rows."""
    return page.exists() and f"- stage: {DONE}\n" in page.read_text(encoding="utf-8")


def check_page(page: Path, args: argparse.Namespace) -> None:
    """Raise `InputError` for a page of another device or of other sizes, which would be lost."""
    facts = {f"- {key}: {fact}" for key, fact in of_job(args).items()}
    if page.exists() and not facts <= set(page.read_text(encoding="utf-8").splitlines()):
        raise InputError(f"{page} is of another device or of other sizes: name another --out")


def of_job(args: argparse.Namespace) -> dict[str, str]:
    """What all stages of a job share, and their pages say."""
    return {"device": device_name(args.device), "sizes": "tiny" if args.tiny else "full"}


def run_stage(
    name: str, seconds: float, args: argparse.Namespace, environment: dict[str, str]
) -> str:
    """Run a stage in a process of its own; how it ended."""
    words = ["--stage", name, "--seconds", f"{seconds:.1f}", "--out", str(args.out)]
    words += ["--device", args.device, *(["--tiny"] if args.tiny else [])]
    words += ["--reference", str(args.reference)] if args.reference else []
    command = [sys.executable, "-m", "benchmarks.making.gpu_job", *words]
    # A group of its own: what a stage has started may not stay on the device when it is ended.
    with subprocess.Popen(command, env=environment, start_new_session=True) as child:
        try:
            status = child.wait(seconds + GRACE)
        except subprocess.TimeoutExpired:
            return f"ended after {seconds + GRACE:.0f} s"
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
    if status == CUT:
        return f"ended after {seconds:.0f} s, perhaps before all rows were there"
    return DONE if status == 0 else f"failed with status {status}"


def measure(name: str, args: argparse.Namespace) -> int:
    """Child process: write the rows of a stage as they come, while there is time."""
    end = perf_counter() + args.seconds
    job = Job(torch.device(args.device), args.out, args.tiny, end, args.reference)
    with (args.out / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = None
        for row in STAGES[name][1](job):
            writer = writer or csv.DictWriter(file, list(row))
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow(row)
            file.flush()
            if job.left() < 0:
                return CUT
    return 0


def page(name: str, status: str, args: argparse.Namespace, command: str) -> str:
    """Make the page of a stage from its rows, unless it failed; the table as text."""
    import pandas as pd

    file = args.out / f"{name}.csv"
    if not file.exists() or not file.stat().st_size:
        return f"{name}: {status}, no row"
    table = pd.read_csv(file)
    if status.startswith("failed"):  # the same command tries it again
        return f"{table.to_string(index=False)}\n{name}: {status}"
    write_result(
        args.out / name,
        f"On a GPU: {name}",
        (STAGES[name][1].__doc__ or "").strip(),
        table,
        {
            "command": command,
            "stage": status,
            "seed": 0,
            **of_job(args),
        },
    )
    return f"{table.to_string(index=False)}\n{name}: {status}"


def installed(wheels: Path, out: Path) -> dict[str, str]:
    """Environment in which the wheels of a folder can be imported, installed into ``out/site``."""
    files = sorted(map(str, wheels.glob("*.whl")))
    if not files:
        raise InputError(f"{wheels} holds no wheel: pip download --only-binary :all: makes some")
    site = out / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    done = subprocess.run([*pip, "--target", str(site), *files], check=False)
    if done.returncode:
        raise InputError(f"{wheels}: pip could not install it: see above")
    sys.path.insert(0, str(site.resolve()))
    path = [str(site.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path)}


if __name__ == "__main__":
    raise SystemExit(main())
