"""The paper's validation, and what it did by eye or not at all.

    python -m benchmarks.reproduce nmc

generates volumes of fresh seeds with the shipped generators of a material (learnt from its whole
volume, and from one slice), compares them with disjoint sub-volumes of the real one, and writes

    table.csv, table.tex, README.md   every quantity: intervals, noise floor, verdict, bar
    tests.csv                         isotropy, 45-degree planes, lattice, spread, memorisation ...
    solvers.csv                       effective diffusivity by TauFactor, compared with ours
    values.csv, curves.csv            what the tables are made of
    curves.png, distributions.png, slices.png, lattice.png

into --out. Beside the generators stand two bodies that one would use without them: the slice
stacked, and a Gaussian random field. Effective diffusivity is solved by multigrid, and that of some
sub-volumes, or with a large --taufactor of all, by TauFactor as well. What is measured is kept in
--cache: a command that was interrupted goes on where it was. Exit status: 0 computed, 2 bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd

# Run as a file, Python looks beside it and not in the folder above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import datasets
from benchmarks.script import Script
from benchmarks.tables import fact_lines, markdown
from benchmarks.validation import figures
from benchmarks.validation.alternatives import random_fields, stacked_slice
from benchmarks.validation.cases import CASES, STUDIES, Study
from benchmarks.validation.checks import field_tests
from benchmarks.validation.table import (
    compact,
    curve_errors,
    floors_of,
    largest,
    result_rows,
    summary,
)
from benchmarks.validation.taufactor import D_EFF, beside, solver_summary
from metrics.command.arguments import Parser
from metrics.comparison.answer import Answer
from metrics.comparison.measuring import Measured, Question, affordable_workers, measure_all
from metrics.comparison.subvolumes import plan_subvolumes
from metrics.comparison.verdicts import tabulate
from metrics.description import COMPARED_METRICS
from metrics.files import one_line, replacing
from metrics.machine.workers import check_workers
from metrics.volume import InputError, Volume
from slicegan.checkpoint import SUFFIX, Model, load_model, pretrained
from slicegan.generation import generate
from slicegan.places import LONGEST, lattice
from slicegan.places_picture import plot_lattice

SCRIPT = Script("reproduce", __doc__)
TITLE = "# Validation: "
FIRST_SEED = 1000  # neither training nor any card has used these
REAL, STACKED, FIELD = "real", "stacked slice", "random field"

Samples = dict[str, list[Volume]]


@dataclass(frozen=True)
class Scale:
    """How much is generated and measured.

    Parameters
    ----------
    seeds, side : int
        Volumes of each generator, and their side in voxels.
    window, windows : int
        Side of the sub-volumes that are measured, and how many of each sample at most.
    others : int
        Sub-volumes of what is not a generator.
    taufactor : int
        Sub-volumes of the real volume and of each generator that TauFactor solves as well.
    """

    seeds: int
    side: int
    window: int
    windows: int = 64
    others: int = 4
    taufactor: int = 2


QUICK = Scale(seeds=4, side=48, window=32, windows=4, others=2, taufactor=1)


@dataclass(frozen=True)
class Outcome:
    """Everything measured of a case."""

    volumes: Samples  # whole, the real one included
    windows: Samples
    table: pd.DataFrame
    answers: Mapping[str, Answer]
    tests: pd.DataFrame
    solvers: pd.DataFrame
    values: pd.DataFrame
    curves: pd.DataFrame

    def summary(self, name: str) -> str:
        """What is found of a generator, in a sentence or two."""
        return summary(self.table, name, self.answers[name])


def samples(study: Study, models: Mapping[str, Model], scale: Scale, device: str | None) -> Samples:
    """The real volume, volumes of fresh seeds of each model, and what one would do without."""
    real = datasets.load(study.dataset)
    volumes: Samples = {REAL: [real]}
    for name, model in models.items():
        print(f"{name}: {scale.seeds} volumes of {scale.side}^3", flush=True)
        volumes[name] = generate(
            model, scale.side, seed=FIRST_SEED, count=scale.seeds, device=device
        )
    volumes[STACKED] = stacked_slice(real, scale.window)[: scale.others]
    volumes[FIELD] = random_fields(real, scale.window, scale.others)
    return volumes


def validate(
    study: Study,
    volumes: Samples,
    scale: Scale,
    *,
    device: str | None = None,
    workers: int = -1,
    cache: Path | None = None,
) -> Outcome:
    """Measure all samples, and compare each with the real one.

    `device` is TauFactor's; the other options are as of `compare`.
    """

    def measure(windows: Sequence[Volume], question: Question) -> list[Measured]:
        return measure_all(
            [(window, question) for window in windows],
            workers=affordable_workers(windows[0].shape, len(windows[0].phases), question, workers),
            progress=True,
            cache=cache,
        )

    (real,) = volumes[REAL]
    windows, measured = {}, {}
    for name, of in volumes.items():
        windows[name] = plan_subvolumes(of, of, side=scale.window, samples=scale.windows).real
        print(f"{name}: {len(windows[name])} sub-volumes of {scale.window}^3", flush=True)
        measured[name] = measure(windows[name], Question(COMPARED_METRICS, scale.window // 2))
    others = [name for name in volumes if name != REAL]
    names = [phase.name for phase in real.phases]
    found = {
        name: tabulate(measured[name], measured[REAL], unit=real.unit, phases=names)
        for name in others
    }
    values = _by_sample({name: of.values for name, of in found.items()})
    of_sample = dict(list(values.groupby("sample")))
    floors = floors_of(of_sample[REAL])
    models = [name for name in others if name not in (STACKED, FIELD)]
    solved = []
    for name in (REAL, *models):
        print(f"{name}: TauFactor", flush=True)
        question = Question((D_EFF,), solver="taufactor", device=device)
        few = measure(windows[name][: scale.taufactor], question)
        solved.append(beside(few, measured[name]).assign(sample=name))
    tests = [
        field_tests(
            volumes[name],
            real,
            windows=(windows[name], windows[REAL]),
            values=(of_sample[name], of_sample[REAL]),
            axes=CASES[name].axes if name in CASES else ("z",),
        ).assign(sample=name)
        for name in models
    ]
    rows: list[dict[str, Any]] = []
    for name in others:
        errors = curve_errors(measured[name], measured[REAL])
        rows += result_rows(name, found[name], errors, floors, study)
    return Outcome(
        volumes,
        windows,
        pd.DataFrame(rows),
        {name: of.answer for name, of in found.items()},
        pd.concat(tests, ignore_index=True),
        pd.concat(solved, ignore_index=True),
        values,
        _by_sample({name: of.curves for name, of in found.items()}),
    )


def _by_sample(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Frames of gen and real, one a sample: each sample under its name, and the real one once."""
    first = next(iter(frames.values()))
    named = [first[first["sample"] == "real"]]
    for name, of in frames.items():
        named.append(of[of["sample"] == "gen"].assign(sample=name))
    return pd.concat(named, ignore_index=True)


def write(
    found: Outcome, study: Study, models: Sequence[str], facts: Mapping[str, Any], out: Path
) -> None:
    """Tables, page and figures, each whole or not at all."""
    (real,) = found.volumes[REAL]
    dataset, short = datasets.DATASETS[study.dataset], compact(found.table)
    seen = {name: CASES[name].slices(real) if name in CASES else "given" for name in models}
    page = [
        f"{TITLE}{dataset.name}",
        "",
        f"{dataset.note} ({(dataset.doi and f'doi {dataset.doi}') or dataset.url}).",
        "Ratios are generated / real with 95 % intervals over sub-volumes; of the two-point",
        "correlation the mean |difference| over phi (1 - phi). `floor`: random halves of the real",
        "sub-volumes against each other.",
        "",
        *(f"- {name} has learnt from {slices}" for name, slices in seen.items()),
        "",
        "![middle planes](slices.png)",
        "",
        *markdown(short),
        "",
        *(f"- {found.summary(name)}" for name in models),
        "",
        "![two-point correlation](curves.png)",
        "",
        "![distributions](distributions.png)",
        "",
        "## What tables of means leave out",
        "",
        "Of each test the row that is farthest from what it should be; all are in `tests.csv`.",
        "",
        *markdown(largest(found.tests)),
        "",
        "A generator may write each place between two latent sites by a law of its own. `lattice`:",
        "the standard deviation over places of a phase's mean, beyond sampling noise, over its",
        "fraction; the real volume has none. Below, these means on three planes of the cell.",
        "",
        "![means over places](lattice.png)",
        "",
        "## Effective diffusivity by TauFactor",
        "",
        "The same sub-volumes by TauFactor and by the multigrid solver, of one discretisation; the",
        "difference is |multigrid / TauFactor - 1|, the tolerance of both 2e-3.",
        "",
        *markdown(solver_summary(found.solvers)),
        "",
        *fact_lines(facts),
        "",
    ]
    places = {name: lattice(found.volumes[name], LONGEST) for name in models}
    writers: dict[str, Callable[[Path], Any]] = {
        "lattice.png": lambda file: plot_lattice(places, file),
        "table.tex": lambda file: short.replace(r"\*\*", "", regex=True).to_latex(
            file, index=False, escape=True
        ),
        "README.md": lambda file: file.write_text("\n".join(page), encoding="utf-8"),
        "slices.png": lambda file: figures.slices(found.volumes, file),
        "curves.png": lambda file: figures.curves(found.curves, file),
        "distributions.png": lambda file: figures.distributions(found.values, file),
    }
    for name in ("table", "tests", "solvers", "values", "curves"):
        of: pd.DataFrame = getattr(found, name)
        writers[f"{name}.csv"] = lambda file, of=of: of.to_csv(  # type: ignore[misc]
            file, index=False, float_format="%.6g"
        )
    with one_line(out, "written", "free some space or choose another folder"):
        out.mkdir(parents=True, exist_ok=True)
        for name, save in writers.items():
            with replacing(out / name) as temporary:
                save(temporary)


def _parser() -> Parser:
    parser = SCRIPT.parser(out=None)
    add = parser.add_argument
    add("case", choices=tuple(STUDIES))
    add("--model", action="append", help="a run or file, instead of the shipped generators")
    add("--seeds", type=int, default=16, help="volumes of each generator (%(default)s)")
    add("--quick", action="store_true", help="the whole path on tiny volumes")
    add("--out", type=Path, help="folder to write (benchmarks/results/CASE; runs/quick/CASE)")
    add("--cache", type=Path, default=Path("runs/measured"), help="kept values (%(default)s)")
    add("--taufactor", type=int, default=2, help="sub-volumes that it solves too (%(default)s)")
    add("--device", help="of generation and TauFactor, e.g. cuda (cpu)")
    add("--workers", type=int, default=-1, help="processes (all cores); fewer take less memory")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    return SCRIPT.run(_parser(), argv, work)


def work(args: argparse.Namespace, command: str) -> int:
    start = perf_counter()
    check_workers(args.workers)
    # Tiny volumes prove nothing: they must not replace the results that are shown.
    results = Path("runs/quick" if args.quick else "benchmarks/results")
    study, out = STUDIES[args.case], args.out or results / args.case
    check_own(out)
    given = args.model or [name for name in study.models if name in pretrained()]
    if not given:
        raise InputError(
            f"no generator of {args.case} is shipped: give --model, or make one with "
            f"python -m benchmarks.making.train_pretrained {study.models[0]}"
        )
    if args.seeds < 2:
        raise InputError(f"--seeds must be 2 or more to have a spread, got {args.seeds}")
    if args.taufactor < 1:
        raise InputError(f"--taufactor must be 1 or more sub-volumes, got {args.taufactor}")
    full = Scale(args.seeds, 128, study.window, taufactor=args.taufactor)
    scale = QUICK if args.quick else full

    models = {Path(path).name.removesuffix(SUFFIX): load_model(path) for path in given}
    for name, model in models.items():
        check_model(name, model, study)
    found = validate(
        study,
        samples(study, models, scale, args.device),
        scale,
        device=args.device,
        workers=args.workers,
        cache=args.cache,
    )
    counts = ", ".join(f"{name} {len(of)}" for name, of in found.windows.items())
    facts = {
        "command": command,
        "seeds": f"{FIRST_SEED} to {FIRST_SEED + scale.seeds - 1}, {scale.side}^3 voxels each",
        "sub-volumes": f"{scale.window}^3 voxels: {counts}",
        "device": args.device or "cpu",
        "minutes of this command": round((perf_counter() - start) / 60, 1),
    }
    write(found, study, list(models), facts, out)
    print(
        "\n".join(
            [
                *map(found.summary, models),
                str(out / "README.md"),
            ]
        )
    )
    return 0


def check_own(folder: Path) -> None:
    """Raise `InputError` if a folder holds anything else than an earlier validation."""
    page = folder / "README.md"
    with one_line(folder, "read", "choose another folder"):
        strange = folder.exists() and any(folder.iterdir())
        if strange and page.is_file():
            strange = not page.read_bytes().startswith(TITLE.encode())
    if strange:
        raise InputError(f"{folder}: holds something else than a validation: choose a new folder")


def check_model(name: str, model: Model, study: Study) -> None:
    """Raise `InputError` if a generator is of another material."""
    made = model.material.phases
    phases = datasets.DATASETS[study.dataset].phases
    if len(made) != len(phases):
        raise InputError(
            f"{name} makes {len(made)} phases, {study.dataset} has {len(phases)}: "
            "give a generator of this material"
        )


if __name__ == "__main__":
    sys.exit(main())
