"""Trained generators and states of runs as files that hold data only, never code.

A generator is one safetensors file: the weights, and in its metadata the layers, the material and
where it comes from. The state of a run, from which training goes on, is a `torch.save` file.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from metrics.files import one_line, replacing
from metrics.volume import InputError
from slicegan.config import GeneratorConfig, Material
from slicegan.networks import Generator
from slicegan.settings import from_json, to_json

FORMAT = "slicegan-generator/1"
WEIGHTS = "generator.safetensors"
SUFFIX = ".safetensors"
MEMBER = "member_"
PRETRAINED = resources.files("slicegan").joinpath("pretrained")
# BatchNorm counts its training steps; inference needs no count.
COUNTER = ".num_batches_tracked"


@dataclass(frozen=True, eq=False)
class Model:
    """A trained generator, and what its volumes show.

    Parameters
    ----------
    generator : Generator
        In eval mode.
    material : Material
        Phases (one for each channel of the generator), voxel spacing and unit.
    facts : mapping of str to str
        Where it comes from: versions, files and their sha256, seed, steps, fidelity.

    Raises
    ------
    InputError
        If the material has more or fewer channels than the generator.
    """

    generator: Generator
    material: Material
    facts: Mapping[str, str]

    def __post_init__(self) -> None:
        made, needed = self.generator.config.channels, self.material.channels
        if made != needed:
            raise InputError(
                f"the generator makes {made} channels, its material ({self.material.kind}) has "
                f"{needed}: they must be equal"
            )

    def to(self, device: torch.device | str) -> Model:
        """The same model, its generator moved to a device."""
        return replace(self, generator=self.generator.to(device))


def save_model(model: Model, path: str | os.PathLike[str], *, half: bool = False) -> None:
    """Write a model as one safetensors file, whole or not at all.

    Parameters
    ----------
    model : Model
        What to write. The generator may be on any device.
    path : path
        The file; an existing one is replaced.
    half : bool
        Store the weights of convolutions in 16 bits, which halves the file. The few numbers of
        BatchNorm stay in 32: its variances may leave the range of float16.

    Raises
    ------
    InputError
        If a weight is not finite (in 16 bits: above 65504), or the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> layers = '{"channels": 1, "output": "tanh", "filters": [4], "layers": [[4,2,2], [4,2,3]]}'
    >>> config = from_json(layers, GeneratorConfig)
    >>> model = Model(Generator(config), Material("grey"), {})
    >>> with tempfile.TemporaryDirectory() as run:
    ...     save_model(model, f"{run}/generator.safetensors")
    ...     load_model(run).generator.config == config
    True
    """
    metadata = {
        "format": FORMAT,
        "generator": to_json(model.generator.config),
        "material": to_json(model.material),
        "facts": json.dumps(dict(model.facts)),
    }
    weights = {}
    for name, tensor in model.generator.state_dict().items():
        if not name.endswith(COUNTER):
            short = half and tensor.ndim > 1
            weights[name] = tensor.to("cpu", torch.float16 if short else torch.float32).contiguous()
    metadata["sha256"] = _checksum(metadata, weights)
    with one_line(path, "written", "free some space or choose another folder"):
        _check_finite(weights)
        with replacing(Path(path)) as temporary:
            # `save_file` would make a file that nobody else may read.
            temporary.write_bytes(save(weights, metadata))


def load_model(source: str | os.PathLike[str]) -> Model:
    """Read a model, with weights in float32.

    Parameters
    ----------
    source : str or path
        A ``.safetensors`` file, the folder of a run, or the name of a shipped generator (see
        `pretrained`); a file or run of that name comes first.

    Raises
    ------
    InputError
        If there is no such model, or the file is damaged or holds something else.
    """
    remedy = "it is damaged or no generator, give a run folder or a .safetensors file"
    with resources.as_file(_locate(source)) as file, one_line(file, "read", remedy):
        with safe_open(file, framework="pt") as content:
            metadata = content.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise InputError(
                    f"not a generator of format {FORMAT}, but {metadata.get('format')}: "
                    "give one that `slicegan train` or `slicegan convert` wrote"
                )
            weights = {name: content.get_tensor(name) for name in content.keys()}
        # Files of earlier versions have none.
        if "sha256" in metadata and metadata["sha256"] != _checksum(metadata, weights):
            raise InputError(f"cannot be read (wrong checksum): {remedy}")
        config = from_json(metadata.get("generator", ""), GeneratorConfig)
        material = from_json(metadata.get("material", ""), Material)
        facts = from_json(metadata.get("facts", ""), dict[str, str])
        return Model(assemble(config, weights), material, facts)


def members(source: str | os.PathLike[str]) -> list[Path]:
    """Run folders of an ensemble, ``member_0``, ``member_1``, ...; none of any other source."""
    every = (Path(source) / f"{MEMBER}{number}" for number in itertools.count())
    return list(itertools.takewhile(Path.is_dir, every))


def pretrained() -> list[str]:
    """Names of the shipped generators."""
    files = PRETRAINED.iterdir() if PRETRAINED.is_dir() else ()
    return sorted(file.name.removesuffix(SUFFIX) for file in files if file.name.endswith(SUFFIX))


def assemble(config: GeneratorConfig, weights: Mapping[str, Tensor]) -> Generator:
    """Generator in eval mode with copies of these weights, in float32 on the CPU.

    Raises
    ------
    InputError
        If names or shapes of the weights are not those of the layers, or one is not finite.
    """
    # Without memory: what a damaged file claims is compared before anything is allocated.
    with torch.device("meta"):
        generator = Generator(config)
    tensors = generator.state_dict().items()
    wanted = {name: tuple(tensor.shape) for name, tensor in tensors if not name.endswith(COUNTER)}
    for name in sorted(wanted.keys() | weights.keys()):
        found = tuple(weights[name].shape) if name in weights else "missing"
        if found != wanted.get(name):
            raise InputError(
                f"weight {name} is {found}, its layers ask for {wanted.get(name, 'none')}: "
                "weights and layers come from different generators"
            )
    _check_finite(weights)
    copies = {name: weights[name].to("cpu", torch.float32, copy=True) for name in wanted}
    generator.load_state_dict(copies, assign=True)
    return generator.eval()


# What precedes the SHA-256 of a state at its end: torch.load does not check what it reads.
CHECKSUM = b"\x00sha256\x00"
ZIP_END = b"PK\x05\x06"


def save_state(state: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write the state of a run (tensors, numbers, text, lists, dicts), whole or not at all.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    with (
        one_line(path, "written", "free some space or choose another folder"),
        replacing(Path(path)) as temporary,
    ):
        torch.save(dict(state), temporary)
        with temporary.open("r+b") as file:
            digest = hashlib.file_digest(file, "sha256").digest()  # it ends at the end of the file
            file.write(CHECKSUM + digest)


def load_state(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the state of a run, with tensors on the CPU; no code in the file is ever run.

    Raises
    ------
    InputError
        If the file is missing, damaged or holds something else.
    """
    remedy = "it is damaged or no state of a run, start the run anew in another folder"
    with one_line(path, "read", remedy):
        content = Path(path).read_bytes()
        kept, mark, digest = content[:-40], content[-40:-32], content[-32:]
        if mark == CHECKSUM:
            if hashlib.sha256(kept).digest() != digest:
                raise InputError(f"cannot be read (wrong checksum): {remedy}")
            content = kept
        elif content[-22:-18] != ZIP_END:  # where one of an earlier version ends
            raise InputError(f"cannot be read (its end is missing): {remedy}")
        with code_refused(remedy):
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise InputError(f"holds a {type(state).__name__}, not the state of a run: {remedy}")
        return state


@contextmanager
def code_refused(remedy: str) -> Iterator[None]:
    """Say that a file holds more than data; PyTorch would advise to run the code that it found."""
    try:
        yield
    except pickle.UnpicklingError as error:
        raise InputError(f"cannot be read (not tensors and numbers alone): {remedy}") from error


def _locate(source: str | os.PathLike[str]) -> Traversable:
    """File of a model."""
    path = Path(source)
    for file in (path, path / WEIGHTS):
        if file.is_file():
            return file
    names = pretrained()
    if str(source) in names:
        return PRETRAINED.joinpath(f"{source}{SUFFIX}")
    if folders := members(path):
        raise InputError(f"{path}: an ensemble of generators, name one of them: {folders[0]}")
    if path.is_dir():
        raise InputError(f"{path}: no {WEIGHTS} in this folder: train first, or give another")
    shipped = f", or one of {', '.join(names)}" if names else ""
    raise InputError(f"no model {source}: give a run folder, a {SUFFIX} file{shipped}")


def _checksum(metadata: Mapping[str, str], weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of what a generator's file says and holds: safetensors does not check its content."""
    digest = hashlib.sha256()
    for name in ("format", "generator", "material", "facts"):
        digest.update(metadata.get(name, "").encode() + b"\0")
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _check_finite(weights: Mapping[str, Tensor]) -> None:
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise InputError(f"weight {name} is not finite: train again, or use an earlier model")
