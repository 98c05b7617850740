"""The generator of volumes, the critic of slices, and the rules that make every voxel alike.

A transposed convolution obeys the rules of uniform information density (Kench and Cooper 2021) if
its kernels overlap (stride < kernel), each voxel meets equally many of their elements (kernel a
multiple of stride: no chequerboard), and the voxels at the rim that meet fewer are cut away
(padding >= kernel - stride). A generator that obeys them throughout has no edges: what it makes
from a part of the latent noise is a part of what it makes from the whole.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import accumulate, pairwise, product

import torch
from torch import Tensor, nn
from torch.nn import functional

from metrics.volume import InputError
from slicegan.config import CriticConfig, GeneratorConfig, Layer

# The resize-convolution: interpolation needs a neighbour on each side, which the rim lacks.
RESIZE_KERNEL = 3
RESIZE_RIM = 1


class Generator(nn.Module):
    """Volumes from latent noise.

    Weights start as PyTorch's default; `initialise` sets them for training.

    Parameters
    ----------
    config : GeneratorConfig
        Layers and channels.

    Raises
    ------
    InputError
        If a layer breaks a rule of uniform information density (unless ``config.dense`` is
        False), or filters and layers do not fit each other.
    """

    offset: Tensor  # of the logits, in a calibrated generator

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        check_layers(config)
        self.config = config
        resize = config.kind == "resize"
        channels = [config.latent_channels, *config.filters]
        if not resize:
            channels.append(config.channels)
        self.convs = nn.ModuleList(
            nn.ConvTranspose3d(before, after, layer.kernel, layer.stride, layer.padding, bias=False)
            for (before, after), layer in zip(pairwise(channels), config.layers, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm3d(width) for width in config.filters)
        if config.fine_noise:
            self.strengths = nn.ParameterList(
                torch.full((width,), config.fine_noise) for width in config.filters
            )
        if resize:
            self.resize = nn.Conv3d(config.filters[-1], config.channels, RESIZE_KERNEL)
        if config.calibrated:
            n, period = config.places, config.places * config.pitch
            if n > 1 and (not self.in_step or self.stride % period):
                raise InputError(
                    f"places={n} times pitch={config.pitch} must divide the stride, {self.stride} "
                    "voxels"
                )
            shape = (config.channels, n, n, n) if n > 1 else (config.channels,)
            self.register_buffer("offset", torch.zeros(shape))

    def forward(self, noise: Tensor, fine: Sequence[Tensor] = ()) -> Tensor:
        """Values in [0, 1]: noise (N, latent channels, z, y, x) -> (N, channels, Z, Y, X).

        `fine` is one tensor (N, 1, z, y, x) of normal noise for each hidden layer, of the sizes
        `fine_sizes`; none for a generator without fine noise.
        """
        values = self.logits(noise, fine)
        if self.config.output == "softmax":
            return torch.softmax(values, dim=1)
        return 0.5 * (torch.tanh(values) + 1)

    def logits(self, noise: Tensor, fine: Sequence[Tensor] = ()) -> Tensor:
        """Output before softmax or tanh, of the same shape: enough to tell the likeliest phase."""
        features = noise
        for k, norm in enumerate(self.norms):
            features = norm(self.convs[k](features))
            if self.config.fine_noise:
                features = torch.addcmul(features, self.strengths[k][:, None, None, None], fine[k])
            features = functional.leaky_relu(features, self.config.leak, inplace=True)
        last = self.convs[-1] if self.config.kind == "transpose" else self._resized
        out: Tensor = last(features)
        return out + self._offset_at(out.shape[2:]) if self.config.calibrated else out

    def _offset_at(self, shape: Sequence[int]) -> Tensor:
        """What is added to each channel at each voxel; every output begins at place 0."""
        if self.config.places == 1:
            return self.offset[:, None, None, None]
        offset, pitch = self.offset, self.config.pitch
        if pitch > 1:
            around = functional.pad(offset[None], (1,) * 6, mode="circular")
            between = functional.interpolate(around, scale_factor=pitch, mode="trilinear")[0]
            offset = between[:, pitch:-pitch, pitch:-pitch, pitch:-pitch]
        z, y, x = (torch.arange(n, device=offset.device) % len(offset[0]) for n in shape)
        return offset[:, z[:, None, None], y[:, None], x]

    def _resized(self, features: Tensor) -> Tensor:
        factor = self.config.upsampling
        features = functional.interpolate(
            features, scale_factor=factor, mode="trilinear", recompute_scale_factor=False
        )
        if self.in_step:
            inner = slice(RESIZE_RIM, -RESIZE_RIM)
            features = features[..., inner, inner, inner]
        out: Tensor = self.resize(features)
        return out

    @property
    def in_step(self) -> bool:
        """Whether voxels and latent sites keep step, so that tiles agree with the whole."""
        return self.config.kind == "transpose" or self.config.upsampling == 2

    @property
    def stride(self) -> int:
        """Voxels per latent site."""
        strides = math.prod(layer.stride for layer in self.config.layers)
        return strides if self.config.kind == "transpose" else 2 * strides

    def fine_pitches(self) -> list[int]:
        """Sites of the fine noise of each hidden layer per latent site."""
        strides = [layer.stride for layer in self.config.layers[: len(self.norms)]]
        return list(accumulate(strides, operator.mul)) if self.config.fine_noise else []

    def fine_sizes(self, latent: int) -> list[int]:
        """Sites of the fine noise of each hidden layer along an axis with so many latent sites."""
        n, sizes = latent, []
        for kernel, stride, padding in self.config.layers[: len(self.fine_pitches())]:
            n = stride * (n - 1) + kernel - 2 * padding
            sizes.append(n)
        return sizes

    def size(self, latent: int) -> int:
        """Voxels along an axis with so many latent sites: ``stride * latent - const``."""
        n = latent
        for kernel, stride, padding in self.config.layers:
            n = stride * (n - 1) + kernel - 2 * padding
        if self.config.kind == "resize":
            n = math.floor(n * self.config.upsampling) - RESIZE_KERNEL + 1
            n -= 2 * RESIZE_RIM * self.in_step
        return n

    def latent(self, size: int) -> int:
        """Fewest latent sites along an axis that give at least so many voxels."""
        # Sizes grow by the stride, up to the rounding of an interpolation: start just below.
        far = 10**6
        stride = (self.size(far) - self.size(1)) / (far - 1)
        n = max(1, int((size - self.size(1)) / stride) - 1)
        while self.size(n) < size:
            n += 1
        return n


class Drawing(nn.Module):
    """A generator that draws its fine noise itself, for what calls a network of one argument."""

    def __init__(self, generator: nn.Module, draw: Callable[[], Sequence[Tensor]]) -> None:
        super().__init__()
        self.generator = generator
        self.draw = draw

    def forward(self, noise: Tensor) -> Tensor:
        """Volumes from latent noise."""
        volumes: Tensor = self.generator(noise, self.draw())
        return volumes


class Critic(nn.Module):
    """Judge of square slices: the larger its number, the more real the slice seems.

    Parameters
    ----------
    config : CriticConfig
        Channels, and by their count the slice size.
    """

    def __init__(self, config: CriticConfig) -> None:
        super().__init__()
        self.config = config
        channels = [config.channels, *config.filters]
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1, bias=False)
            for before, after in pairwise(channels)
        )
        self.judge = nn.Conv2d(channels[-1], 1, kernel_size=4, bias=False)

    def forward(self, slices: Tensor) -> Tensor:
        """One number for each slice: (N, channels, H, W) -> (N,)."""
        features = slices
        for conv in self.convs:
            features = functional.leaky_relu(conv(features), self.config.leak, inplace=True)
        return self.judge(features).flatten()


def repeatable() -> AbstractContextManager[None]:
    """Context in which convolutions on a GPU are in float32, and the same in every run and tile."""
    # Not so the fastest algorithms of cuDNN, nor TF32.
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)


def initialise(network: nn.Module, scheme: str, random: torch.Generator) -> None:
    """Set the first weights of a network, in place.

    Parameters
    ----------
    network : nn.Module
        Generator or critic on the device of `random`.
    scheme : {"normal", "he", "torch"}
        Standard deviation of the (zero-mean) weights: 0.02 as in DCGAN; that of He et al. 2015,
        sqrt(2 / fan-in), which keeps the variance of signals under ReLU; or sqrt(1 / (3 fan-in)),
        which is PyTorch's default for convolutions that are not transposed. The fan-in of a
        transposed convolution counts the elements that meet in one voxel.
    random : torch.Generator
        Source of the weights.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose3d):
            fan_in = module.in_channels * math.prod(module.kernel_size)
            if isinstance(module, nn.ConvTranspose3d):
                fan_in //= math.prod(module.stride)
            deviation = {"normal": 0.02, "he": (2 / fan_in) ** 0.5, "torch": (3 * fan_in) ** -0.5}
            nn.init.normal_(module.weight, 0.0, deviation[scheme], generator=random)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def symmetrise(generator: Generator) -> None:
    """Make kernels alike along z, y and x, in place: turned noise then gives a turned volume.

    Each weight is set to that of its position with the indices sorted, which keeps the variance.
    For isotropic materials: kernels drawn at random prefer some axis, and training, which sees
    planes only, may leave the volumes with it.
    """
    with torch.no_grad():
        for module in generator.modules():
            if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
                places = product(range(module.kernel_size[0]), repeat=3)
                z, y, x = torch.tensor([sorted(place) for place in places]).T
                module.weight.copy_(module.weight[:, :, z, y, x].view_as(module.weight))


def check_layers(config: GeneratorConfig) -> None:
    """Raise `InputError` unless filters fit layers, and layers the rules of density."""
    hidden = len(config.layers) - (config.kind == "transpose")
    if len(config.filters) != hidden or not config.layers:
        raise InputError(
            f"a {config.kind} generator of {len(config.layers)} layers needs {hidden} filters, "
            f"got {len(config.filters)}"
        )
    for index, layer in enumerate(config.layers, start=1):
        kernel, stride, padding = layer
        if config.dense and not admissible(layer):
            k, s, p = nearest_admissible(layer)
            raise InputError(
                f"generator layer {index}: kernel {kernel}, stride {stride}, padding {padding} "
                "breaks stride < kernel, kernel a multiple of stride, padding >= kernel - stride: "
                f"the nearest that holds is kernel {k}, stride {s}, padding {p}"
            )


def admissible(layer: Sequence[int]) -> bool:
    """Whether kernel, stride and padding give every voxel the same density of information."""
    kernel, stride, padding = layer
    return stride < kernel and kernel % stride == 0 and padding >= kernel - stride


def nearest_admissible(layer: Layer) -> Layer:
    """Admissible layer of the same stride, with the least sum of changes.

    Examples
    --------
    >>> nearest_admissible(Layer(4, 2, 1))
    Layer(kernel=4, stride=2, padding=2)
    """
    kernel, stride, padding = layer
    multiple = max(2, kernel // stride) * stride
    candidates = [Layer(k, stride, max(padding, k - stride)) for k in (multiple, multiple + stride)]
    return min(candidates, key=lambda new: abs(new.kernel - kernel) + new.padding - padding)


def count_weights(network: nn.Module) -> int:
    """Number of weights of a network."""
    return sum(weight.numel() for weight in network.parameters())
