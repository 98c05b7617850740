"""Sub-volumes: disjoint, of one shape, as large as eight of each allow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from metrics.comparison.subvolumes import plan_subvolumes
from metrics.volume import InputError, Phase, Volume

PHASES = (Phase("a", 0, 0), Phase("b", 1, 1))


def volumes(*shapes: tuple[int, int, int]) -> list[Volume]:
    return [Volume(np.zeros(shape, np.uint8), phases=PHASES) for shape in shapes]


def corners(v: Volume, blocks: Sequence[Volume]) -> set[tuple[int, ...]]:
    start = v.labels.__array_interface__["data"][0]
    flat = [b.labels.__array_interface__["data"][0] - start for b in blocks]
    return {tuple(int(i) for i in np.unravel_index(k, v.shape)) for k in flat}


def test_one_cube_against_one_is_cut_in_eight() -> None:
    (gen,), (real,) = volumes((64, 64, 64)), volumes((100, 100, 100))
    plan = plan_subvolumes([gen], [real])
    assert plan.shape == (32, 32, 32)
    assert plan.available == (8, 27)
    assert corners(gen, plan.gen) == {(z, y, x) for z in (0, 32) for y in (0, 32) for x in (0, 32)}


def test_the_larger_sample_keeps_its_room() -> None:
    plan = plan_subvolumes(volumes(*[(64,) * 3] * 8), volumes((200, 200, 200)))
    assert plan.shape == (64, 64, 64)
    assert (len(plan.gen), len(plan.real)) == (8, 16)
    assert plan.available == (8, 27)


def test_half_of_a_volume() -> None:
    plan = plan_subvolumes(volumes((200, 400, 400)), volumes((200, 400, 400)), samples=99)
    assert plan.shape == (133, 133, 133)
    assert len(plan.gen) == 9


def test_thin_volumes_give_thin_subvolumes() -> None:
    plan = plan_subvolumes(volumes((20, 200, 200)), volumes((100, 100, 400)))
    assert plan.shape[0] == 20
    assert min(len(plan.gen), len(plan.real)) >= 8


def test_a_small_volume_is_used_whole() -> None:
    plan = plan_subvolumes(volumes((24, 24, 24)), volumes((24, 24, 24)))
    assert plan.shape == (24, 24, 24)
    assert plan.available == (1, 1)


def test_blocks_are_disjoint_views_of_equal_shape() -> None:
    (gen,), real = volumes((50, 60, 70)), volumes((50, 60, 70))
    plan = plan_subvolumes([gen], real, side=16, samples=99)
    for block in plan.gen:
        assert block.shape == (16, 16, 16)
        block.labels[...] += 1  # a voxel in two blocks would be counted twice
    assert gen.labels.max() == 1
    assert gen.labels.sum() == len(plan.gen) * 16**3 == 3 * 3 * 4 * 16**3


def test_draw_is_seeded() -> None:
    (v,) = volumes((96, 96, 96))
    draws = [
        corners(v, plan_subvolumes([v], [v], side=16, samples=5, seed=s).gen) for s in (0, 0, 1)
    ]
    assert draws[0] == draws[1] != draws[2]
    assert len(draws[0]) == 5


def test_same_volumes_are_recognised() -> None:
    a, b = volumes((32, 32, 32)), volumes((32, 32, 32))
    assert plan_subvolumes(a, b).same_volumes
    b[0].labels[3, 3, 3] = 1
    assert not plan_subvolumes(a, b).same_volumes


@pytest.mark.parametrize(
    ("shape", "side", "samples", "message"),
    [
        ((15, 64, 64), None, 16, "smaller than the smallest"),
        ((64, 64, 64), 65, 16, "do not fit"),
        ((64, 64, 64), 8, 16, "do not fit"),
        ((64, 64, 64), None, 0, "at least 1"),
    ],
)
def test_what_cannot_be_cut(
    shape: tuple[int, int, int], side: int | None, samples: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        plan_subvolumes(volumes(shape), volumes((64, 64, 64)), side=side, samples=samples)
