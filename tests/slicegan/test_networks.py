"""Networks: the paper's sizes, tiles that agree, outputs, and first weights."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import original_networks as original
import pytest
import torch
from refusing import refusal
from torch import nn
from torch.nn import functional

from slicegan.config import CriticConfig, GeneratorConfig, Layer
from slicegan.networks import Critic, Generator, initialise, symmetrise

TRANSPOSE = GeneratorConfig(
    latent_channels=4, filters=(8, 6), layers=(*[Layer(4, 2, 2)] * 2, Layer(4, 2, 3))
)
RESIZE = replace(TRANSPOSE, kind="resize", layers=TRANSPOSE.layers[:2])
BOTH = pytest.mark.parametrize("config", [TRANSPOSE, RESIZE], ids=["transpose", "resize"])
# Sums of at most a thousand products in float32, in another order.
CLOSE = 1e-5


def trained(config: GeneratorConfig) -> Generator:
    """A generator with weights and running statistics of its own, in eval mode."""
    random = torch.Generator().manual_seed(0)
    generator = Generator(config)
    initialise(generator, "he", random)
    for norm in generator.norms:
        norm.running_mean.normal_(generator=random)
        norm.running_var.uniform_(0.5, 2, generator=random)
    return generator.eval().requires_grad_(False)


def noise(*shape: int, channels: int = 4) -> torch.Tensor:
    return torch.randn(1, channels, *shape, generator=torch.Generator().manual_seed(1))


def weights(network: nn.Module) -> int:
    """Weights of convolutions."""
    return sum(tensor.numel() for tensor in network.parameters() if tensor.ndim > 1)


def test_the_paper_generator_makes_64_voxels_of_4_sites() -> None:
    generator = Generator(GeneratorConfig(channels=3)).eval()
    # 4^3 (64 512 + 512 256 + 256 128 + 128 64 + 64 3): the 13.12 million of Table 1.
    assert weights(generator) == 13_119_488
    with torch.no_grad():
        assert generator(noise(4, 4, 4, channels=64)).shape == (1, 3, 64, 64, 64)


def test_the_paper_critic_makes_one_number_of_a_slice() -> None:
    critic = Critic(CriticConfig(channels=3))
    # 4^2 (3 64 + 64 128 + 128 256 + 256 512 + 512).
    assert weights(critic) == sum(tensor.numel() for tensor in critic.parameters()) == 2_763_776
    assert critic(torch.rand(5, 3, 64, 64)).shape == (5,)
    assert len(list(critic.modules())) - 2 == 5  # but for the network and its list
    deep = Critic(CriticConfig(filters=(4, 4, 4, 4, 4), channels=3))
    assert deep(torch.rand(2, 3, 128, 128)).shape == (2,)


def test_a_critic_judges_each_slice_for_itself() -> None:
    critic = Critic(CriticConfig(filters=(4, 8), leak=0.2))
    slices = torch.rand(6, 2, 16, 16, generator=torch.Generator().manual_seed(2))
    judged = critic(slices)
    assert judged.unique().numel() == 6
    assert torch.allclose(critic(slices[2:3]), judged[2], rtol=0, atol=CLOSE)


@BOTH
@pytest.mark.parametrize("shape", [(4, 4, 4), (3, 5, 4), (7, 4, 3)])
def test_size_is_what_comes_out(config: GeneratorConfig, shape: tuple[int, int, int]) -> None:
    # Also by a factor at which voxels and sites part, as in converted networks.
    odd = replace(RESIZE, upsampling=66 / 34)
    for generator in (trained(config), trained(odd)):
        expected = tuple(generator.size(n) for n in shape)
        assert generator(noise(*shape)).shape == (1, 2, *expected)


@BOTH
def test_latent_is_the_least_that_suffices(config: GeneratorConfig) -> None:
    generator = Generator(config)
    assert generator.stride == 8
    for size in (1, 8, 9, 64, 100):
        latent = generator.latent(size)
        assert generator.size(latent) >= size > generator.size(latent - 1)
    assert generator.size(9) - generator.size(4) == 5 * generator.stride


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (replace(TRANSPOSE, filters=(8,)), "a transpose generator of 3 layers needs 2 filters"),
        (replace(RESIZE, filters=(8,)), "a resize generator of 2 layers needs 2 filters, got 1"),
        (replace(TRANSPOSE, layers=(), filters=()), "of 0 layers"),
        (replace(RESIZE, layers=(), filters=()), "of 0 layers"),
    ],
)
def test_filters_must_fit_layers(config: GeneratorConfig, message: str) -> None:
    assert message in refusal(Generator, config)


@BOTH
def test_no_layer_is_dead(config: GeneratorConfig) -> None:
    generator = Generator(config)
    values = generator(noise(4, 4, 4))
    (values * torch.rand(values.shape)).sum().backward()
    for name, tensor in generator.named_parameters():
        assert tensor.grad is not None, name
        assert tensor.grad.abs().max() > 0, name


@BOTH
def test_a_part_of_the_noise_makes_a_part_of_the_volume(config: GeneratorConfig) -> None:
    generator = trained(config)
    latent = noise(7, 5, 6)
    whole = generator(latent)
    for start, sites in (((0, 0, 0), (4, 4, 4)), ((3, 1, 2), (4, 4, 4)), ((2, 0, 1), (3, 5, 4))):
        window = tuple(slice(a, a + n) for a, n in zip(start, sites, strict=True))
        voxels = tuple(
            slice(a * generator.stride, a * generator.stride + generator.size(n))
            for a, n in zip(start, sites, strict=True)
        )
        part = generator(latent[(..., *window)])
        assert torch.allclose(part, whole[(..., *voxels)], rtol=0, atol=CLOSE)


@BOTH
def test_features_have_one_size_in_small_and_large_volumes(config: GeneratorConfig) -> None:
    generator = trained(config)
    latent = noise(12, 4, 4)
    small, large = generator(latent[:, :, :4]), generator(latent)
    assert large.shape[2] > 2 * small.shape[2]
    assert torch.allclose(small, large[:, :, : small.shape[2]], rtol=0, atol=CLOSE)


def test_in_the_resize_net_of_the_original_parts_and_sizes_do_not_agree() -> None:
    # It interpolates n sites to 2 (n - 1), by a factor that grows with the volume.
    lists = original.params((4, 8, 6, 2))
    made = original.weights(lists, resize=True)
    latent = noise(12, 4, 4)
    small = original.generate(lists, made, latent[:, :, :4])
    large = original.generate(lists, made, latent)[:, :, : small.shape[2]]
    assert (small - large).abs().max() > 0.1
    # A converted net keeps the factor; voxels and sites still part, and it says so.
    assert not Generator(replace(RESIZE, upsampling=1.8)).in_step
    # A wide volume comes out as wide as it is high.
    assert original.generate(lists, made, noise(4, 4, 12)).shape[2:] == (16, 16, 16)
    assert trained(RESIZE)(noise(4, 4, 12)).shape[4] > 64


@BOTH
def test_probabilities_sum_to_one(config: GeneratorConfig) -> None:
    values = trained(replace(config, channels=3))(noise(4, 4, 4))
    assert values.min() >= 0
    # Three roundings of float32 numbers below 1.
    assert torch.allclose(values.sum(dim=1), torch.ones(()), rtol=0, atol=4e-7)
    assert values.std() > 0.1


@BOTH
@pytest.mark.parametrize("channels", [1, 3])
def test_intensities_lie_between_0_and_1_and_vary(config: GeneratorConfig, channels: int) -> None:
    values = trained(replace(config, channels=channels, output="tanh"))(noise(4, 4, 4))
    assert values.shape[1] == channels
    assert values.min() >= 0
    assert values.max() <= 1
    assert values.std() > 0.01  # a softmax of one channel would be 1 everywhere
    if channels == 3:  # independent, unlike probabilities
        assert (values.sum(dim=1) - 1).abs().max() > 0.1


@BOTH
def test_logits_are_what_the_output_is_made_of(config: GeneratorConfig) -> None:
    generator = trained(config)
    logits = generator.logits(noise(3, 4, 5))
    assert torch.equal(generator(noise(3, 4, 5)), torch.softmax(logits, dim=1))
    assert logits.min() < 0


def test_the_leak_is_the_slope_below_zero() -> None:
    # Seen on the features that enter the second layer.
    generator = Generator(replace(TRANSPOSE, leak=0.2))
    features: list[torch.Tensor] = []
    generator.convs[1].register_forward_hook(lambda _, inputs, __: features.append(inputs[0]))
    generator(noise(4, 4, 4))
    generator.config = replace(TRANSPOSE, leak=0.0)
    generator(noise(4, 4, 4))
    leaky, rectified = features
    assert torch.allclose(leaky, torch.where(leaky > 0, rectified, leaky))
    assert rectified.min() == 0
    assert leaky.min() < 0


# Standard deviations by scheme, from the definitions: 4^3 elements meet each of the input
# channels, 2^3 of which differ in phase for a transposed convolution of stride 2.
DEVIATIONS = {
    "normal": (0.02, 0.02, 0.02),
    "he": ((2 / (48 * 8)) ** 0.5, (2 / (24 * 27)) ** 0.5, (2 / (32 * 16)) ** 0.5),
    "torch": ((48 * 8 * 3) ** -0.5, (24 * 27 * 3) ** -0.5, (32 * 16 * 3) ** -0.5),
}


@pytest.mark.parametrize("scheme", list(DEVIATIONS))
def test_first_weights_have_the_stated_mean_and_deviation(scheme: str) -> None:
    generator = Generator(
        GeneratorConfig("resize", 48, filters=(24,), layers=(Layer(4, 2, 2),), channels=16)
    )
    critic = Critic(CriticConfig(filters=(32, 48), channels=2))
    for network in (generator, critic):
        initialise(network, scheme, torch.Generator().manual_seed(0))
    tensors = generator.convs[0].weight, generator.resize.weight, critic.convs[1].weight
    for tensor, deviation in zip(tensors, DEVIATIONS[scheme], strict=True):
        n = tensor.numel()  # over 10 000 in each
        # Five standard errors of a mean, and of a standard deviation, of n normal numbers.
        assert abs(tensor.mean()) < 5 * deviation / n**0.5
        assert abs(tensor.std() / deviation - 1) < 5 / (2 * n) ** 0.5
    assert generator.resize.bias.abs().max() == 0


def test_he_weights_keep_the_variance_of_signals() -> None:
    # Through six layers without normalisation; with DCGAN's 0.02 the signal dies.
    config = CriticConfig(filters=(64, 64, 64, 64, 64))
    ratios = {}
    for scheme in ("he", "normal"):
        critic = Critic(config)
        initialise(critic, scheme, torch.Generator().manual_seed(0))
        slices = torch.randn(8, 2, 128, 128, generator=torch.Generator().manual_seed(1))
        features = slices
        for conv in critic.convs:
            features = functional.relu(conv(features))
        ratios[scheme] = (features.square().mean() / slices.square().mean()).item()
    # Mean square after ReLU is half a variance of twice the input's; the border costs some.
    assert 0.3 < ratios["he"] < 3
    assert ratios["normal"] < 0.01


@BOTH
def test_a_seed_fixes_the_first_weights(config: GeneratorConfig) -> None:
    def start(seed: int) -> Generator:
        generator = Generator(config)
        initialise(generator, "normal", torch.Generator().manual_seed(seed))
        return generator

    first, same, other = (dict(start(seed).named_parameters()) for seed in (1, 1, 2))
    for name, tensor in first.items():
        assert torch.equal(tensor, same[name])
    assert not torch.equal(first["convs.0.weight"], other["convs.0.weight"])


def test_a_symmetric_generator_turns_with_its_noise() -> None:
    generator = trained(TRANSPOSE)
    given = noise(4, 5, 6)
    orders = [(0, 1, *order) for order in permutations((2, 3, 4))]

    def turns() -> bool:
        volume = generator(given)
        return all(
            torch.allclose(generator(given.permute(order)), volume.permute(order), atol=CLOSE)
            for order in orders
        )

    assert not turns()
    before = float(generator.convs[0].weight.std())
    symmetrise(generator)
    assert turns()
    assert float(generator.convs[0].weight.std()) == pytest.approx(before, rel=0.1)


@pytest.mark.parametrize("upsampling", [1.3, 2.0, 2.75])
@pytest.mark.parametrize("kind", ["transpose", "resize"])
def test_latent_sites_are_the_fewest_that_give_the_size(kind: Any, upsampling: float) -> None:
    layers = (Layer(4, 2, 2), Layer(5, 3, 2), Layer(4, 2, 3))
    config = GeneratorConfig(
        kind=kind, filters=(3, 2) if kind == "transpose" else (3, 2, 2), layers=layers,
        upsampling=upsampling, dense=False,
    )  # fmt: skip
    with torch.device("meta"):
        generator = Generator(config)
    for size in (*range(1, 150), 10**9):
        n = generator.latent(size)
        assert generator.size(n) >= size
        assert n == 1 or generator.size(n - 1) < size
