"""What a volume accepts, refuses and keeps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import metrics
import slicegan
from metrics import effective_diffusivity
from metrics.volume import (
    InputError,
    Phase,
    Volume,
    as_volume,
    check_spacing,
    periodic_axes,
    unique_labels,
)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.int64, np.uint64])
def test_every_integer_type_is_a_label(dtype: type) -> None:
    assert as_volume(np.array([[[0, 1]]], dtype)).phase_labels == (0, 1)


def test_labels_are_not_copied() -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    assert np.shares_memory(Volume(labels).labels, labels)
    assert np.shares_memory(Volume(labels).crop(np.s_[1:2, :, :]).labels, labels)


def test_crop_keeps_phases_that_it_misses() -> None:
    v = Volume(np.array([[[0, 1, 2]]]), (1, 2, 3), "um")
    part = v.crop(np.s_[:, :, :1])
    assert part.phase_labels == (0, 1, 2)
    assert (part.spacing, part.unit) == (v.spacing, "um")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((3, 3), int), "3D"),
        (np.zeros((0, 3, 3), int), "no voxel"),
        (np.zeros((2, 2, 2)), "segment"),
        (np.full((2, 2, 2), np.nan), "segment"),
        (np.arange(27).reshape(3, 3, 3), "grey"),
        (np.arange(100_000).reshape(10, 100, 100), "grey"),
    ],
)
def test_unusable_labels_are_refused(labels: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_volume(labels)


@pytest.mark.parametrize("spacing", [0, -1, (1, 1), (1, 1, np.nan), (1, 1, np.inf)])
def test_impossible_spacing_is_refused(spacing: object) -> None:
    with pytest.raises(InputError, match="spacing"):
        check_spacing(spacing)  # type: ignore[arg-type]


def test_one_spacing_serves_all_axes() -> None:
    assert check_spacing(2) == (2.0, 2.0, 2.0)


def test_unknown_phase_is_refused() -> None:
    v = as_volume(np.array([[[0, 255]]]))
    with pytest.raises(InputError, match="no phase 1: the volume's phases are 0, 255"):
        v.mask(1)


def test_labels_must_be_phases() -> None:
    with pytest.raises(InputError, match="label 2"):
        Volume(np.array([[[0, 2]]]), phases=(Phase("a", 0, 0), Phase("b", 1, 1)))


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ((Phase("b", 1, 1), Phase("a", 0, 0)), "ascend"),
        ((Phase("a", 0, 0), Phase("b", 0, 1)), "ascend"),
        ((Phase("a", 0, 0), Phase("a", 1, 1)), "one name"),
        (tuple(Phase(str(k), k, k) for k in range(17)), "at most 16"),
    ],
)
def test_phases_that_would_mislead_are_refused(phases: tuple[Phase, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Volume(np.array([[[0, 1]]]), phases=phases)


def test_name_of_a_label() -> None:
    v = Volume(np.array([[[0, 1]]]), phases=(Phase("pore", 0, 0), Phase("ni", 1, 127)))
    assert v.name(1) == "ni"


def test_periodic_axes() -> None:
    assert periodic_axes(True) == (True, True, True)
    assert periodic_axes("xz") == (True, False, True)
    with pytest.raises(InputError, match="axis"):
        periodic_axes("w")


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_unique_labels_equal_numpy(dtype: type) -> None:
    labels = np.random.default_rng(0).choice([0, 7, 127], (5, 6, 7)).astype(dtype)
    assert unique_labels(labels) == np.unique(labels).tolist()


NAMED = Volume(
    np.random.default_rng(0).integers(0, 2, (8, 9, 10)) * 3,
    (0.5, 0.5, 0.5),
    "um",
    (Phase("pore", 0, 0), Phase("ni", 3, 127)),
)


@pytest.mark.parametrize(
    "measure",
    [
        metrics.local_thickness,
        metrics.representativity,
        metrics.specific_surface_area,
        metrics.two_point_correlation,
        metrics.two_point_cluster,
        metrics.lineal_path,
        partial(metrics.chord_length, axis="z"),
        partial(metrics.euler_number, connectivity=6),
        partial(metrics.percolation, axis="z"),
        partial(metrics.effective_diffusivity, axis="z"),
        metrics.diffusivity_tensor,
    ],
)
def test_a_phase_has_a_label_and_a_name(measure: Callable[..., Any]) -> None:
    by_label, by_name = measure(NAMED, phase=3), measure(NAMED, phase="ni")
    assert str(by_name) == str(by_label)
    with pytest.raises(InputError, match=r"no phase ysz: the volume's phases are 0 \(pore\), 3"):
        measure(NAMED, phase="ysz")


def test_conductors_and_pairs_of_phases_have_names_too() -> None:
    by_name, by_label = (
        effective_diffusivity(NAMED, diffusivities=given, axis="x").value
        for given in ({"pore": 1.0, "ni": 0.5}, {0: 1.0, 3: 0.5})
    )
    assert by_name == by_label
    one, other = (
        metrics.two_point_correlation(NAMED, phase=i, other=j).radial
        for i, j in (("pore", "ni"), (0, 3))
    )
    np.testing.assert_array_equal(one, other)


def test_repr_is_one_line() -> None:
    share = np.mean(NAMED.labels == 0)
    assert repr(NAMED) == (
        f"Volume(8 x 9 x 10 voxels of 0.5 x 0.5 x 0.5 um; pore {share:.1%}, ni {1 - share:.1%})"
    )


def test_public_names_alone_are_listed() -> None:
    assert dir(metrics) == sorted(metrics.__all__)
    assert "generate" in dir(slicegan) and not {"lazy_loader", "os"} & set(dir(slicegan))


@pytest.mark.parametrize("name", ["=1+1", "@SUM(A1)", "a\x07", "a\nb"])
def test_names_that_would_do_harm_in_a_table_or_picture(name: str) -> None:
    phases = (Phase(name, 0, 0), Phase("solid", 1, 1))
    with pytest.raises(InputError, match="a name may hold no control character"):
        Volume(np.zeros((1, 1, 1), np.uint8), phases=phases)


@pytest.mark.parametrize("spacing", [1e-320, 1e300, (1.0, 1e-200, 1.0)])
def test_lengths_whose_products_are_no_numbers(spacing: float | tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="spacing must be one or three positive lengths"):
        check_spacing(spacing)
