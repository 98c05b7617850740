"""The training algorithm: who learns from what, and that it goes on as if never stopped."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from metrics.volume import InputError
from slicegan import training
from slicegan.config import Config, CriticConfig, GeneratorConfig, TrainingConfig
from slicegan.networks import Generator
from slicegan.sources import Source
from slicegan.training import Trainer

CPU = torch.device("cpu")
CONFIG = Config(
    GeneratorConfig(latent_channels=2, filters=(4, 4, 4, 4), channels=2),
    CriticConfig(filters=(2, 2, 2), channels=2),
    TrainingConfig(
        steps=4,
        critic_steps=2,
        critic_volumes=2,
        generator_volumes=1,
        slices=3,
        real_slices=6,
        latent_size=3,
    ),
)


def image(seed: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(2, (1, 40, 36), generator=random, dtype=torch.uint8)


def three_images(last: int = 2) -> list[Source]:
    return [
        Source((axis,), (image(seed),), 2) for axis, seed in zip("zyx", (0, 1, last), strict=True)
    ]


def isotropic() -> list[Source]:
    return [Source(("z", "y", "x"), (image(0),), 2, turns=True)]


def trainer(sources, seed=0, fine_noise=0.0, **settings) -> Trainer:
    generator = replace(CONFIG.generator, fine_noise=fine_noise)
    config = replace(CONFIG, generator=generator, training=replace(CONFIG.training, **settings))
    return Trainer(sources, config, seed=seed, device=CPU)


@pytest.mark.parametrize(("sources", "turned"), [(isotropic, True), (three_images, False)])
def test_critics_see_changed_slices_real_and_generated(sources, turned):
    volumes = torch.zeros(2, 2, 32, 32, 32)
    volumes[:, 0, :16] = 1
    volumes[:, 1, 16:] = 1
    plain, changed = trainer(sources()), trainer(sources(), affine=1.0, cutout=1.0)
    for kind in (0, 1):
        before, after = (one._pairs(one.players[-1], volumes)[kind] for one in (plain, changed))
        assert set(before.unique().tolist()) == {0.0, 1.0}
        assert (after.sum(1) == 0).any((1, 2)).all()  # every one has its hole
        # Only the slices of an isotropic material are turned, so that pixels are interpolated.
        assert bool(((after > 0.01) & (after < 0.99)).any()) == turned


def weights(network) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


def test_three_images_have_three_critics_and_each_learns_from_its_own_axis_alone():
    one, other = trainer(three_images(last=2)), trainer(three_images(last=3))
    volumes = torch.rand(2, 2, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    before = [weights(player.critic) for player in one.players]
    for player in one.players:
        player.steps = 0
    one._teach(one.players[1], volumes)
    after = [weights(player.critic) for player in one.players]
    # Only the critic that was taught has moved: its optimiser holds no weight of another.
    assert [bool((a != b).any()) for a, b in zip(before, after, strict=True)] == [
        False,
        True,
        False,
    ]
    other._teach(other.players[1], volumes)
    assert torch.equal(weights(one.players[1].critic), weights(other.players[1].critic))
    # The third image differs between the two: so must what its critic learns.
    for run in (one, other):
        run._teach(run.players[2], volumes)
    assert not torch.equal(weights(one.players[2].critic), weights(other.players[2].critic))
    one.advance()
    a, b, c = (weights(player.critic) for player in one.players)
    assert not torch.equal(a, b) and not torch.equal(b, c) and not torch.equal(a, c)


def test_a_critic_sees_slices_of_its_own_axes_alone():
    run = trainer(three_images(), slices=0)
    ramp = torch.arange(32.0)
    volumes = torch.stack(torch.meshgrid(ramp, ramp, ramp, indexing="ij"))[None, :2]
    _, fake = run._pairs(run.players[0], volumes)
    # Channel 0 holds z, constant on a slice normal to z and different on each.
    assert torch.equal(fake[:, 0].amin((1, 2)), ramp) and torch.equal(fake[:, 0].amax((1, 2)), ramp)
    _, fake = run._pairs(run.players[1], volumes)
    assert torch.equal(fake[:, 1].amin((1, 2)), ramp) and torch.equal(fake[:, 1].amax((1, 2)), ramp)


def test_isotropic_material_has_one_critic_and_one_step_on_all_axes_per_iteration():
    run = trainer(isotropic())
    run.advance()
    assert [player.steps for player in run.players] == [CONFIG.training.critic_steps]
    _, fake = run._pairs(run.players[0], torch.rand(2, 2, 32, 32, 32))
    assert len(fake) == 2 * 3 * CONFIG.training.slices


def test_penalty_reaches_slices_of_every_volume_axis_and_depth():
    run = trainer(isotropic(), slices=0)
    number = torch.arange(2 * 3 * 32)
    fake = number[:, None, None, None].float()
    seen = set()
    for _ in range(300):
        _, chosen = run._penalised(torch.zeros(6, 1, 1, 1), fake)
        assert len(chosen) == 6
        seen |= set(chosen.flatten().int().tolist())
    # A slice is missed 300 times with probability (1 - 6/192)^300 = 7e-5; the seed is fixed. The
    # original's first six would show 6.
    assert len(seen) == len(number)


def test_slices_shown_differ_from_volume_to_volume_and_reach_every_depth():
    run = trainer(isotropic())
    depth = torch.arange(32.0)[None, None, :, None, None].expand(2, 1, 32, 32, 32)
    seen = [run._shown(depth, "z")[:, 0, 0, 0].int().tolist() for _ in range(300)]
    assert {depth for shown in seen for depth in shown} == set(range(32))
    assert any(shown[:3] != shown[3:] for shown in seen)
    assert all(len(set(shown[:3])) == 3 for shown in seen)


def test_relativistic_loss_pairs_as_many_real_as_generated_slices():
    run = trainer(isotropic(), loss="relativistic", real_slices=0, penalty_slices=4)
    real, fake = run._pairs(run.players[0], torch.rand(2, 2, 32, 32, 32))
    assert real.shape == fake.shape
    assert [len(slices) for slices in run._penalised(real, fake)] == [4, 4]
    assert all(math.isfinite(loss) for loss in run.advance().values())


def test_lazy_penalty_weighs_as_many_times_more(monkeypatch):
    run = trainer(isotropic(), penalty_every=2, critic_steps=1)
    monkeypatch.setattr(training, "penalty", lambda *args: torch.tensor(3.0))
    assert [float(run.advance()["penalty"]) for _ in range(4)] == [6.0, 0.0, 6.0, 0.0]


def test_the_penalty_of_all_critic_steps_is_reported(monkeypatch):
    run = trainer(isotropic(), penalty_every=2, critic_steps=2)
    monkeypatch.setattr(training, "penalty", lambda *args: torch.tensor(3.0))
    assert [float(run.advance()["penalty"]) for _ in range(2)] == [3.0, 3.0]


@pytest.mark.parametrize(
    "settings", [{"real_slices": 64}, {"real_slices": 32, "penalty_slices": 40}, {"slices": 1}]
)
def test_a_penalty_needs_as_many_real_as_generated_slices(settings):
    run = trainer(isotropic(), **settings)
    assert all(math.isfinite(loss) for loss in run.advance().values())


def test_convolutions_use_cudnn(monkeypatch):
    run, used = trainer(isotropic(), precision="tf32"), []

    def noted(self, player, volumes):
        flags = torch.backends.cudnn
        used.append((flags.enabled, flags.benchmark, flags.allow_tf32))
        return teach(self, player, volumes)

    teach = Trainer._teach
    monkeypatch.setattr(Trainer, "_teach", noted)
    run.advance()
    assert set(used) == {(True, True, True)}


def test_norms_are_measured_as_exactly_as_volumes_are_generated(monkeypatch):
    run, seen = trainer(isotropic()), []
    forward = Generator.forward

    def noted(self, *given):
        seen.append(torch.backends.cudnn.allow_tf32)
        return forward(self, *given)

    monkeypatch.setattr(Generator, "forward", noted)
    run.measure_norms(run.generator, torch.Generator().manual_seed(0))
    assert set(seen) == {False}


def test_a_state_of_another_device_is_refused():
    run = trainer(isotropic())
    with pytest.raises(InputError, match="it was trained on cuda: go on with that --device"):
        run.restore(run.state() | {"device": "cuda"})


def test_rates_fall_along_a_cosine_to_the_share_that_is_left():
    run = trainer(isotropic(), decay=0.1, critic_steps=1)
    rates = []
    for _ in range(5):
        run.advance()
        rates.append(run.optimiser.param_groups[0]["lr"] / CONFIG.training.generator_rate)
        assert run.players[0].optimiser.param_groups[0]["lr"] == pytest.approx(rates[-1] * 1e-4)
    half = 0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2
    # Trained beyond its end, a run keeps the last rate.
    assert rates[0] == 1 and rates[1] == pytest.approx(half) and rates[4] == pytest.approx(0.1)


def test_average_follows_the_generator():
    last = trainer(isotropic(), average=0.0)
    for _ in range(2):
        last.advance()
    assert torch.equal(weights(last.average.module), weights(last.generator))
    slow = trainer(isotropic(), average=0.75)
    slow.advance()
    first = weights(slow.generator)
    slow.advance()
    expected = 0.75 * first + 0.25 * weights(slow.generator)
    # float32 rounding of weights of about 1
    torch.testing.assert_close(weights(slow.average.module), expected, rtol=0, atol=5e-7)


def test_seeds_repeat_and_differ():
    runs = [trainer(isotropic(), seed=seed) for seed in (0, 0, 1)]
    for run in runs:
        run.advance()
    same, again, different = (weights(run.generator) for run in runs)
    assert torch.equal(same, again) and not torch.equal(same, different)


@pytest.mark.parametrize("sources", [isotropic, three_images])
def test_a_restored_run_equals_the_uninterrupted_one_bit_for_bit(sources, tmp_path):
    settings = {
        "average": 0.9, "decay": 0.5, "penalty_every": 3, "fine_noise": 0.5, "lattice": 100.0,
        "isotropy": 100.0,
    }  # fmt: skip
    whole = trainer(sources(), **settings)
    for _ in range(2):
        whole.advance()
    torch.save(whole.state(), tmp_path / "state.pt")
    for _ in range(2):
        whole.advance()
    resumed = trainer(sources(), seed=5, **settings)
    resumed.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    for _ in range(2):
        resumed.advance()
    assert resumed.step == 4
    for one, other in (
        (whole.generator, resumed.generator),
        (whole.average, resumed.average),
        *(
            (player.critic, again.critic)
            for player, again in zip(whole.players, resumed.players, strict=True)
        ),
    ):
        for name, tensor in one.state_dict().items():
            assert torch.equal(tensor, other.state_dict()[name]), name
    assert set(whole.penalties) == {"places"} | ({"axes"} if sources is isotropic else set())
    for name, (_, kept) in whole.penalties.items():
        assert torch.equal(kept.mean, resumed.penalties[name][1].mean), name


PENALTIES = [("places", "lattice"), ("axes", "isotropy")]


@pytest.mark.parametrize(("part", "setting"), PENALTIES)
def test_without_its_running_means_a_restored_run_goes_another_way(part, setting):
    whole, resumed = (trainer(isotropic(), **{setting: 100.0}) for _ in range(2))
    whole.advance()
    state = whole.state()
    resumed.restore(state | {part: torch.zeros_like(state[part])})
    for run in (whole, resumed):
        run.advance()
    assert not torch.equal(weights(whole.generator), weights(resumed.generator))


def test_runs_of_versions_without_running_means_go_on():
    state = trainer(isotropic()).state()
    assert not {"places", "axes"} & set(state)
    run = trainer(isotropic())
    run.restore(state)
    run.restore(
        state | {"places": torch.zeros(1), "axes": None}
    )  # of versions that kept unused ones
    assert run.penalties == {}


@pytest.mark.parametrize("setting", [setting for _, setting in PENALTIES])
def test_a_penalty_weighs_on_the_generator_alone(setting):
    plain, weighed = trainer(isotropic()), trainer(isotropic(), **{setting: 100.0})
    for run in (plain, weighed):
        run.advance()
    assert torch.equal(weights(plain.players[0].critic), weights(weighed.players[0].critic))
    assert not torch.equal(weights(plain.generator), weights(weighed.generator))


def test_axes_that_may_differ_are_left_alone():
    plain, weighed = trainer(three_images()), trainer(three_images(), isotropy=100.0)
    for run in (plain, weighed):
        run.advance()
    assert torch.equal(weights(plain.generator), weights(weighed.generator))


def test_the_penalty_on_axes_makes_them_alike():
    """Alone, without a critic: axes of random kernels differ, and then hardly."""
    run = trainer(isotropic(), isotropy=1.0)
    start = torch.Generator().manual_seed(3)

    def spread() -> float:
        """Relative deviation over axes of how often neighbours differ, in 50 volumes."""
        with torch.no_grad():
            volumes = torch.cat([run.generator(run.noise(1, start)) for _ in range(50)])
        by_axis = torch.stack([volumes.diff(dim=axis).square().mean() for axis in (2, 3, 4)])
        return float(by_axis.std() / by_axis.mean())

    with torch.no_grad():  # kernels as large as trained ones
        for conv in run.generator.convs:
            conv.weight *= 10
    before = spread()
    for step in range(300):
        run.optimiser.zero_grad()
        run.penalties["axes"][1](run._volumes(1), step).backward()
        run.optimiser.step()
    assert before > 0.03
    assert spread() < before / 4


def test_the_place_penalty_removes_a_lattice():
    """Alone, without a critic: places of random kernels differ, and then hardly."""
    run = trainer(isotropic(), lattice=1.0)
    start, found = torch.Generator().manual_seed(3), []

    def spread() -> float:
        """Spread of means over places, beyond what 100 volumes leave to chance."""
        with torch.no_grad():
            volumes = torch.cat([run.generator(run.noise(1, start)) for _ in range(100)])
        cells = volumes.unflatten(4, (2, 16)).unflatten(3, (2, 16)).unflatten(2, (2, 16))
        halves = [half.mean((0, 2, 4, 6))[0] for half in cells.chunk(2)]
        one, other = (half - half.mean() for half in halves)
        return float((one * other).mean())

    with torch.no_grad():  # kernels as large as trained ones
        for conv in run.generator.convs:
            conv.weight *= 10
    found.append(spread())
    for step in range(600):
        run.optimiser.zero_grad()
        run.penalties["places"][1](run._volumes(1), step).backward()
        run.optimiser.step()
    found.append(spread())
    assert found[0] > 1e-3  # sd of .03 and more
    assert found[1] < found[0] / 50


def test_fine_noise_is_drawn_for_every_hidden_layer_and_volume():
    run = trainer(isotropic(), fine_noise=0.5)
    fine = run.fine_noise(2)
    assert [tuple(level.shape) for level in fine] == [(2, 1, n, n, n) for n in (4, 6, 10, 18)]
    assert all(not torch.equal(*level) for level in fine)
    assert [strength.tolist() for strength in run.generator.strengths] == [[0.5] * 4] * 4
    run.advance()  # it is learnt
    assert all((strength != 0.5).any() for strength in run.generator.strengths)
    assert trainer(isotropic()).fine_noise(2) == []


def test_without_its_random_state_a_restored_run_goes_another_way():
    whole, resumed = trainer(isotropic()), trainer(isotropic(), seed=5)
    whole.advance()
    state = whole.state() | {"random": resumed.random.get_state()}
    resumed.restore(state)
    for run in (whole, resumed):
        run.advance()
    assert not torch.equal(weights(whole.generator), weights(resumed.generator))


def test_kernels_are_alike_along_all_axes_for_an_isotropic_material_alone():
    def alike(run: Trainer) -> bool:
        kernels = run.generator.convs[0].weight
        return torch.equal(kernels, kernels.transpose(2, 4))

    assert alike(trainer(isotropic(), symmetric=True))
    assert not alike(trainer(isotropic()))
    assert not alike(trainer(three_images(), symmetric=True))
