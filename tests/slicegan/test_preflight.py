"""The plan and the costs of a run: numbers on tiny cases, and the refusal of what cannot work."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any

import pytest
import torch
from refusing import refusal
from torch import Tensor, nn

from metrics.volume import InputError, Phase
from slicegan.config import Config, CriticConfig, GeneratorConfig, Layer, Material, TrainingConfig
from slicegan.costs import (
    Cost,
    Passes,
    blank,
    kept_bytes,
    memory,
    noise,
    passes,
    seconds_per_pass,
    steps_within,
)
from slicegan.data import TrainingData, TrainingFile
from slicegan.networks import Critic, Drawing, Generator
from slicegan.preflight import check, fit, plan
from slicegan.sources import Source

AXES = ("z", "y", "x")
TWO = Material("phases", (Phase("pore", 0, 0), Phase("ni", 1, 127)))
# The smallest networks whose volumes suit their critic: 2 (10 - 1) + 4 - 2 * 3 = 16 voxels.
TINY = Config(
    GeneratorConfig(latent_channels=2, filters=(3,), layers=(Layer(4, 2, 2), Layer(4, 2, 3))),
    CriticConfig(filters=(4, 5)),
    TrainingConfig(latent_size=6),
)


def training(**changes: Any) -> Config:
    return replace(TINY, training=replace(TINY.training, **changes))


def source(*axes: str, shape: tuple[int, ...] = (1, 20, 32), **options: Any) -> Source:
    labels = torch.zeros(shape, dtype=torch.uint8)
    labels[:, :5] = 1
    return Source(axes, (labels,), channels=2, **options)


def data(*sources: Source, material: Material = TWO) -> TrainingData:
    files = tuple(TrainingFile(f"{'-'.join(s.axes)}.png", "", s.axes) for s in sources)
    return TrainingData(material, sources, len(sources) == 1, files)


ISOTROPIC = data(source(*AXES, turns=True))
APART = data(source("z", flips=(True, True)), source("y", "x", flips=(False, True)))


@pytest.mark.parametrize(
    ("material", "channels", "output"),
    [(TWO, 2, "softmax"), (Material("grey"), 1, "tanh"), (Material("colour"), 3, "tanh")],
    ids=["phases", "grey", "colour"],
)
def test_networks_are_fitted_to_the_material(
    material: Material, channels: int, output: str
) -> None:
    fitted = fit(TINY, material)
    assert fitted.generator.channels == fitted.critic.channels == channels
    assert fitted.generator.output == output
    assert fitted.training == TINY.training
    assert fitted.generator.filters == TINY.generator.filters


def test_work_of_the_papers_step() -> None:
    """5 critic steps on 8 volumes and 32 real slices, then 16 volumes; all 64 slices x 3 axes."""
    config = Config(training=TrainingConfig())
    assert passes(ISOTROPIC.sources, config) == Passes(
        volumes=5 * 8 + 3 * 16,
        slices=5 * (3 * (8 * 192 + 32) + 8 * 32) + 3 * 16 * 192,
    )
    # Each critic draws its own real slices and has its own penalty; generated ones are shared out.
    apart = passes(APART.sources, config)
    assert apart.slices - passes(ISOTROPIC.sources, config).slices == 5 * (3 * 32 + 8 * 32)


def test_work_of_the_relativistic_step() -> None:
    """2 volumes with 4 slices an axis for the critic, 1 for the generator; penalty every fourth."""
    config = training(
        loss="relativistic",
        critic_steps=1,
        critic_volumes=2,
        generator_volumes=1,
        slices=4,
        real_slices=0,
        penalty_every=4,
    )
    assert passes(ISOTROPIC.sources, config) == Passes(
        volumes=2 + 3, slices=3 * (24 + 24) + 8 * 24 * 2 / 4 + (3 + 1) * 12
    )
    fewer = replace(config, training=replace(config.training, penalty_slices=6))
    assert passes(ISOTROPIC.sources, fewer).slices == 3 * 48 + 8 * 6 * 2 / 4 + 4 * 12


def test_a_pass_keeps_what_its_backward_pass_reads() -> None:
    """A critic keeps its input and what each hidden layer puts out after the activation, once."""
    critic = Critic(TINY.critic)
    floats = 2 * 16 * 16 + 4 * 8 * 8 + 5 * 4 * 4
    assert kept_bytes(critic, blank(TINY)) == 4 * floats
    assert kept_bytes(critic, blank(TINY).repeat(7, 1, 1, 1)) == 7 * 4 * floats
    assert kept_bytes(critic.to("meta"), blank(TINY).to("meta")) == 4 * floats


def test_memory_is_that_of_weights_and_the_larger_step() -> None:
    config = training(critic_volumes=1, generator_volumes=100, slices=2)
    generator, critic = Generator(TINY.generator), Critic(TINY.critic)
    # Kernels of 4^3 and 4^2, and two numbers a channel of the normalisation.
    weights_g = 64 * (2 * 3 + 3 * 2) + 2 * 3
    weights_c = 16 * (2 * 4 + 4 * 5 + 5)
    own = 4 * (5 * weights_g + 4 * weights_c)
    g, c = kept_bytes(generator, noise(TINY)), kept_bytes(critic, blank(TINY))
    assert memory(ISOTROPIC.sources, config) == own + 100 * 2 * (g + 6 * c)
    config = training(critic_volumes=100, generator_volumes=1, slices=2)
    slices = 100 * 6 + 32 + 3 * 32
    assert memory(ISOTROPIC.sources, config) == own + 4 * 100 * 2 * 16**3 + 2 * c * slices


def test_fine_noise_is_part_of_the_plan() -> None:
    """Its weights are counted, and what a pass keeps of it: one number a site of the layer."""
    noisy = replace(TINY, generator=replace(TINY.generator, fine_noise=0.5))
    lines = {name: plan(ISOTROPIC, config, device=torch.device("cpu")) for name, config in
             (("plain", TINY), ("noisy", noisy))}  # fmt: skip
    count = 64 * (2 * 3 + 3 * 2) + 2 * 3
    assert f"weights: generator {count:,}," in "\n".join(lines["plain"])
    assert f"weights: generator {count + 3:,}," in "\n".join(lines["noisy"])
    many = [
        replace(config, training=replace(config.training, generator_volumes=100))
        for config in (TINY, noisy)
    ]
    plain, more = (memory(ISOTROPIC.sources, config) for config in many)
    # 6 latent sites give 10 of the hidden layer; 100 volumes of them and their gradients, and five
    # copies of three weights.
    assert more - plain == 4 * (100 * 2 * 10**3 + 5 * 3)


class Slow(nn.Module):
    """Takes 20 ms for each item."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.largest = 0

    def forward(self, batch: Tensor) -> Tensor:
        self.largest = max(self.largest, len(batch))
        time.sleep(0.02 * len(batch))
        return batch * self.weight


@pytest.mark.parametrize("most", [2, 100])
def test_time_of_a_pass(most: int) -> None:
    network = Slow()
    seconds = seconds_per_pass(network, torch.ones(1, 3), most)
    # A sleep is never shorter than said; three times as long only on a stalled machine.
    assert 0.02 / 3 <= seconds < 0.02
    # 0.02, 0.08, 0.32 s: the third is long enough.
    assert network.largest == min(16, most)


def test_the_plan_says_what_will_happen() -> None:
    config = training(steps=1000, critic_steps=5)
    lines = plan(APART, config, device=torch.device("cpu"))
    assert lines[:6] == [
        "slices normal to z: z.png (1x20x32 slices, rows, columns)",
        "  phases: pore (value 0) 75.0% (50.4 to 99.6), ni (value 127) 25.0% (0.4 to 49.6)",
        "  crops of 16x16: 2.5 side by side, 85 positions, rows and columns flipped",
        "slices normal to y, x: y-x.png (1x20x32 slices, rows, columns)",
        "  phases: pore (value 0) 75.0% (50.4 to 99.6), ni (value 127) 25.0% (0.4 to 49.6)",
        "  crops of 16x16: 2.5 side by side, 85 positions, columns flipped",
    ]
    assert lines[6:9] == [
        "critics: 2, of slices normal to z; y+x",
        "weights: generator 774, each critic 528",
        "steps: 1,000 of the generator, 5,000 of each critic",
    ]
    expected = r"expected on cpu: about [\d.]+ (s|min|h|days), [\d.e-]+ GiB of memory"
    assert re.fullmatch(expected, lines[9]), lines[9]
    # An image of two blocks has no end of its correlation: it is worth next to nothing.
    assert [line.split(" are worth")[0] for line in lines[10:]] == [
        "few: of pore the images normal to z",
        "few: of pore the images normal to y, x",
    ]


def test_the_plan_of_other_materials() -> None:
    isotropic = plan(ISOTROPIC, training(), device=torch.device("cpu"))
    assert isotropic[2].endswith("positions, turned and reflected")
    grey = Source(AXES, (torch.full((2, 16, 16, 1), 51, dtype=torch.uint8),), channels=1)
    lines = plan(
        data(grey, material=Material("grey")),
        fit(training(), Material("grey")),
        device=torch.device("cpu"),
    )
    assert lines[1] == "  grey, mean intensity 51"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(1.24, "1.2 s"), (119, "119 s"), (270, "4.5 min"), (7100, "118 min"), (1e6, "12 days")],
)
def test_the_expected_time_is_that_of_all_passes(
    monkeypatch: pytest.MonkeyPatch, seconds: float, said: str
) -> None:
    config = training(steps=9, critic_steps=1, critic_volumes=1, generator_volumes=1)
    assert passes(ISOTROPIC.sources, config).volumes == 4
    # Only volumes take time: 9 steps of 4 passes, and one evaluation.
    training_ = config.training
    # Volumes of 4 latent sites have 8 voxels a side instead of 16.
    judged = (1 + 1 / 8) * training_.norm_volumes + 8 * training_.validation_volumes
    # Two generators are calibrated and judged at the end, and 8 volumes of the better compared.
    chosen = 2 * (training_.calibration_volumes / 8 + 8 * 4 * training_.validation_volumes) + 8 * 8
    for name in ("S2_SECONDS", "PICTURE_SECONDS", "REPORT_SECONDS"):
        monkeypatch.setattr(f"slicegan.costs.{name}", 0.0)
    monkeypatch.setattr(
        "slicegan.costs.seconds_per_pass",
        lambda network, example, most: (
            seconds / (36 + judged + chosen) if isinstance(network, Drawing) else 0.0
        ),
    )
    lines = plan(ISOTROPIC, config, device=torch.device("cpu"))
    assert any(f"expected on cpu: about {said}," in line for line in lines)


@pytest.mark.parametrize(("seconds", "steps"), [(101.5, 100), (1e6, 1010098)])
def test_steps_that_fit_a_time(monkeypatch: pytest.MonkeyPatch, seconds: float, steps: int) -> None:
    monkeypatch.setattr("slicegan.costs.cost", lambda *_: Cost(step=0.99, finish=2.0))
    config = steps_within(seconds, ISOTROPIC, training(steps=7), torch.device("cpu"))
    assert config.training.steps == steps
    assert replace(config, training=replace(config.training, steps=7)) == training(steps=7)


def test_a_time_too_short_for_anything_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slicegan.costs.cost", lambda *_: Cost(step=0.5, finish=2.0))
    with pytest.raises(InputError, match="the choice at the end take about 52 s: give more"):
        steps_within(51.0, ISOTROPIC, training(steps=7), torch.device("cpu"))


def refused(reason: str, config: Config = TINY, case: TrainingData = ISOTROPIC) -> None:
    assert re.search(reason, refusal(check, case, config))


def test_what_works_is_not_refused() -> None:
    check(ISOTROPIC, TINY)
    check(APART, training(loss="relativistic", real_slices=0))
    check(data(source(*AXES, shape=(1, 16, 16))), TINY)


def test_networks_that_do_not_suit_each_other_are_refused() -> None:
    refused(
        r"training.latent_size=4 gives volumes of 8 voxels, 2 critic.filters judge slices of 16: "
        r"set training.latent_size=6",
        training(latent_size=4),
    )
    odd = replace(TINY.generator, layers=(Layer(4, 2, 2), Layer(6, 3, 3)))
    refused(r"of 27 voxels, .*: change the number of critic.filters", replace(TINY, generator=odd))
    refused("do not suit a material of 1 channels", TINY, data(material=Material("grey")))


def test_options_that_cannot_work_are_refused() -> None:
    refused("training.slices=17: a volume has 16, 0 shows all", training(slices=17))
    refused(
        "real_slices=32: the relativistic loss pairs .* set it to 0",
        training(loss="relativistic", real_slices=32),
    )


def test_images_that_cannot_serve_are_refused() -> None:
    small = data(source("z"), source("y", "x", shape=(1, 15, 60)))
    refused(r"y-x\.png is 15x60, the crop 16x16: use a larger image", TINY, small)
    one = Material("phases", (Phase("pore", 0, 0),))
    config = fit(TINY, one)
    refused(r"z-y-x\.png shows one phase alone", config, data(source(*AXES), material=one))


def test_thin_volumes_are_refused_by_their_own_name() -> None:
    """All stacks come from one file: apart, as one source each, or pooled."""
    shapes = [(8, 30, 40), (30, 8, 40), (40, 8, 30)]
    stacks = [source(axis, shape=shape) for axis, shape in zip(AXES, shapes, strict=True)]
    pooled = Source(AXES, tuple(image for stack in stacks for image in stack.images), 2, True)
    for sources, images in ((tuple(stacks), 1), ((pooled,), 3)):
        file = TrainingFile("body.tif", "", AXES, images)
        case = TrainingData(TWO, sources, len(sources) == 1, (file,))
        refused(r"body\.tif is 8x40, the crop 16x16: use a larger volume, or --pages", TINY, case)


def test_a_small_page_is_refused_by_its_number() -> None:
    images = tuple(torch.zeros(1, n, 20, dtype=torch.uint8) for n in (30, 12))
    file = TrainingFile("pages.tif", "", AXES, 2)
    case = TrainingData(TWO, (Source(AXES, images, 2, True),), True, (file,))
    refused(r"pages\.tif page 2 is 12x20, the crop 16x16: use a larger image", TINY, case)
