"""Generators that the original SliceGAN trained, from its two files, without running their code.

The original (Kench and Cooper 2021, doi 10.1038/s42256-021-00322-1) saves the weights as
``X_Gen.pt`` and, pickled in ``X_params.data``, the lists dk, ds, df, dp, gk, gs, gf, gp: kernels,
strides, filters and paddings of the critic's and of the generator's layers.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import pickletools
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor

from metrics.files import one_line
from metrics.io.images import Kind, check_kind, voxel_size
from metrics.machine.provenance import versions
from metrics.volume import InputError, Phase
from slicegan.calibration import calibrate, image_fractions
from slicegan.checkpoint import Model, assemble, code_refused
from slicegan.config import GeneratorConfig, Layer, Material
from slicegan.data import Images, load_training_data
from slicegan.networks import RESIZE_KERNEL, admissible
from slicegan.places import periods
from slicegan.settings import from_json, to_json

LISTS = ("dk", "ds", "df", "dp", "gk", "gs", "gf", "gp")
PICKLE_BYTES = 2**16  # 20 times what the longest lists take
CALIBRATION_VOLUMES = 256
MODULES = {"convs": "convs", "bns": "norms", "rcconv": "resize"}


@dataclass(frozen=True)
class Params:
    """The generator in ``X_params.data``: kernels, strides, channels and paddings."""

    gk: tuple[PositiveInt, ...]
    gs: tuple[PositiveInt, ...]
    gf: tuple[PositiveInt, ...]
    gp: tuple[NonNegativeInt, ...]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Transposed convolutions; as in the original, what longer lists have over is ignored."""
        return tuple(map(Layer, self.gk, self.gs, self.gp))


def convert(
    weights: str | os.PathLike[str],
    params: str | os.PathLike[str],
    *,
    kind: Kind = "phases",
    phases: Mapping[str, int] | None = None,
    spacing: Sequence[float] | float | None = None,
    unit: str | None = None,
    latent_size: int = 4,
) -> Model:
    """Model from a generator that the original SliceGAN trained.

    A net of transposed convolutions gives the original's output in volumes of any size. A
    resize-convolution net gives it at the size it was trained at: the original interpolates n
    sites to 2 (n - 1), a factor that depends on the volume's size; here it has the factor of
    the training size in all volumes, so that features have one size.

    Parameters
    ----------
    weights : path
        ``X_Gen.pt``, with or without the prefixes of DataParallel.
    params : path
        ``X_params.data``.
    kind : {"phases", "grey", "colour"}
        What the training image was.
    phases : mapping of str to int, optional
        Name and value in the image of each phase; the original's channels are in the order of
        values. By default the values that the original writes, int(255 k / (n - 1)), name them.
    spacing : (float, float, float) or float, optional
        Edge lengths of a voxel along z, y, x, in `unit`.
    unit : str, optional
        Length unit; both or neither are given.
    latent_size : int
        Sites of the latent noise along each axis in training; only matters for resize nets.

    Raises
    ------
    InputError
        If a file is damaged, holds something else or anything that would run code, or if
        files and arguments do not fit each other.
    """
    check_kind(kind)
    original = _read_params(params)
    stored = _read_weights(weights)
    resize = "rcconv.weight" in stored
    config = _config(original, kind, resize=resize, latent_size=latent_size)
    material = _material(config.channels, kind, phases, spacing, unit)
    with one_line(weights, "converted", f"give the weights that belong to {Path(params).name}"):
        generator = assemble(config, _renamed(stored, len(original.layers), resize=resize))
    facts = {
        "origin": "converted from the original SliceGAN",
        "weights": _fingerprint(weights),
        "params": _fingerprint(params),
    }
    return Model(generator, material, facts | versions())


def calibrated(
    model: Model,
    images: Images,
    *,
    phases: Mapping[str, int] | None = None,
    volumes: int = CALIBRATION_VOLUMES,
    progress: bool = False,
) -> Model:
    """The model with the volume fractions of its training images, at every place of its lattice.

    Transposed convolutions of the original make a phase frequent at some places of their stride and
    rare at others (`slicegan.places`), and leave the mean a percent or two off. Where voxels and
    latent sites do not keep step, as in a resize net, only the mean is set.

    Parameters
    ----------
    model : Model
        Of phases.
    images : paths, or mapping of axis to paths
        As for `load_training_data`.
    phases : mapping of str to int, optional
        Name and value in the images of each phase.
    volumes : int
        Generated to measure the fractions.
    progress : bool
        Show a progress bar.

    Raises
    ------
    InputError
        If the images cannot be read or show more or fewer phases, or the model is of intensities.
    """
    data = load_training_data(images, phases=phases)
    if data.material.channels != model.material.channels:
        raise InputError(
            f"the images show {data.material.channels} phases, the generator makes "
            f"{model.material.channels}: give its training image"
        )
    places = periods(model.generator.stride)[0] if model.generator.in_step else 1
    done = calibrate(
        model, image_fractions(data), volumes=volumes, places=places, progress=progress
    )
    files = {Path(file.path).name: file.sha256 for file in data.files}
    return replace(done, facts={**done.facts, "calibrated": json.dumps(files)})


class _NumbersOnly(pickle.Unpickler):
    """Unpickler of lists and numbers: refuses what names a class, a function or other data."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise InputError(f"asks for {module}.{name}, but lists of numbers ask for no code: refused")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise InputError("asks for data outside the file: refused")


def _read_params(path: str | os.PathLike[str]) -> Params:
    with one_line(path, "read", "give the _params.data that the original saved"):
        lists = _NumbersOnly(io.BytesIO(_small_pickle(Path(path)))).load()
        if not _are_lists(lists):
            raise InputError(f"does not hold the {len(LISTS)} lists of numbers {', '.join(LISTS)}")
        ours = dict(zip(LISTS[4:], lists[4:], strict=True))
        original = from_json(json.dumps(ours), Params)
        layers, counts = len(original.layers), len(original.gf)
        if not layers or counts != layers + 1:
            raise InputError(
                f"gf holds {counts} channel counts for {layers} layers of gk, gs and gp: one more "
                "than layers is needed"
            )
        return original


def _small_pickle(path: Path) -> bytes:
    """Content of a pickle that cannot make more than its own size of memory."""
    if path.stat().st_size > PICKLE_BYTES:
        raise InputError(f"has more than {PICKLE_BYTES} bytes, lists of layers are shorter")
    content = path.read_bytes()
    # A place in the memo is memory: nine bytes that name place 2^28 take gigabytes.
    for operation, argument, _ in pickletools.genops(content):
        if "PUT" in operation.name and isinstance(argument, int) and argument > PICKLE_BYTES:
            raise InputError(f"asks for {argument} places, lists of layers need few: refused")
    return content


def _are_lists(lists: Any) -> bool:
    """Whether these are as many lists of integers as the original saves."""
    return (
        isinstance(lists, list | tuple)
        and len(lists) == len(LISTS)
        and all(isinstance(numbers, list | tuple) for numbers in lists)
        and all(type(number) is int for numbers in lists for number in numbers)
    )


def _read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    with one_line(path, "read", "give the _Gen.pt that the original saved"):
        _check_stored(Path(path))
        with code_refused("give the _Gen.pt that the original saved"):
            stored = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(stored, dict) or not all(map(torch.is_tensor, stored.values())):
            raise InputError("holds no weights: give the _Gen.pt that the original saved")
        return {str(name).removeprefix("module."): tensor for name, tensor in stored.items()}


def _check_stored(path: Path) -> None:
    """Raise `InputError` if a file is compressed: it may unpack to any size."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
                raise InputError("is compressed, which PyTorch's files are not: refused")


def _config(original: Params, kind: Kind, *, resize: bool, latent_size: int) -> GeneratorConfig:
    """Our config of the original's generator."""
    # The last transposed layer of a resize net takes no part in its output.
    layers = original.layers[:-1] if resize else original.layers
    latent_channels, *filters, channels = original.gf
    config = GeneratorConfig(
        kind="resize" if resize else "transpose",
        latent_channels=latent_channels,
        filters=tuple(filters),
        layers=layers,
        channels=channels,
        output="softmax" if resize or kind == "phases" else "tanh",
        upsampling=_upsampling(layers, latent_size) if resize else 2.0,
        dense=all(map(admissible, layers)),
    )
    if config.output == "softmax" and channels == 1:
        raise InputError("the original's output of one channel is 1 everywhere: nothing to convert")
    return from_json(to_json(config), GeneratorConfig)


def _upsampling(layers: Sequence[Layer], latent_size: int) -> float:
    """Factor of the original's interpolation, from n sites to 2 (n - 1), at the training size."""
    n = latent_size
    for kernel, stride, padding in layers:
        n = stride * (n - 1) + kernel - 2 * padding
    size = 2 * (n - 1)
    if size < RESIZE_KERNEL:
        raise InputError(f"latent_size={latent_size} gives no volume: the original trained with 4")
    return size / n


def _material(
    channels: int,
    kind: Kind,
    phases: Mapping[str, int] | None,
    spacing: Sequence[float] | float | None,
    unit: str | None,
) -> Material:
    if phases is not None and kind != "phases":
        raise InputError(f"phases= does not apply to {kind} images: leave it out")
    if kind == "phases" and phases is None:
        values = [255 * channel // (channels - 1) for channel in range(channels)]
        phases = {str(value): value for value in values}
    ordered = sorted((phases or {}).items(), key=lambda item: item[1])
    if len({value for _, value in ordered}) < len(ordered):
        raise InputError(f"phases={phases}: two phases have one value: give each its own")
    named = tuple(Phase(name, label, value) for label, (name, value) in enumerate(ordered))
    material = Material(kind, named, *voxel_size(spacing, unit))
    if material.channels != channels:
        raise InputError(
            f"the generator has {channels} channels, but kind={kind!r} with {len(named)} phases "
            f"needs {material.channels}: give the kind and phases of the training image"
        )
    return from_json(to_json(material), Material)


def _renamed(stored: Mapping[str, Tensor], layers: int, *, resize: bool) -> dict[str, Tensor]:
    """Weights under our names, without those that take no part in the output."""
    dead = [f"bns.{layers - 1}."] + [f"convs.{layers - 1}."] * resize
    renamed = {}
    for name, tensor in stored.items():
        if not name.endswith("num_batches_tracked") and not name.startswith(tuple(dead)):
            module, _, rest = name.partition(".")
            renamed[f"{MODULES.get(module, module)}.{rest}"] = tensor
    return renamed


def _fingerprint(path: str | os.PathLike[str]) -> str:
    """Name and sha256 of a file."""
    with Path(path).open("rb") as file:
        return f"{Path(path).name} sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
