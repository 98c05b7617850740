"""Devices that torch can work on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metrics.volume import InputError

if TYPE_CHECKING:
    import torch


def check_device(device: str | None) -> None:
    """Raise `InputError` for a torch device that is unknown or not there; None is the CPU."""
    if device is None:
        return
    import torch

    try:
        kind = torch.device(device).type
    except RuntimeError:
        kind = ""
    if kind not in ("cpu", "cuda"):
        raise InputError(f"unknown device {device!r}: use cpu or cuda")
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError(f"no device {device!r} on this machine: use cpu")


def chosen_device(name: str | None) -> torch.device:
    """The device asked for, else a GPU if there is one; errors as of `check_device`."""
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    check_device(name)
    return torch.device(name)
