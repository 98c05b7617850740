"""What defines a network, a material and a training run: frozen dataclasses.

`slicegan.settings` reads them from JSON, presets and single settings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import (
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from metrics.io.images import Kind
from metrics.volume import Phase

Share = Annotated[float, Field(ge=0, le=1)]
Beta = Annotated[float, Field(ge=0, lt=1)]
# Unknown keys and wrong types are errors, not guesses; JSON has lists where we have tuples.
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Layer(NamedTuple):
    """One transposed convolution: kernel, stride and padding, equal along all axes."""

    kernel: Annotated[int, Field(ge=1, le=64)]
    stride: Annotated[int, Field(ge=1, le=64)]
    padding: Annotated[int, Field(ge=0, le=64)]


@dataclass(frozen=True)
class GeneratorConfig:
    """A generator: from latent noise (N, `latent_channels`, z, y, x) to (N, `channels`, Z, Y, X).

    Parameters
    ----------
    kind : {"transpose", "resize"}
        `transpose`: every layer is a transposed convolution, the last one makes the output (Kench
        and Cooper 2021, Table 1). `resize`: after the transposed layers, trilinear interpolation
        by `upsampling` and a 3x3x3 convolution make the output.
    latent_channels : int
        Channels of the noise.
    filters : tuple of int
        Channels after each hidden layer.
    layers : tuple of Layer
        Transposed convolutions: one more than `filters` in a `transpose` net, as many in a
        `resize` net.
    leak : float
        Slope of the activation below zero; 0 is ReLU.
    channels : int
        Channels of the output: phases, 1 for grey, 3 for colour.
    output : {"softmax", "tanh"}
        Probability of each phase, or 0.5 (tanh + 1) for grey and colour.
    upsampling : float
        Factor of a `resize` net's last layer. Only at 2 do voxels and latent sites keep step, so
        that tiles agree; other factors occur in converted networks.
    dense : bool
        Whether all layers must obey the rules of uniform information density. False only in
        converted networks.
    calibrated : bool
        Whether a number for each channel is added to the logits (`slicegan.calibration`).
    places : int
        Numbers of a channel along each axis, after which they repeat: 1 for one number a channel,
        else one for each channel and place.
    pitch : int
        Voxels from one place to the next; between places the numbers are interpolated linearly.
        `places` times `pitch` divides the stride.
    fine_noise : float
        First strength of the noise that every hidden layer adds to its normalised features, one
        number a voxel, with a learned weight for each channel (StyleGAN, Karras et al. 2019): fine
        texture then need not be written by its place between two latent sites. 0: none, as in the
        original.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    kind: Literal["transpose", "resize"] = "transpose"
    latent_channels: PositiveInt = 64
    filters: tuple[PositiveInt, ...] = (512, 256, 128, 64)
    layers: tuple[Layer, ...] = (*[Layer(4, 2, 2)] * 4, Layer(4, 2, 3))
    leak: Share = 0.0
    channels: PositiveInt = 2
    output: Literal["softmax", "tanh"] = "softmax"
    upsampling: PositiveFloat = 2.0
    dense: bool = True
    calibrated: bool = False
    places: PositiveInt = 1
    pitch: PositiveInt = 1
    fine_noise: NonNegativeFloat = 0.0


@dataclass(frozen=True)
class CriticConfig:
    """A critic of square slices: strided 4x4 convolutions down to one number, no normalisation.

    Parameters
    ----------
    filters : tuple of int
        Channels after each hidden layer: four for slices of 64 voxels, five for 128.
    leak : float
        Slope of the activation below zero; 0 is ReLU.
    channels : int
        Channels of a slice.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    filters: tuple[PositiveInt, ...] = (64, 128, 256, 512)
    leak: Share = 0.0
    channels: PositiveInt = 2

    @property
    def slice_size(self) -> int:
        """Side of the slices in voxels: halved by every hidden layer, down to 4."""
        return int(4 * 2 ** len(self.filters))


@dataclass(frozen=True)
class TrainingConfig:
    """How generator and critics learn.

    Parameters
    ----------
    loss : {"wgan-gp", "relativistic"}
        Wasserstein loss with gradient penalty (Gulrajani et al. 2017), or relativistic pairing with
        zero-centred penalties on real and generated slices (R3GAN, Huang et al. 2024).
    steps : int
        Steps of the generator.
    critic_steps : int
        Steps of every critic before each of them.
    critic_volumes, generator_volumes : int
        Volumes generated for a step of the critics and of the generator (the paper's m_D, m_G).
    slices : int
        Slices shown out of each volume and axis, at random depths; 0 shows all of them.
    real_slices : int
        Real slices for a step of a critic; 0 draws as many as are generated, which the
        relativistic loss needs.
    penalty : float
        Weight of the gradient penalty: lambda of WGAN-GP, gamma of the zero-centred penalties.
    penalty_every : int
        Steps of a critic from one penalty to the next, which then weighs as many times more.
    penalty_slices : int
        Slices that a penalty is taken on, drawn from all generated; 0 takes as many as are real,
        or all that are generated if those are fewer.
    generator_rate, critic_rate : float
        Learning rates of Adam.
    betas : (float, float)
        Of Adam.
    decay : float
        Share of the learning rates left at the end, reached along a cosine; 1 keeps them constant.
    init : {"normal", "he", "torch"}
        Variance of the first weights: 0.02^2 as DCGAN, 2 / fan-in, or 1 / (3 fan-in).
    symmetric : bool
        Whether the first kernels of the generator of an isotropic material are alike along z, y
        and x.
    lattice : float
        Weight of the penalty on differences between places of the stride
        (`slicegan.losses.PlacePenalty`); 0: none, as in the original.
    isotropy : float
        Weight of the penalty on differences between the axes of an isotropic material
        (`slicegan.losses.AxisPenalty`); 0: none, as in the original.
    affine : float
        Share of the slices of an isotropic material, real and generated, that a critic sees turned
        by any angle and zoomed (`slicegan.augmentation`): for one image, which it would else learn
        by heart.
    cutout : float
        Share of slices that it sees with a hole.
    average : float
        Decay of the exponential moving average of the generator's weights; 0 uses the last ones.
    norm_volumes : int
        Volumes whose means and variances are given to BatchNorm in the averaged generator. With 16
        of 64^3 voxels the volume fractions of one generator differed by 0.004 from draw to draw,
        with 64 by 0.001.
    calibration_volumes : int
        Volumes on which the fractions of the generator that a run ends with are set
        (`slicegan.evaluation`); evaluations take `norm_volumes`.
    latent_size : int
        Sites of the latent noise along each axis; 4 gives volumes of 64 voxels.
    evaluate_every : int
        Steps of the generator between two evaluations, each of which also saves the state.
    validation_volumes : int
        Volumes of an evaluation, each twice as wide as the critic's slices.
    precision : {"float32", "tf32", "bf16"}
        Of convolutions on a GPU: `tf32` for all, `bf16` for the generator and TF32 for critics.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    loss: Literal["wgan-gp", "relativistic"] = "wgan-gp"
    steps: PositiveInt = 5400
    critic_steps: PositiveInt = 5
    critic_volumes: PositiveInt = 8
    generator_volumes: PositiveInt = 16
    slices: NonNegativeInt = 0
    real_slices: NonNegativeInt = 32
    penalty: NonNegativeFloat = 10.0
    penalty_every: PositiveInt = 1
    penalty_slices: NonNegativeInt = 0
    generator_rate: PositiveFloat = 1e-4
    critic_rate: PositiveFloat = 1e-4
    betas: tuple[Beta, Beta] = (0.0, 0.9)
    decay: Share = 1.0
    init: Literal["normal", "he", "torch"] = "normal"
    symmetric: bool = False
    lattice: NonNegativeFloat = 0.0
    isotropy: NonNegativeFloat = 0.0
    affine: Share = 0.0
    cutout: Share = 0.0
    average: Share = 0.0
    norm_volumes: PositiveInt = 64
    calibration_volumes: PositiveInt = 2048
    latent_size: PositiveInt = 4
    evaluate_every: PositiveInt = 100
    validation_volumes: PositiveInt = 4
    precision: Literal["float32", "tf32", "bf16"] = "float32"


@dataclass(frozen=True)
class Material:
    """What the training images show, and what generated volumes therefore hold.

    Parameters
    ----------
    kind : {"phases", "grey", "colour"}
        Segmented phases, or intensities.
    phases : tuple of Phase
        Name, label and value in the image of every phase; empty for grey and colour.
    spacing : (float, float, float)
        Edge lengths of a voxel along z, y, x, in `unit`.
    unit : str
        Length unit; ``"voxel"`` where the pixel size is not known.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    kind: Kind = "phases"
    phases: tuple[Phase, ...] = ()
    spacing: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (1.0, 1.0, 1.0)
    unit: str = "voxel"

    @property
    def channels(self) -> int:
        """Channels of an image as the networks see it."""
        return {"phases": len(self.phases), "grey": 1, "colour": 3}[self.kind]


@dataclass(frozen=True)
class DataConfig:
    """Training images and how to read them: the arguments of `load_training_data`.

    Parameters
    ----------
    images : tuple of str, or dict of str to tuple of str
        Files of one isotropic material or one volume; or files for each of the axes z, y, x.
    kind : {"phases", "grey", "colour"}
        What they show.
    phases : dict of str to int, optional
        Name and value of every phase.
    spacing, unit : (float, float, float) and str, optional
        Voxel size along z, y, x.
    isotropic : bool, optional
        Whether all axes are alike; None: those of 2D images without axes are, or with one image.
    flips : str
        Axes along which an anisotropic material may be mirrored.
    pages : bool
        Whether the pages of a TIFF are 2D images of their own.
    targets : dict of str to float
        Measured effective diffusivities (`slicegan.targets`).
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    images: tuple[str, ...] | dict[str, tuple[str, ...]]
    kind: Kind = "phases"
    phases: dict[str, int] | None = None
    spacing: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None = None
    unit: str | None = None
    isotropic: bool | None = None
    flips: str = ""
    pages: bool = False
    targets: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """Networks and training of one run."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    critic: CriticConfig = field(default_factory=CriticConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
