"""A training loop, ours or another's, measured through PyTorch's hooks: none of it is edited."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.speed.turns import peak, reset_peak, resident

MIB = 2**20


class Finished(Exception):
    """All turns are over: leaves a training loop from within."""


class Operations(TorchDispatchMode):
    """Counts floating-point operations of convolutions and matrix products, as PyTorch does.

    PyTorch's own `FlopCounterMode` also follows modules, which fails at a gradient penalty.
    """

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func.overloadpacket):
            self.total += count(*args, **(kwargs or {}), out_val=result)
        return result


class Meter:
    """Measures a training loop through hooks, from outside.

    Parameters
    ----------
    device : torch.device
        Where it trains.
    steps : int
        Steps of the generator that are measured together: after so many the work recurs.
    """

    def __init__(self, device: torch.device, *, steps: int = 1) -> None:
        self.device = device
        self.steps = steps
        self.slices = self.updates = 0
        self.weight: nn.Parameter | None = None
        register_optimizer_step_post_hook(self._stepped)
        self.script = self._script()
        next(self.script)

    def watch_generator(self, network: nn.Module) -> nn.Module:
        self.weight = next(network.parameters())

        def begun(*_: object) -> None:
            handle.remove()
            next(self.script)

        handle = network.register_forward_pre_hook(begun)
        return network

    def watch_critic(self, network: nn.Module) -> nn.Module:
        network.register_forward_pre_hook(self._judged)
        return network

    def _judged(self, _: nn.Module, slices: Any) -> None:
        self.slices += len(slices[0])

    def _stepped(self, optimiser: Optimizer, *_: object) -> None:
        if optimiser.param_groups[0]["params"][0] is self.weight:
            next(self.script)
        else:
            self.updates += 1

    def _script(self) -> Iterator[None]:
        """Go on at the first pass of the generator, then after each of its steps."""
        # What the first optimiser imports, and the first tensor on a GPU loads, is nobody's set-up.
        torch.optim.SGD([torch.zeros(1, device=self.device, requires_grad=True)])
        reset_peak()
        before, start = resident(), perf_counter()
        yield
        figures: dict[str, Any] = {
            "set-up, s": perf_counter() - start,
            "set-up peak, MiB": (peak() - before) / MIB,
            "held after set-up, MiB": (resident() - before) / MIB,
        }
        yield
        self.slices = self.updates = 0
        with Operations() as operations:
            yield from self._steps()
        figures["critic updates per step"] = self.updates / self.steps
        figures["slices judged per step"] = self.slices / self.steps
        figures["GFLOP per step"] = operations.total / 1e9 / self.steps
        _say(figures)
        for _ in sys.stdin:
            reset_peak()
            if self.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            start = self._now()
            yield from self._steps()
            turn = {
                "s per step": (self._now() - start) / self.steps,
                "training peak, MiB": (peak() - before) / MIB,
            }
            if self.device.type == "cuda":
                turn["GPU peak, MiB"] = torch.cuda.max_memory_allocated() / MIB
            _say(turn)
        raise Finished

    def _steps(self) -> Iterator[None]:
        yield from itertools.repeat(None, self.steps)

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return perf_counter()


def _say(figures: dict[str, Any]) -> None:
    print(json.dumps(figures), file=sys.__stdout__, flush=True)
