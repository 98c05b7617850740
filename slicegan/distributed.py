"""One training run in several processes, the ranks, each on its share of every step.

``torchrun --nproc-per-node 4 -m slicegan train ...`` starts them. All draw the same random numbers
for the whole step and take their own rows, so that a run does not depend on how many share it, but
for the order in which numbers are added up. The loss of a step is the mean over ranks of their
losses: so gradients are averaged, and what ranks exchange on the way has its true gradient.

Tensors on a GPU are exchanged by NCCL, others by gloo.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from metrics.volume import InputError
from slicegan.config import Config

# Settings of training that count volumes or slices of a step.
SHARED = ("critic_volumes", "generator_volumes", "real_slices", "penalty_slices")


@dataclass(frozen=True)
class Ranks:
    """The processes that share a run: here the only one, which has nothing to exchange.

    Parameters
    ----------
    rank, count : int
        Number of this process, from 0, and of all.
    """

    rank: int = 0
    count: int = 1

    def share(self, batch: Tensor) -> Tensor:
        """Own rows of a batch (N, ...), N a multiple of the count: (N / count, ...)."""
        return batch.chunk(self.count)[self.rank]

    def part(self, config: Config) -> Config:
        """Config of the work that one rank has in a step.

        Raises
        ------
        InputError
            If the volumes or slices of a step cannot be shared equally.
        """
        numbers = {name: getattr(config.training, name) for name in SHARED}
        for name, number in numbers.items():
            if number % self.count:
                raise InputError(
                    f"training.{name}={number} cannot be shared by {self.count} processes: "
                    "start another number of them, or a new run with a multiple of it (--set)"
                )
        own = {name: number // self.count for name, number in numbers.items()}
        return replace(config, training=replace(config.training, **own))

    def gather(self, rows: Tensor) -> Tensor:
        """The whole batch, of which each rank has its own rows, with their gradient."""
        return rows

    def mean(self, tensor: Tensor) -> Tensor:
        """Mean over ranks, with its gradient."""
        return tensor

    def average_gradients(self, weights: Iterable[Tensor]) -> None:
        """Replace the gradient of each weight by its mean over ranks."""

    def synchronise(self, norms: nn.ModuleList) -> None:
        """Replace each new BatchNorm by one whose batch is that of all ranks."""

    def any(self, flag: bool) -> bool:
        """Whether one of the ranks says so."""
        return flag

    def wait(self) -> None:
        """Go on when all ranks have come here."""


ALONE = Ranks()


class Several(Ranks):
    """The processes that `joined` has brought together; each method is called by all of them.

    Raises
    ------
    InputError
        By each method that exchanges something, if another process has ended.
    """

    def gather(self, rows: Tensor) -> Tensor:
        """The whole batch, of which each rank has its own rows, with their gradient."""
        nothing = torch.zeros_like(rows)
        parts = [rows if rank == self.rank else nothing for rank in range(self.count)]
        whole: Tensor = _Sum.apply(torch.cat(parts))
        return whole

    def mean(self, tensor: Tensor) -> Tensor:
        """Mean over ranks, with its gradient."""
        total: Tensor = _Sum.apply(tensor)
        return total / self.count

    def average_gradients(self, weights: Iterable[Tensor]) -> None:
        """Replace the gradient of each weight by its mean over ranks, all in one exchange."""
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        means = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        parts = means.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def synchronise(self, norms: nn.ModuleList) -> None:
        """Replace each new BatchNorm by one whose batch is that of all ranks."""
        for index, norm in enumerate(norms):
            weight = next(norm.parameters())
            norms[index] = SharedNorm(self, len(weight)).to(weight.device)

    def any(self, flag: bool) -> bool:
        """Whether one of the ranks says so."""
        return bool(_total(torch.tensor(float(flag))))

    def wait(self) -> None:
        """Go on when all ranks have come here."""
        self.any(False)


class SharedNorm(nn.BatchNorm3d):
    """BatchNorm in training whose batch is that of all ranks; PyTorch's own is for GPUs alone.

    Parameters
    ----------
    ranks : Ranks
        They have equal shares of the batch.
    features : int
        Channels.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def __init__(self, ranks: Ranks, features: int) -> None:
        super().__init__(features)
        self.ranks = ranks

    def forward(self, features: Tensor) -> Tensor:
        """Own rows of the normalised batch, from own rows (N, channels, z, y, x)."""
        wide = features.float()  # moments of 16 bits would be rounded
        variance, mean = torch.var_mean(wide, (0, 2, 3, 4), correction=0)
        whole_mean = self.ranks.mean(mean)
        # Within shares and between them: a difference of large squares would lose digits.
        variance = self.ranks.mean(variance + (mean - whole_mean).square())
        self._remember(whole_mean, variance, self.ranks.count * wide[:, 0].numel())
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - whole_mean * scale
        along = (slice(None), None, None, None)
        return torch.addcmul(shift[along], wide, scale[along]).to(features.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Update the running moments, as PyTorch does."""
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[Ranks, torch.device]]:
    """The processes that torchrun started, and this one's device; else this process alone.

    Of those that fail the first says why, and the others are silent.

    Parameters
    ----------
    device : torch.device
        Where to train; on GPUs each process has that of its number on the machine.

    Raises
    ------
    InputError
        If there are more processes than GPUs.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ or os.environ["WORLD_SIZE"] == "1":
        yield ALONE, device
        return
    backend = "gloo"
    if device.type == "cuda":
        device, backend = _own_gpu(), "cpu:gloo,cuda:nccl"
    store, rank, count = next(iter(dist.rendezvous("env://")))
    # The others wait while the first one evaluates.
    dist.init_process_group(
        backend, store=store, rank=rank, world_size=count, timeout=timedelta(days=1)
    )
    try:
        yield Several(rank, count), device
    except BaseException:
        _let_one_speak(store)
        raise
    finally:
        dist.destroy_process_group()


class _Sum(torch.autograd.Function):
    """Sum over ranks; the gradient of what one rank gave is the sum of all ranks' gradients."""

    @staticmethod
    def forward(_: Any, tensor: Tensor) -> Tensor:
        return _total(tensor)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return _total(gradient)


def _total(tensor: Tensor) -> Tensor:
    """Sum over ranks."""
    total = tensor.clone(memory_format=torch.contiguous_format)
    try:
        dist.all_reduce(total)
    except RuntimeError as error:  # a connection is closed, or nobody answers
        raise InputError(
            "another process of this run has ended, the last state is kept: "
            "start the command again with --resume"
        ) from error
    return total


def _own_gpu() -> torch.device:
    """The GPU whose number this process has on its machine."""
    number, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if number >= there:
        raise InputError(
            f"{os.environ['LOCAL_WORLD_SIZE']} processes, but {there} GPUs: "
            f"start torchrun with --nproc-per-node {there}"
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def _let_one_speak(store: dist.Store) -> None:
    """Let the first process that comes here write to stderr, and no other."""
    try:
        first = store.add("failed", 1) == 1
    except RuntimeError:  # the process that held the store has ended
        first = True
    sys.stderr = sys.__stderr__ if first else Path(os.devnull).open("w")
