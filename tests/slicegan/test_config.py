"""Configs: what is derived from them, and that they stay as they are."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from metrics.volume import Phase
from slicegan.config import Config, CriticConfig, Material


def test_configs_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Config().training.steps = 1  # type: ignore[misc]


def test_channels_follow_what_an_image_shows() -> None:
    two = (Phase("a", 0, 0), Phase("b", 1, 255))
    assert Material("phases", two).channels == 2
    assert Material("grey").channels == 1
    assert Material("colour").channels == 3


@pytest.mark.parametrize(("hidden", "size"), [(4, 64), (5, 128)])
def test_depth_of_a_critic_sets_the_size_of_its_slices(hidden: int, size: int) -> None:
    assert CriticConfig(filters=(8,) * hidden).slice_size == size
