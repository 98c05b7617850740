"""A training run as a folder: settings, log, previews, state, and the best generator so far.

========================= ==========================================================
``config.json``           settings, images with their hashes, seed, versions
``log.csv``               one row for each evaluation: losses and fidelity
``losses.png``, ...       plots of the log
``lattice.png``           means of each phase over places of the stride (`slicegan.places`)
``previews/``             a picture for each evaluation
``state.pt``              all that is needed to go on as if never stopped
``generator.safetensors`` the generator that matched the images best; at the end judged once more
``last.safetensors``      the latest generator
``.lock``                 held by the process that trains
========================= ==========================================================

The command adds ``report/``: generated volumes compared with the images (`slicegan.verdict`).
"""

from __future__ import annotations

import copy
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from metrics.files import LOCK, TEMPORARY, held, one_line, replacing
from metrics.machine.progress import progress_bar
from metrics.machine.provenance import machine, versions
from metrics.volume import InputError
from slicegan.calibration import calibrate, image_fractions
from slicegan.checkpoint import (
    MEMBER,
    WEIGHTS,
    Model,
    load_model,
    load_state,
    save_model,
    save_state,
)
from slicegan.config import Config, DataConfig
from slicegan.costs import check_memory, steps_within
from slicegan.data import TrainingData, load_training_data
from slicegan.distributed import ALONE, Ranks
from slicegan.evaluation import CHOSEN, choose, fidelity_fact
from slicegan.fidelity import BARS, against_bars, judge, reference, with_error
from slicegan.generation import generate
from slicegan.latent import check_key
from slicegan.networks import Generator
from slicegan.places_picture import plot_lattice
from slicegan.preflight import check, fit
from slicegan.preview import plot_fidelity, plot_losses, preview
from slicegan.record import Record, read_record, write_record
from slicegan.settings import override
from slicegan.stopping import stop_signals
from slicegan.training import Trainer

LAST = "last.safetensors"
STATE = "state.pt"
# Far from the seeds that users take: what selects a generator must never be what tests it.
VALIDATION_SEED = 2**63


class Diverged(InputError):
    """A loss or a weight is no longer finite."""


class Run:
    """A training run in its folder; `start` makes a new one, `resume` goes on with an old one."""

    def __init__(
        self,
        folder: Path,
        record: Record,
        data: TrainingData,
        *,
        device: torch.device,
        ranks: Ranks = ALONE,
    ) -> None:
        self.folder = folder
        self.record = record
        self.data = data
        self.trainer = _trainer(record, data, device, ranks)
        self.reference = reference(data)
        self.rows: list[dict[str, float]] = []
        self.losses: dict[str, torch.Tensor] = {}
        self.seconds = 0.0

    @classmethod
    def start(
        cls,
        folder: Path,
        data_config: DataConfig,
        config: Config,
        *,
        seed: int,
        device: torch.device,
        stop_after: float | None = None,
        ranks: Ranks = ALONE,
    ) -> Run:
        """Make the folder of a new run, whose steps fit `stop_after` seconds if given.

        Of several `ranks` the first calls this, and the others `follow`.

        Raises
        ------
        InputError
            If the folder is in use or cannot be written, the images do not fit the config, or a
            step cannot be shared by the ranks.
        """
        check_key(seed)
        check_unused(folder)
        data = load_training_data(**vars(data_config))
        hashes = {file.path: file.sha256 for file in data.files}
        config = fit(config, data.material)
        check(data, config)
        part = ranks.part(config)
        check_memory(data, part, device)
        if stop_after is not None:
            steps = steps_within(stop_after, data, part, device).training.steps
            config = override(config, [f"training.steps={steps}"])
        record = Record(config, data_config, hashes, seed, versions(), machine())
        run = cls(folder, record, data, device=device, ranks=ranks)
        with one_line(folder, "written", "free some space or choose another folder"):
            folder.mkdir(parents=True, exist_ok=True)
            check_unused(folder)  # nor by a run that began meanwhile
            write_record(run.record, folder)
        return run

    @classmethod
    def resume(
        cls,
        folder: Path,
        *,
        device: torch.device,
        steps: int | None = None,
        ranks: Ranks = ALONE,
    ) -> Run:
        """Go on from the last state saved, to `steps` if given.

        Of several `ranks`, which need not be as many as before, the first calls this, and the
        others `follow`.

        Raises
        ------
        InputError
            If the folder holds no run, a file of it is damaged, a training image has changed, more
            steps than `steps` are done, or a step cannot be shared by the ranks.
        """
        record = read_record(folder)
        if steps is not None:
            config = override(record.config, [f"training.steps={steps}"])
            record = replace(record, config=config)
        data = _same_images(record)
        check_key(record.seed)
        check(data, record.config)
        check_memory(data, ranks.part(record.config), device)
        run = cls(folder, record, data, device=device, ranks=ranks)
        if (folder / STATE).exists():
            state = load_state(folder / STATE)
            with one_line(folder / STATE, "used", "it is of another run, start a new run"):
                run.restore(state)
        if steps is not None and steps < run.trainer.step:
            raise InputError(
                f"{folder} has done {run.trainer.step} steps: ask for more, not {steps}"
            )
        with run._alone(), written(folder):
            write_record(run.record, folder)
        return run

    def train(self, *, progress: bool = False) -> bool:
        """Train to the last step and choose the generator; False if Ctrl-C or SIGTERM came before.

        Raises
        ------
        InputError
            If another process trains in the folder, a loss is no longer finite, or a file cannot
            be written; the last state stays.
        """
        training, trainer = self.record.config.training, self.trainer
        began = perf_counter() - self.seconds
        # The rate is the mean since the start: that of the last seconds takes the step before which
        # volumes are judged for all steps: it said 53 minutes of 8.
        steps = progress_bar(
            shown=progress, total=training.steps, initial=trainer.step, unit="step", smoothing=0
        )
        with self._alone():
            with steps, stop_signals() as stopped:
                for losses in trainer.steps(stopped):
                    for name, loss in losses.items():
                        self.losses[name] = self.losses.get(name, 0.0) + loss
                    self.seconds = perf_counter() - began
                    steps.update()
                    last = trainer.step == training.steps
                    if last or trainer.step % training.evaluate_every == 0:
                        self.evaluate()
                        steps.set_postfix_str(_figures(self.rows[-1]))
                if self.losses:
                    self.save()
            # All is saved: from here on Ctrl-C ends at once, and a resumed run chooses.
            finished = trainer.step == training.steps and not stopped()
            if finished:
                self.keep_better(progress=progress)
        return finished

    def keep_better(self, *, progress: bool = False) -> None:
        """Keep the better of the best and the last generator (`choose`), unless that is done."""
        step = str(self.trainer.step)
        if load_model(self.folder / WEIGHTS).facts.get(CHOSEN) == step:
            return
        files = [self.folder / name for name in (WEIGHTS, LAST)]
        model = choose(
            files,
            self.data,
            self.reference,
            self.record.config,
            device=self.trainer.device,
            progress=progress,
        )
        with written(self.folder):
            save_model(replace(model, facts={**model.facts, CHOSEN: step}), self.folder / WEIGHTS)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from training in the folder."""
        with held(self.folder / LOCK, f"{self.folder}: another process trains here: wait for it"):
            for unfinished in self.folder.glob(f"{TEMPORARY}*"):  # by a process that was killed
                shutil.rmtree(unfinished)
            yield

    def evaluate(self) -> None:
        """Judge the averaged generator on validation noise, log it, and keep it if it is best."""
        losses = self._mean_losses()
        model = self._model()
        # Twice the slices: few volumes then tell a bias of the generator from luck.
        size = 2 * self.record.config.critic.slice_size
        volumes = [
            generate(model, size, seed=VALIDATION_SEED + index)
            for index in range(self.record.config.training.validation_volumes)
        ]
        found = judge(volumes, self.reference, stride=model.generator.stride)
        fidelity = found.row()
        best = all(fidelity["score"] < earlier["score"] for earlier in self.rows)
        losses["wasserstein"] = losses["critic_real"] - losses["critic_fake"]
        row = {"step": self.trainer.step, "seconds": self.seconds, **losses, **fidelity}
        self.rows.append(row)
        self.losses = {}
        model = replace(model, facts=self._facts(row))
        with written(self.folder):
            if best:
                save_model(model, self.folder / WEIGHTS)
            save_model(model, self.folder / LAST)
            self._write_log()
            picture = self.folder / "previews" / f"step_{self.trainer.step:06d}.png"
            picture.parent.mkdir(exist_ok=True)
            title = f"step {self.trainer.step}: {_figures(row)}"
            preview(picture, volumes[0], self.data, title=title)
            if found.lattices:
                plot_lattice({"": found.lattices[0]}, self.folder / "lattice.png")
        self.save()

    def _model(self) -> Model:
        """The averaged generator as it is now, BatchNorm and fractions measured anew for it."""
        generator: Generator = copy.deepcopy(self.trainer.average.module)  # type: ignore[assignment]
        random = torch.Generator(self.trainer.device).manual_seed(0)
        self.trainer.measure_norms(generator, random)
        model = Model(generator.eval(), self.data.material, {})
        if self.data.material.kind != "phases":
            return model
        volumes = self.record.config.training.norm_volumes
        return calibrate(model, image_fractions(self.data), volumes=volumes)

    def save(self) -> None:
        """Write the state, unless a loss or a weight is not finite."""
        self._mean_losses()
        with written(self.folder):
            save_state(
                {
                    "trainer": self.trainer.state(),
                    "rows": self.rows,
                    "losses": self.losses,
                    "seconds": self.seconds,
                },
                self.folder / STATE,
            )

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a saved state."""
        self.trainer.restore(state["trainer"])
        self.rows, self.losses, self.seconds = state["rows"], state["losses"], state["seconds"]
        trainer = self.trainer
        counts = [trainer.step, *(player.steps for player in trainer.players)]
        numbers = [self.seconds, *(row[name] for row in self.rows for name in ("step", "score"))]
        numbers += [float(total) for total in self.losses.values()]
        if not all(isinstance(x, int) for x in counts) or not all(
            isinstance(x, int | float) for x in numbers
        ):
            raise InputError("its steps, scores, losses or seconds are no numbers")

    def _mean_losses(self) -> dict[str, float]:
        """Mean of each loss since the last evaluation.

        Raises
        ------
        Diverged
            If one is not finite.
        """
        steps = self.trainer.step - (int(self.rows[-1]["step"]) if self.rows else 0)
        means = {name: float(total) / max(steps, 1) for name, total in self.losses.items()}
        if not all(map(math.isfinite, means.values())) or not self.trainer.finite():
            raise Diverged(
                f"{self.folder}: a loss or weight is not finite at step {self.trainer.step}, which "
                "is not saved: start again with lower rates (--set training.generator_rate=...)"
            )
        return means

    def summary(self) -> str:
        """Where the run stands, and how good its best generator is."""
        steps = f"{self.folder}: step {self.trainer.step} of {self.record.config.training.steps}"
        if 0 < self.trainer.step < self.record.config.training.steps:
            steps += " (stopped early: the rates have not decayed to the end, --resume goes on)"
        if not self.rows:
            return f"{steps}, not yet evaluated"
        facts = load_model(self.folder / WEIGHTS).facts
        kept = json.loads(facts["fidelity"])
        which = "kept" if CHOSEN in facts else "best so far"
        return (
            f"{steps}\n{which}: step {kept['step']}, {against_bars(kept)}\n"
            f"plots: {self.folder / 'fidelity.png'}; "
            f"next: slicegan generate {self.folder} --size 128"
        )

    def _write_log(self) -> None:
        import pandas as pd

        log = pd.DataFrame(self.rows)
        with replacing(self.folder / "log.csv") as temporary:
            log.to_csv(temporary, index=False, float_format="%.6g")
        plot_losses(log, self.folder / "losses.png")
        plot_fidelity(log, self.folder / "fidelity.png")

    def _facts(self, row: Mapping[str, float]) -> dict[str, str]:
        """Where a generator comes from and how good it is, stored in its file."""
        record = self.record
        return {
            "training": json.dumps(asdict(record.config.training)),
            "critic": json.dumps(asdict(record.config.critic)),
            "data": json.dumps(asdict(record.data)),
            "hashes": json.dumps(record.hashes),
            "seed": str(record.seed),
            "versions": json.dumps(record.versions),
            "machine": record.machine,
            "device": str(self.trainer.device),
            "fidelity": fidelity_fact(row),
        }


def follow(folder: Path, *, device: torch.device, ranks: Ranks) -> bool:
    """Train along with the first of several ranks, which alone judges and writes.

    Call it when `Run.start` or `Run.resume` has returned on that one.

    Returns
    -------
    bool
        As `Run.train`.

    Raises
    ------
    InputError
        If a file cannot be read, or another rank ended.
    """
    record = read_record(folder)
    trainer = _trainer(record, _same_images(record), device, ranks)
    if (folder / STATE).exists():
        trainer.restore(load_state(folder / STATE)["trainer"])
    with stop_signals() as stopped:
        for _ in trainer.steps(stopped):
            pass
    return trainer.step == record.config.training.steps


def start_members(
    folder: Path,
    count: int,
    data: DataConfig,
    config: Config,
    *,
    seed: int,
    device: torch.device,
    stop_after: float | None = None,
) -> list[Path]:
    """Make the folders of so many runs, of seeds `seed`, `seed` + 1, ...; `Run.resume` trains them.

    All take the steps of the first, which fit into their share of `stop_after` seconds if given.

    Raises
    ------
    InputError
        As `Run.start`.
    """
    check_unused(folder)
    check_key(seed + count - 1)
    folders = [folder / f"{MEMBER}{number}" for number in range(count)]
    share = None if stop_after is None else stop_after / count
    first = Run.start(folders[0], data, config, seed=seed, device=device, stop_after=share).record
    with written(folder):
        for other in folders[1:]:  # so that all are known of, should this be killed
            other.mkdir()
    for number, other in enumerate(folders[1:], 1):
        Run.start(other, data, first.config, seed=seed + number, device=device)
    return folders


def check_unused(folder: Path) -> None:
    """Raise `InputError` if there is something in the folder, or a file of its name."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is in use: name a new folder, or go on with --resume")


def _same_images(record: Record) -> TrainingData:
    """The images of a run, as they were when it began."""
    data = load_training_data(**vars(record.data))
    for file in data.files:
        if file.sha256 != record.hashes.get(file.path):
            raise InputError(f"{file.path} has changed since the run began: start a new run")
    return data


def _trainer(record: Record, data: TrainingData, device: torch.device, ranks: Ranks) -> Trainer:
    sources, seed = data.to(device).sources, record.seed
    return Trainer(sources, record.config, seed=seed, device=device, ranks=ranks)


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """Say in one line why a file of a run could not be written."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written ({error.strerror}), the last good state is kept: "
            "make room and go on with --resume"
        ) from error


def _figures(row: Mapping[str, float]) -> str:
    """The figures that a progress bar has room for."""
    names = [name for name in BARS if name in row]
    return ", ".join(f"{name} {with_error(row, name)}" for name in ("wasserstein", *names))
