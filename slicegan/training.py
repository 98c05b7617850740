"""The training algorithm: one generator of volumes against critics of their slices.

One critic for each distinct training image, with an optimiser of its own, sees the slices of the
axes that its image belongs to: three critics for three images, one for an isotropic material.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Adam
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from metrics.volume import InputError
from slicegan.augmentation import augment
from slicegan.config import Config
from slicegan.distributed import ALONE, Ranks
from slicegan.losses import AxisPenalty, PlacePenalty, critic_loss, generator_loss, penalty
from slicegan.networks import Critic, Drawing, Generator, initialise, repeatable, symmetrise
from slicegan.sources import Source, slices


class Penalty(Protocol):
    """What the generator minimises beside the critics' judgement; it keeps a running mean."""

    mean: Tensor

    def __call__(self, volumes: Tensor, step: int) -> Tensor:
        """Penalty of the volumes (N, channels, Z, Y, X) of a step."""


@dataclass
class Player:
    """A critic, what it learns from, and its optimiser."""

    critic: Critic
    source: Source
    optimiser: Adam
    steps: int = 0


class Trainer:
    """Networks, optimisers and random state of a run, on one device; the same ones on each rank.

    Parameters
    ----------
    sources : sequence of Source
        Training images, one source for each critic, on `device`.
    config : Config
        Networks and training; channels must be those of the sources.
    seed : int
        Of weights, noise and crops.
    device : torch.device
        Where to train.
    ranks : Ranks
        They share the volumes of each step, which all of them take together.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        config: Config,
        *,
        seed: int,
        device: torch.device,
        ranks: Ranks = ALONE,
    ) -> None:
        self.config = config.training
        self.device = device
        self.ranks = ranks
        self.random = torch.Generator(device).manual_seed(seed)
        self.generator = self._network(Generator(config.generator), torch.channels_last_3d)
        if self.config.symmetric and all(source.turns for source in sources):
            symmetrise(self.generator)
        ema = get_ema_multi_avg_fn(self.config.average)
        self.average = AveragedModel(self.generator, multi_avg_fn=ema)
        ranks.synchronise(self.generator.norms)  # not the average's, which one rank measures alone
        rates, betas = self.config, self.config.betas
        self.optimiser = Adam(self.generator.parameters(), rates.generator_rate, betas, fused=True)
        self.players = []
        for source in sources:
            critic = self._network(Critic(config.critic), torch.channels_last)
            adam = Adam(critic.parameters(), rates.critic_rate, betas, fused=True)
            self.players.append(Player(critic, source, adam))
        self.penalties = self._penalties(sources, config)
        self.step = 0

    def _penalties(
        self, sources: Sequence[Source], config: Config
    ) -> dict[str, tuple[float, Penalty]]:
        """Weight and penalty of all that the generator minimises beside the critics' judgement."""
        c, channels = config.training, config.generator.channels
        found: dict[str, tuple[float, Penalty]] = {}
        if c.lattice:
            stride = self.generator.stride
            found["places"] = c.lattice, PlacePenalty(channels, stride, self.device, self.ranks)
        if c.isotropy and all(source.turns for source in sources):
            side = config.critic.slice_size
            found["axes"] = c.isotropy, AxisPenalty(channels, side, self.device, self.ranks)
        return found

    def _network(self, network: Any, layout: torch.memory_format) -> Any:
        # Channels last: slices of a volume are then contiguous along every axis.
        network.to(self.device, memory_format=layout)
        initialise(network, self.config.init, self.random)
        return network

    def steps(self, stopped: Callable[[], bool]) -> Iterator[dict[str, Tensor]]:
        """Losses of each step, until the last one or until a rank is stopped."""
        while self.step < self.config.steps and not self.ranks.any(stopped()):
            yield self.advance()

    def advance(self) -> dict[str, Tensor]:
        """One step of the generator, after `critic_steps` of each critic; mean losses."""
        self._set_rates()
        # Shapes never change: it pays to try which algorithm of cuDNN is the fastest.
        tf32 = self.config.precision != "float32"
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=tf32):
            figures = []
            for _ in range(self.config.critic_steps):
                with torch.no_grad():
                    volumes = self.ranks.gather(self._volumes(self.config.critic_volumes))
                figures += [self._teach(player, volumes) for player in self.players]
            losses = {name: torch.stack([f[name] for f in figures]).mean() for name in figures[0]}
            losses["generator_loss"] = self._learn()
        self.average.update_parameters(self.generator)
        self.step += 1
        return dict(zip(losses, self.ranks.mean(torch.stack([*losses.values()])), strict=True))

    def _teach(self, player: Player, volumes: Tensor) -> dict[str, Tensor]:
        """One step of a critic, on slices of the volumes of all ranks along its own axes."""
        c, share = self.config, self.ranks.share
        real, fake = self._pairs(player, volumes)
        of_real, of_fake = player.critic(share(real)), player.critic(share(fake))
        loss = critic_loss(c.loss, of_real, of_fake)
        slope = torch.zeros((), device=self.device)
        if player.steps % c.penalty_every == 0:
            shown = self._penalised(real, fake)
            found = penalty(c.loss, player.critic, *shown, self.random, self.ranks)
            slope = c.penalty_every * found
            loss = loss + c.penalty * slope
        player.optimiser.zero_grad()
        loss.backward()
        self.ranks.average_gradients(player.critic.parameters())
        player.optimiser.step()
        player.steps += 1
        return {
            "critic_real": of_real.detach().mean(),
            "critic_fake": of_fake.detach().mean(),
            "penalty": slope.detach(),
        }

    def _learn(self) -> Tensor:
        """One step of the generator, against all critics at once; its loss."""
        share, own = self.ranks.share, self._volumes(self.config.generator_volumes)
        volumes = self.ranks.gather(own)
        loss = torch.zeros((), device=self.device)
        for player in self.players:
            player.critic.requires_grad_(False)
            real, fake = self._pairs(player, volumes)
            judged = player.critic(share(real)), player.critic(share(fake))
            loss = loss + generator_loss(self.config.loss, *judged)
            player.critic.requires_grad_(True)
        for weight, of_volumes in self.penalties.values():
            loss = loss + weight * of_volumes(own, self.step)
        self.optimiser.zero_grad()
        loss.backward()
        self.ranks.average_gradients(self.generator.parameters())
        self.optimiser.step()
        return loss.detach()

    def _volumes(self, count: int) -> Tensor:
        """Own share of so many generated volumes: (count / ranks, channels, Z, Y, X) in float32."""
        share = self.ranks.share
        noise, fine = share(self.noise(count)), [share(own) for own in self.fine_noise(count)]
        short = self.config.precision == "bf16" and self.device.type == "cuda"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=short):
            volumes: Tensor = self.generator(noise, fine)
        return volumes.float()

    def noise(self, count: int, random: torch.Generator | None = None) -> Tensor:
        """Latent noise for so many volumes, by default from the run's own random numbers."""
        n = self.config.latent_size
        shape = (count, self.generator.config.latent_channels, n, n, n)
        return torch.randn(shape, generator=random or self.random, device=self.device)

    def fine_noise(self, count: int, random: torch.Generator | None = None) -> list[Tensor]:
        """Noise of the hidden layers for so many volumes, drawn after their latent noise."""
        return [
            torch.randn((count, 1, n, n, n), generator=random or self.random, device=self.device)
            for n in self.generator.fine_sizes(self.config.latent_size)
        ]

    def measure_norms(self, generator: torch.nn.Module, random: torch.Generator) -> None:
        """Give BatchNorm the means and variances of `norm_volumes` volumes, all made here."""
        volumes = self.config.generator_volumes
        batches = math.ceil(self.config.norm_volumes / volumes)
        drawing = Drawing(generator, lambda: self.fine_noise(volumes, random))
        with repeatable():
            update_bn((self.noise(volumes, random) for _ in range(batches)), drawing)

    def finite(self) -> bool:
        """Whether all weights are finite numbers."""
        networks = self.generator, *(player.critic for player in self.players)
        weights = [w.detach().abs().max() for net in networks for w in net.parameters()]
        return bool(torch.stack(weights).isfinite().all())

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to go on as if never stopped."""
        return {
            "step": self.step,
            "device": self.device.type,
            "random": self.random.get_state(),
            "generator": self.generator.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            **{name: own.mean for name, (_, own) in self.penalties.items()},
            "players": [
                {
                    "critic": player.critic.state_dict(),
                    "optimiser": player.optimiser.state_dict(),
                    "steps": player.steps,
                }
                for player in self.players
            ],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a state.

        Raises
        ------
        InputError
            If it was made on a device of another kind, whose random numbers are not this one's.
        """
        if state["device"] != self.device.type:
            raise InputError(f"it was trained on {state['device']}: go on with that --device")
        self.step = state["step"]
        self.random.set_state(state["random"])
        self.generator.load_state_dict(state["generator"])
        self.average.load_state_dict(state["average"])
        _load(self.optimiser, state["optimiser"])
        for name, (_, own) in self.penalties.items():
            own.mean = _like(own.mean, state[name])
        for player, saved in zip(self.players, state["players"], strict=True):
            player.critic.load_state_dict(saved["critic"])
            _load(player.optimiser, saved["optimiser"])
            player.steps = saved["steps"]

    def _pairs(self, player: Player, volumes: Tensor) -> tuple[Tensor, Tensor]:
        """Real and generated slices for a critic, those of all ranks: each draws the same."""
        fake = torch.cat([self._shown(volumes, axis) for axis in player.source.axes])
        count = self.config.real_slices or len(fake)
        real = player.source.draw(count, fake.shape[-1], self.random)
        return self._augmented(real, player.source), self._augmented(fake, player.source)

    def _augmented(self, shown: Tensor, source: Source) -> Tensor:
        affine = self.config.affine if source.turns else 0.0
        return augment(shown, affine=affine, cutout=self.config.cutout, random=self.random)

    def _shown(self, volumes: Tensor, axis: str) -> Tensor:
        """Slices of each volume along one axis: all, or some at random depths."""
        stack = slices(volumes, axis)
        if self.config.slices:
            depths = torch.rand(stack.shape[:2], generator=self.random, device=self.device)
            chosen = depths.argsort(dim=1)[:, : self.config.slices]
            rows = torch.arange(len(stack), device=self.device)[:, None]
            stack = stack[rows, chosen]
        return stack.flatten(0, 1)

    def _penalised(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Slices for the penalty; the generated ones from all volumes, axes and depths."""
        count = min(self.config.penalty_slices or len(real), len(real), len(fake))
        chosen = torch.randperm(len(fake), generator=self.random, device=self.device)[:count]
        return real[:count], fake[chosen]

    def _set_rates(self) -> None:
        c = self.config
        done = min(self.step / c.steps, 1.0)
        factor = c.decay + (1 - c.decay) * (1 + math.cos(math.pi * done)) / 2
        for group in self.optimiser.param_groups:
            group["lr"] = c.generator_rate * factor
        for player in self.players:
            for group in player.optimiser.param_groups:
                group["lr"] = c.critic_rate * factor


def _load(optimiser: Adam, state: Mapping[str, Any]) -> None:
    """Give an optimiser its state; PyTorch does not look at the shapes of the moments."""
    optimiser.load_state_dict(dict(state))
    for weight, moments in optimiser.state.items():
        for name in ("exp_avg", "exp_avg_sq"):
            moments[name] = _like(weight, moments[name])


def _like(wanted: Tensor, found: Tensor) -> Tensor:
    """A tensor of a state on the device of the one it replaces, whose shape it must have."""
    if found.shape != wanted.shape:
        shapes = f"{tuple(found.shape)} where {tuple(wanted.shape)}"
        raise InputError(f"a tensor of shape {shapes} is expected")
    return found.to(wanted.device)
