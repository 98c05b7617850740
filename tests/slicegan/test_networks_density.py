"""The rules of uniform information density, against counts of the elements that meet in a voxel."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from refusing import refusal
from torch.nn import functional

from slicegan.config import GeneratorConfig, Layer
from slicegan.networks import Generator, admissible, nearest_admissible

LAYERS = st.builds(Layer, st.integers(1, 8), st.integers(1, 5), st.integers(0, 8))


def contributions(layer: Layer) -> torch.Tensor:
    """Kernel elements that meet in each voxel along an axis long enough to show every phase."""
    kernel, stride, padding = layer
    sites = torch.ones(1, 1, 2 * (kernel + padding) + 5)
    ones = torch.ones(1, 1, kernel)
    return functional.conv_transpose1d(sites, ones, stride=stride, padding=padding).flatten()


@settings(max_examples=20)
@given(layer=LAYERS)
def test_admissible_layers_are_those_that_treat_all_voxels_alike(layer: Layer) -> None:
    counts = contributions(layer)
    alike = bool((counts == counts[0]).all())
    # At stride = kernel each voxel meets one element: alike, but no kernels overlap.
    assert admissible(layer) == (alike and counts[0] > 1)


@pytest.mark.parametrize(
    ("layer", "alike"),
    [
        ((4, 2, 2), True),
        ((4, 2, 3), True),
        ((6, 3, 3), True),
        ((6, 2, 4), True),
        ((4, 2, 1), False),  # the rim is left
        ((4, 1, 0), False),
        ((3, 2, 2), False),  # a chequerboard
        ((5, 2, 4), False),
        ((2, 3, 1), False),  # gaps
    ],
)
def test_layers_of_the_literature_are_told_apart(layer: tuple[int, int, int], alike: bool) -> None:
    assert admissible(layer) is alike
    counts = contributions(Layer(*layer))
    assert bool((counts == counts[0]).all()) is alike


@settings(max_examples=20)
@given(layer=LAYERS)
@example(layer=Layer(8, 3, 8))  # nearest from above
@example(layer=Layer(8, 3, 0))  # and from below
def test_the_nearest_admissible_layer_is_nearest(layer: Layer) -> None:
    def changes(other: Layer) -> int:
        return sum(abs(new - old) for new, old in zip(other, layer, strict=True))

    nearest = nearest_admissible(layer)
    assert admissible(nearest)
    assert nearest.stride == layer.stride
    same_stride = (Layer(k, layer.stride, p) for k, p in product(range(1, 21), repeat=2))
    assert changes(nearest) == min(changes(other) for other in same_stride if admissible(other))


def test_a_layer_that_breaks_a_rule_is_named_with_the_nearest_that_holds() -> None:
    layers = (Layer(4, 2, 2), Layer(4, 2, 1), Layer(4, 2, 3))
    config = GeneratorConfig(filters=(8, 6), layers=layers)
    message = refusal(Generator, config)
    assert message.startswith("generator layer 2: kernel 4, stride 2, padding 1 breaks ")
    assert message.endswith("the nearest that holds is kernel 4, stride 2, padding 2")
    Generator(replace(config, dense=False))
