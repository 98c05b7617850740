"""One tidy table: every metric once, with unit and definition, equal to the function behind it."""

from __future__ import annotations

import numpy as np
import pytest

from metrics import (
    chord_length,
    connectivity,
    effective_diffusivity,
    euler_number,
    interface_areas,
    percolation,
    specific_surface_area,
    tpb_density,
    volume_fraction,
)
from metrics.description import DEFAULT_METRICS, METRICS, describe
from metrics.shapes import gaussian_random_field, plurigaussian
from metrics.volume import InputError, Phase, Volume

FIELD = plurigaussian((24, 20, 16), correlation_length=3, seed=0).volume
NAMED = Volume(
    FIELD.labels,
    (0.5, 0.5, 0.5),
    "um",
    (Phase("pore", 0, 0), Phase("ni", 1, 127), Phase("ysz", 2, 254)),
)


def test_table_holds_what_the_functions_return() -> None:
    table = describe(NAMED, metrics=tuple(METRICS)).set_index(["metric", "phase", "axis"])["value"]
    fractions, areas = volume_fraction(NAMED), interface_areas(NAMED, estimator="crofton")
    size = NAMED.labels.size * NAMED.voxel_volume
    for label, name in enumerate(("pore", "ni", "ysz")):
        assert table["volume_fraction", name, ""] == fractions[label]
        assert table["specific_surface_area", name, ""] == specific_surface_area(
            NAMED, phase=label, estimator="crofton"
        )
        euler = euler_number(NAMED, phase=label, connectivity=6)
        assert table["euler_density", name, ""] == pytest.approx(euler / size)
        found = percolation(NAMED, phase=label, axis="z", labels=True)
        assert table["cluster_density", name, ""] == pytest.approx(found.clusters / size)
        sizes = [np.count_nonzero(found.labels == k + 1) for k in range(found.clusters)]
        share = max(sizes) / np.count_nonzero(NAMED.labels == label)
        assert table["largest_cluster", name, ""] == pytest.approx(share)
        for axis in "zyx":
            assert (
                table["chord_length", name, axis]
                == chord_length(NAMED, phase=label, axis=axis).mean
            )
            assert (
                table["percolating_fraction", name, axis]
                == percolation(NAMED, phase=label, axis=axis).percolating_fraction
            )
            assert table["effective_diffusivity", name, axis] == pytest.approx(
                effective_diffusivity(NAMED, phase=label, axis=axis).value
            )
    assert table["interface_area", "pore-ysz", ""] == areas[0, 2]
    assert table["tpb_density", "", ""] == tpb_density(NAMED)
    assert table["active_tpb_density", "", "y"] == tpb_density(NAMED, active="y")


def test_rows_are_unique_and_complete() -> None:
    table = describe(NAMED)
    assert list(table) == ["metric", "phase", "axis", "value", "unit", "definition"]
    assert not table.duplicated(["metric", "phase", "axis"]).any()
    assert set(table.metric) == set(DEFAULT_METRICS)
    assert (table.definition != "").all()
    units = dict(zip(table.metric, table.unit, strict=True))
    assert units["tpb_density"] == "1/um^2"
    assert units["euler_density"] == "1/um^3"
    assert units["cluster_density"] == "1/um^3"
    assert units["chord_length"] == "um"


def test_clusters_are_counted_and_the_largest_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectivity, "PART", 4)  # sizes are summed over several parts
    labels = np.zeros((2, 3, 4), int)
    labels[0, 0, :2] = labels[:, 2, 1:] = 1  # bars of 2 and 6 voxels, apart
    labels[0, 1, 3] = 1  # touches the second by a face
    table = describe(Volume(labels, (0.5, 0.5, 0.5), "um")).set_index(["metric", "phase"])["value"]
    assert table["cluster_density", "1"] == 2 / (24 * 0.5**3)
    assert table["largest_cluster", "1"] == 7 / 9
    names = (Phase("pore", 0, 0), Phase("lost", 1, 1))
    lost = describe(Volume(np.zeros((2, 2, 2), int), phases=names)).set_index(["metric", "phase"])
    assert lost.value["cluster_density", "lost"] == lost.value["largest_cluster", "lost"] == 0


def test_two_phases_have_one_surface_and_no_triple_lines() -> None:
    volume = gaussian_random_field((16,) * 3, correlation_length=3, seed=0).volume
    table = describe(volume, metrics=["specific_surface_area", "interface_area", "tpb_density"])
    assert table[["metric", "phase"]].to_numpy().tolist() == [["specific_surface_area", "0"]]


def test_arrays_are_measured_in_voxels() -> None:
    table = describe(np.array([[[0, 7, 7, 0]]]), metrics=["chord_length"])
    row = table[(table.phase == "7") & (table.axis == "x")].iloc[0]
    # two of four voxels, and one of three steps begins a chord: (2/4) / (1/3)
    assert (row.value, row.unit) == (pytest.approx(1.5), "voxel")


def test_unknown_metric() -> None:
    with pytest.raises(InputError, match=r"unknown metric 'porosity'.*volume_fraction"):
        describe(FIELD, metrics=["porosity"])
    with pytest.raises(InputError, match="solver must be one of multigrid, "):
        describe(FIELD, metrics=["volume_fraction"], solver="magic")
