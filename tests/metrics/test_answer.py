"""One answer from many rows: its level, its family, and its words."""

from __future__ import annotations

import numpy as np
import pytest

from metrics.comparison.answer import Answer, RowTest, answer
from metrics.description import CURVE
from metrics.intervals import Verdict

TWO, THREE = ("pore", "solid"), ("pore", "ni", "ysz")


def rows(*p: float, verdict: Verdict = "cannot tell") -> list[RowTest]:
    return [RowTest("euler_density", f"phase {k}", "", value, verdict) for k, value in enumerate(p)]


def ask(tests: list[RowTest], phases: tuple[str, ...] = THREE, **options: bool) -> Answer:
    return answer(tests, phases, margin=0.05, **options)


def test_the_least_p_decides_at_the_level_over_the_number_of_rows() -> None:
    assert ask(rows(0.05 / 4, 1, 1, 1)).verdict == "differs"
    assert ask(rows(0.05 / 4 + 1e-9, 1, 1, 1)).verdict == "undecided"
    # A row that differs alone is no answer: of 20 rows of one material one does.
    assert ask(rows(0.03, *[1.0] * 19)).verdict == "undecided"


def test_holm_names_the_further_rows() -> None:
    # .05 / 4, .05 / 3, .05 / 2, .05: the third fails, so that the fourth does not count.
    found = ask(rows(0.012, 0.001, 0.03, 0.04))
    assert found.tests.differs.tolist() == [True, True, False, False]
    assert found.sentence == (
        "Not the same material: Euler density of phase 0 and Euler density of phase 1 differ by "
        "more than 0.05 of the real value (2 of 4 quantities)."
    )


def test_the_level_over_all_rows_holds_for_independent_p_values() -> None:
    rng = np.random.default_rng(0)
    draws = rng.uniform(size=(2000, 20))
    wrong = np.mean([ask(rows(*p)).verdict == "differs" for p in draws])
    # 1 - (1 - .05/20)^20 = 4.9 %; 2000 draws scatter by .5 %.
    assert 0.03 < wrong < 0.07


def test_same_only_if_every_row_is() -> None:
    found = ask(rows(1, 1, verdict="same"))
    assert found.verdict == "same"
    assert found.sentence.startswith("The same material: all 2 quantities")
    found = ask([*rows(1, 1, verdict="same"), RowTest("tpb_density", "", "", 1, "cannot tell")])
    assert found.verdict == "undecided"
    assert "2 of 3 quantities agree" in found.sentence
    assert "not known of TPB density" in found.sentence


def test_no_number_counts_twice() -> None:
    def family(phases: tuple[str, ...], names: list[tuple[str, str, str]]) -> list[tuple[str, ...]]:
        tests = ask([RowTest(*name, 1, "same") for name in names], phases).tests
        return list(tests[["metric", "phase", "axis"]].itertuples(index=False, name=None))

    fractions = [("volume_fraction", phase, "") for phase in THREE]
    areas = [("specific_surface_area", phase, "") for phase in THREE]
    interface = ("interface_area", "pore ni", "")
    lines = [("tpb_density", "", ""), ("active_tpb_density", "", "z")]
    assert family(THREE, [*fractions, *areas, interface, *lines]) == [
        *fractions[:2], interface, lines[0],
    ]  # fmt: skip
    names = ("volume_fraction", "specific_surface_area", "chord_length", "effective_diffusivity")
    both = [(name, phase, "") for name in names for phase in TWO]
    assert family(TWO, both) == [*both[:6:2], *both[6:]]
    curves = [(CURVE, "pore", axis) for axis in ("", "z")]
    assert family(TWO, curves) == curves[1:]
    assert family(TWO, curves[:1]) == curves[:1]


def test_the_same_data_is_the_same_and_nothing_is_undecided() -> None:
    assert ask(rows(1), same_volumes=True).verdict == "same"
    assert ask([]).verdict == "undecided"


@pytest.mark.parametrize("count", [1, 2, 5, 6, 12])
def test_sentences_name_a_few_quantities(count: int) -> None:
    sentence = ask(rows(*[0.0] * count)).sentence
    assert sentence.count("Euler density") == min(count, 5)
    assert ("more (" in sentence or " more differ" in sentence) == (count > 5)


def test_undecided_says_at_which_margin_all_would_agree() -> None:
    near = RowTest("tpb_density", "", "", 1, "cannot tell", 0.08)
    far = RowTest("chord_length", "pore", "z", 1, "cannot tell", 0.213)
    assert ask([near, far]).sentence.endswith(
        "All agree within 0.21 (chord length of pore along z); more data would say more."
    )
    unknown = RowTest("euler_density", "pore", "", 1, "cannot tell")
    assert ask([near, unknown]).sentence.endswith("More or larger volumes would decide.")
