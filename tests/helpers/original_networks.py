"""The original's generators, restated from their definition, and files as it writes them."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

Params = list[list[int]]
Weights = OrderedDict[str, Tensor]


def params(
    filters: Sequence[int],
    kernels: Sequence[int] = (4, 4, 4),
    strides: Sequence[int] = (2, 2, 2),
    paddings: Sequence[int] = (2, 2, 3),
) -> Params:
    """The eight lists, with a critic that nobody asks for."""
    critic = [[4, 4], [2, 2], [filters[-1], 8, 1], [1, 0]]
    return [*critic, list(kernels), list(strides), list(filters), list(paddings)]


def weights(lists: Params, *, resize: bool = False, seed: int = 0) -> Weights:
    """Weights and running statistics that make a lively output, under the original's names."""
    random = torch.Generator().manual_seed(seed)
    kernels, strides, filters, _ = lists[4:]
    made: Weights = OrderedDict()
    if resize:
        made["rcconv.weight"] = (
            torch.randn(filters[-1], filters[-2], 3, 3, 3, generator=random)
            / (27 * filters[-2]) ** 0.5
        )
        made["rcconv.bias"] = torch.randn(filters[-1], generator=random)
    for i, (kernel, stride) in enumerate(zip(kernels, strides, strict=True)):
        before, after = filters[i : i + 2]
        shape = (before, after, kernel, kernel, kernel)
        scale = (2 * stride**3 / (before * kernel**3)) ** 0.5
        made[f"convs.{i}.weight"] = scale * torch.randn(shape, generator=random)
    for i, width in enumerate(filters[1:]):
        made[f"bns.{i}.weight"] = 0.5 + torch.rand(width, generator=random)
        made[f"bns.{i}.bias"] = 0.5 * torch.randn(width, generator=random)
        made[f"bns.{i}.running_mean"] = 0.5 * torch.randn(width, generator=random)
        made[f"bns.{i}.running_var"] = 0.5 + torch.rand(width, generator=random)
        made[f"bns.{i}.num_batches_tracked"] = torch.tensor(7)
    return made


def generate(
    lists: Params,
    made: Weights,
    noise: Tensor,
    *,
    intensities: bool = False,
    factor: float | None = None,
) -> Tensor:
    """Output of the original for grey and colour (`intensities`) or for phases.

    A resize net interpolates to 2 (n - 1) sites as the original does, or by a given factor.
    """
    _, strides, _, paddings = lists[4:]
    features = noise
    last = len(strides) - 1
    for i in range(last):
        features = functional.conv_transpose3d(
            features, made[f"convs.{i}.weight"], stride=strides[i], padding=paddings[i]
        )
        features = functional.batch_norm(
            features,
            *(
                made[f"bns.{i}.{name}"]
                for name in ("running_mean", "running_var", "weight", "bias")
            ),
        ).relu()
    if "rcconv.weight" in made:
        if factor:
            features = upsampled(features, factor)
        else:
            z, y, _ = features.shape[2:]
            features = functional.interpolate(
                features, size=(2 * z - 2, 2 * y - 2, 2 * y - 2), mode="trilinear"
            )
        out = functional.conv3d(features, made["rcconv.weight"], made["rcconv.bias"])
        return out.softmax(dim=1)
    out = functional.conv_transpose3d(
        features, made[f"convs.{last}.weight"], stride=strides[last], padding=paddings[last]
    )
    return (out.tanh() + 1) / 2 if intensities else out.softmax(dim=1)


def upsampled(features: Tensor, factor: float) -> Tensor:
    """Linear interpolation, axis by axis: voxel j comes from (j + 1/2) / factor - 1/2."""
    for axis in (2, 3, 4):
        n = features.shape[axis]
        place = ((torch.arange(int(n * factor + 1e-9)) + 0.5) / factor - 0.5).clamp(0, n - 1)
        lower = place.floor().long()
        upper = (lower + 1).clamp(max=n - 1)
        share = (place - lower).reshape([-1 if dim == axis else 1 for dim in range(5)])
        below, above = (features.index_select(axis, index) for index in (lower, upper))
        features = below + share * (above - below)
    return features


def save(
    folder: Path, lists: object, made: Weights, *, parallel: bool = False, legacy: bool = False
) -> tuple[Path, Path]:
    """Write ``X_Gen.pt`` (in the format before torch 1.6 if `legacy`) and ``X_params.data``."""
    prefix = "module." if parallel else ""
    named = OrderedDict((prefix + name, tensor) for name, tensor in made.items())
    torch.save(named, folder / "X_Gen.pt", _use_new_zipfile_serialization=not legacy)
    with (folder / "X_params.data").open("wb") as file:
        pickle.dump(lists, file)
    return folder / "X_Gen.pt", folder / "X_params.data"
