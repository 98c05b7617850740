"""Pictures of a volume, compared with what is known to be in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from refusing import refusal

import metrics
from metrics.report.plots import phase_colours
from metrics.volume import Phase, Volume

PHASES = (Phase("pore", 0, 0), Phase("$\\shell", 5, 10), Phase("core", 7, 20))
SHELL, CORE = (np.array(to_rgb(colour)) for colour in phase_colours(3)[1:])


def shelled(side: int = 24) -> Volume:
    """A cube of one phase in a shell of another, within pores."""
    labels = np.zeros((side,) * 3, int)
    labels[2:-2, 2:-2, 2:-2] = 5
    labels[5:-5, 5:-5, 5:-5] = 7
    return Volume(labels, (2.0, 2.0, 2.0), "um", PHASES)


def hue(picture: np.ndarray) -> np.ndarray:
    """Colour in the middle of a picture, whatever the light."""
    n = len(picture) // 2
    middle = picture[n - 4 : n + 4, n - 4 : n + 4].reshape(-1, 3).mean(axis=0)
    return middle / np.linalg.norm(middle)


def unit(colour: np.ndarray) -> np.ndarray:
    return colour / np.linalg.norm(colour)


def test_slices_are_those_of_the_volume_with_a_legend() -> None:
    labels = np.random.default_rng(0).choice([0, 5, 7], (6, 7, 8))
    figure = metrics.show(Volume(labels, (3.0, 2.0, 1.0), "um", PHASES))
    ranks = np.searchsorted([0, 5, 7], labels)
    expected = ranks[3], ranks[:, 3], ranks[:, :, 4]
    for ax, plane in zip(figure.axes, expected, strict=True):
        assert (ax.images[0].get_array() == plane).all()
    assert figure.axes[1].images[0].get_extent() == [0, 8.0, 18.0, 0]
    assert figure.axes[1].get_xlabel() == "x [um]" and figure.axes[1].get_ylabel() == "z [um]"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.texts] == ["pore", "$\\shell", "core"]


def test_the_corner_that_is_cut_away_shows_the_inside(tmp_path: Path) -> None:
    cut = metrics.render(shelled(), tmp_path / "cut.png", size=96)
    whole = metrics.render(shelled(), size=96, cut=False)
    assert hue(cut) == pytest.approx(unit(CORE), abs=0.1)
    assert hue(whole) == pytest.approx(unit(SHELL), abs=0.1)
    assert (np.asarray(Image.open(tmp_path / "cut.png")) == cut).all()
    for edge in (whole[0], whole[-1], whole[:, 0], whole[:, -1]):  # all of it is in the picture
        assert (edge == 255).all()


def test_phases_are_left_out_as_asked() -> None:
    names = metrics.render(shelled(), opacity={"pore": 0, "$\\shell": 0}, size=96, cut=False)
    labels = metrics.render(shelled(), opacity={0: 0, 5: 0}, size=96, cut=False)
    assert hue(names) == pytest.approx(unit(CORE), abs=0.1)
    assert (names == labels).all()


def test_what_lies_behind_shows_through() -> None:
    through = metrics.render(shelled(), opacity={"pore": 0, "$\\shell": 0.3}, size=96, cut=False)
    whole = metrics.render(shelled(), size=96, cut=False)
    apart = [np.linalg.norm(hue(picture) - unit(CORE)) for picture in (through, whole)]
    assert apart[0] < 0.7 * apart[1]


def test_larger_than_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metrics.machine.memory.free_memory", lambda: 10_000)
    assert "crop the volume" in refusal(metrics.render, shelled())


def test_bad_requests_are_refused_and_write_nothing(tmp_path: Path) -> None:
    v = shelled()
    assert "no phase gold" in refusal(metrics.render, v, opacity={"gold": 1})
    assert "expected 0 to 1" in refusal(metrics.render, v, opacity={"pore": 2})
    assert "nothing is to be seen" in refusal(metrics.render, v, opacity={0: 0, 5: 0, 7: 0})
    assert "use .png" in refusal(metrics.render, v, tmp_path / "v.gif")
    assert "size must be" in refusal(metrics.render, v, size=0)
    assert "v.png" in refusal(metrics.render, v, tmp_path / "no" / "v.png", size=32)
    assert not list(tmp_path.iterdir())
