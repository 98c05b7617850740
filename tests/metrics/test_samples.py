"""Samples that cannot be compared are refused; labels are matched by rank."""

from __future__ import annotations

import numpy as np
import pytest

from metrics.comparison.samples import absent, match
from metrics.volume import InputError, Phase, Volume

TWO = np.array([[[0, 255]]])


def test_labels_match_by_rank_and_names_come_from_real() -> None:
    real = Volume(np.array([[[0, 1]]]), phases=(Phase("pore", 0, 0), Phase("ni", 1, 127)))
    (gen,), _ = match(TWO, real)
    assert gen.labels.tolist() == [[[0, 1]]]
    assert gen.phases == real.phases


def test_large_labels_match_by_rank_too() -> None:
    large = np.array([[[2**60, 2**60 + 1]]], np.uint64)  # equal as float64
    (gen,), _ = match(large, np.array([[[0, 1]]]))
    assert gen.labels.tolist() == [[[0, 1]]]
    (gen,), _ = match(np.array([[[0, 1]]]), TWO)
    assert gen.labels.tolist() == [[[0, 255]]]


def test_arrays_and_lists_of_them() -> None:
    gen, real = match([TWO, TWO], TWO)
    assert (len(gen), len(real)) == (2, 1)


@pytest.mark.parametrize(
    ("gen", "real", "message"),
    [
        (
            np.array([[[0, 1, 2]]]),
            TWO,
            "3 phases in gen against 2 in real: name",
        ),
        (np.zeros((1, 1, 2), int), TWO, "gen holds one phase only"),
        (TWO, np.zeros((1, 1, 2), int), "real holds one phase only"),
        (Volume(TWO, (1, 1, 2)), Volume(TWO), "voxels of 1 x 1 x 2 voxel in gen"),
        (Volume(TWO, unit="um"), Volume(TWO, unit="nm"), "1 x 1 x 1 um in gen against"),
        ([], TWO, "gen needs at least one"),
        (
            Volume(TWO, phases=(Phase("a", 0, 0), Phase("b", 255, 255))),
            Volume(TWO, phases=(Phase("b", 0, 0), Phase("a", 255, 255))),
            r"phases \['a', 'b'\] in gen",
        ),
        (
            Volume(np.array([[[0, 0]]]), phases=(Phase("0", 0, 0), Phase("1", 1, 1))),
            Volume(np.array([[[0, 0]]]), phases=(Phase("0", 0, 0), Phase("1", 1, 1))),
            "phase 1 has no voxel in gen nor in real",
        ),
        (TWO, [TWO, np.array([[[0, 1, 2]]])], "3 phases in real"),
    ],
)
def test_what_cannot_be_compared(gen: object, real: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        match(gen, real)  # type: ignore[arg-type]


def test_a_phase_that_one_sample_lost_is_compared() -> None:
    phases = (Phase("pore", 0, 0), Phase("ni", 1, 1))
    without = Volume(np.array([[[0, 0]]]), phases=phases)
    both = Volume(np.array([[[0, 1]]]), phases=phases)
    gen, real = match(without, both)
    assert (absent(gen), absent(real)) == (["ni"], [])
