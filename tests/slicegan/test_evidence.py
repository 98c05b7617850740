"""What images say of fractions: limits that hold the truth, few windows, axes that contradict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from metrics import representativity
from metrics.shapes import gaussian_random_field
from metrics.volume import AXES, Phase
from slicegan import evidence
from slicegan.config import Material
from slicegan.sources import Axes, Source

MATERIAL = Material("phases", (Phase("pore", 0, 0), Phase("solid", 1, 1)))


def image(seed: int, *, side: int = 192, fraction: float = 0.4, length: float = 3) -> np.ndarray:
    body = gaussian_random_field(
        (1, side, side), correlation_length=length, seed=seed, fractions=(fraction, 1 - fraction)
    )
    return np.asarray(body.volume.labels).astype(np.uint8)


def source(*images: np.ndarray, axes: Axes = AXES) -> Source:
    return Source(axes, tuple(torch.from_numpy(one) for one in images), channels=2)


def warnings(sources: Sequence[Source]) -> list[str]:
    return evidence.warnings(sources, [evidence.area_fractions(s) for s in sources], MATERIAL)


def test_an_image_is_judged_like_a_volume_of_one_layer() -> None:
    layer = image(0)
    assert representativity(layer[0], phase=1) == representativity(layer, phase=1)


def test_limits_are_those_of_the_image() -> None:
    found = evidence.area_fractions(source(image(0)))
    assert found is not None
    expected = representativity(image(0), phase=1)
    assert tuple(found[1].interval) == pytest.approx(tuple(expected.fraction))
    assert found[1].error == pytest.approx(expected.error)
    assert found[1].windows == pytest.approx(expected.samples)


def test_images_add_up() -> None:
    one, four = (
        evidence.area_fractions(source(*(image(seed) for seed in range(count)))) for count in (1, 4)
    )
    assert one is not None and four is not None
    # The integral range of one image of some 400 windows scatters by a few times a tenth.
    assert four[0].windows == pytest.approx(4 * one[0].windows, rel=0.5)
    assert four[0].error == pytest.approx(one[0].error / 2, rel=0.3)  # its square root
    shares = [(image(seed) == 0).mean() for seed in range(4)]
    assert four[0].interval.value == pytest.approx(np.mean(shares))


def test_a_large_image_is_judged_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evidence.area_fractions(source(image(0, side=301)))
    monkeypatch.setattr(evidence, "PART", 160)
    parts = evidence.area_fractions(source(image(0, side=301)))
    assert whole is not None and parts is not None
    assert parts[0].interval.value == pytest.approx(whole[0].interval.value, abs=1e-12)
    # The correlation within a part is about its own mean: a little less of it is seen.
    assert parts[0].error == pytest.approx(whole[0].error, rel=0.3)


def test_slices_of_a_volume_are_judged_as_a_volume() -> None:
    field = gaussian_random_field((48,) * 3, correlation_length=3, seed=0, fractions=(0.4, 0.6))
    labels = np.asarray(field.volume.labels).astype(np.uint8)
    found = evidence.area_fractions(source(labels, labels.swapaxes(0, 1)))
    assert found is not None
    expected = representativity(labels, phase=0)
    assert tuple(found[0].interval) == pytest.approx(tuple(expected.fraction))
    assert found[0].windows == pytest.approx(expected.samples)


def test_a_volume_is_judged_once_for_all_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    field = gaussian_random_field((24,) * 3, correlation_length=3, seed=0, fractions=(0.4, 0.6))
    labels = np.asarray(field.volume.labels).astype(np.uint8)
    axes: tuple[Axes, ...] = (("z",), ("y",), ("x",))
    sources = [source(labels.swapaxes(0, k), axes=axis) for k, axis in enumerate(axes)]
    judged, whole = [], evidence.area_fractions
    monkeypatch.setattr(evidence, "area_fractions", lambda one: judged.append(one) or whole(one))
    found = evidence.known_fractions(sources)
    assert len(judged) == 1 and len(found) == 3
    assert found[0] is found[2] is not None
    monkeypatch.setattr(evidence, "FEW_WINDOWS", 10**6)
    (line,) = evidence.warnings(sources, found, MATERIAL)
    assert line.startswith("few: of ")
    images = [source(image(k, side=64), axes=axis) for k, axis in enumerate(axes)]
    assert len({id(known) for known in evidence.known_fractions(images)}) == 3


def test_few_windows_are_said() -> None:
    assert warnings([source(image(0))]) == []
    (line,) = warnings([source(image(0, side=48, length=8))])
    assert line.startswith("few: of ") and "add images" in line


def test_axes_that_contradict_each_other_are_said() -> None:
    axes: tuple[Axes, ...] = (("z",), ("y",), ("x",))
    alike = [source(image(k), axes=axis) for k, axis in enumerate(axes)]
    assert warnings(alike) == []
    other = source(image(2, fraction=0.55), axes=("x",))
    lines = warnings([*alike[:2], other])
    assert len(lines) == 4  # both phases, x against z and y
    assert all("contradiction" in line and "normal to x" in line for line in lines)


def test_axes_of_one_law_contradict_each_other_by_chance_alone() -> None:
    images = [source(image(seed, side=96), axes=("z",)) for seed in range(40)]
    pairs = zip(images[::2], images[1::2], strict=True)
    said = [bool([s for s in warnings(pair) if s[0] == "c"]) for pair in pairs]
    # 0.3 % are expected; the limits err on the safe side.
    assert sum(said) <= 1
