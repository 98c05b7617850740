"""OME-Zarr: round trips, stores as other programs write them, chunks written once, refusals."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from volume_files import ANODE, CELL, refusal

from metrics.io import omezarr
from metrics.io.volumes import read, write, write_slices
from metrics.volume import InputError, Phase, Volume
from slicegan.cli import main
from slicegan.data import sha256_of


def store(path: Path, values: np.ndarray, attributes: dict[str, Any], version: int = 3) -> Path:
    """A group with one array, as another program writes it."""
    group = zarr.open_group(path, mode="w", zarr_format=version, attributes=attributes)
    array = group.create_array(
        "s0", shape=values.shape, dtype=values.dtype, chunks=(2,) * values.ndim
    )
    array[...] = values
    return path


def multiscales(axes: Any, scale: list[float], whole: list[float] | None = None) -> list[dict]:
    """Metadata of an image whose full resolution is the array ``s0``."""
    dataset = {"path": "s0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
    image: dict[str, Any] = {"axes": axes, "datasets": [dataset]}
    if whole:
        image["coordinateTransformations"] = [{"type": "scale", "scale": whole}]
    return [image]


def spatial(unit: str, names: str = "zyx") -> list[dict[str, str]]:
    kinds = {"t": "time", "c": "channel"}
    return [
        {"name": name, "type": kinds[name]} if name in kinds
        else {"name": name, "type": "space", "unit": unit}
        for name in names
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["v.zarr", "v.ome.zarr"])
def test_everything_is_kept(tmp_path: Path, name: str) -> None:
    write(ANODE, tmp_path / name)
    back = read(tmp_path / name)
    np.testing.assert_array_equal(back.labels, CELL)
    assert (back.spacing, back.unit, back.phases) == (ANODE.spacing, "um", ANODE.phases)


def test_the_metadata_are_those_of_the_standard(tmp_path: Path) -> None:
    write(ANODE, tmp_path / "v.ome.zarr")
    group = json.loads((tmp_path / "v.ome.zarr" / "zarr.json").read_text())
    ome = group["attributes"]["ome"]
    assert (group["zarr_format"], group["node_type"], ome["version"]) == (3, "group", "0.5")
    (image,) = ome["multiscales"]
    assert image["name"] == "v"
    assert image["axes"] == spatial("micrometer")
    (dataset,) = image["datasets"]
    (scale,) = dataset["coordinateTransformations"]
    assert scale == {"type": "scale", "scale": list(ANODE.spacing)}
    array = json.loads((tmp_path / "v.ome.zarr" / dataset["path"] / "zarr.json").read_text())
    assert array["dimension_names"] == ["z", "y", "x"]


def test_a_voxel_of_unknown_size_has_no_unit(tmp_path: Path) -> None:
    write(Volume(CELL), tmp_path / "v.zarr")
    ome = zarr.open_group(tmp_path / "v.zarr", mode="r").attrs["ome"]
    assert all("unit" not in axis for axis in ome["multiscales"][0]["axes"])  # type: ignore[index]
    assert (read(tmp_path / "v.zarr").spacing, read(tmp_path / "v.zarr").unit) == (
        (1, 1, 1),
        "voxel",
    )


@pytest.mark.parametrize("version", [2, 3])
def test_stores_of_others_are_read(tmp_path: Path, version: int) -> None:
    scales = multiscales(spatial("nanometer", "tczyx"), [1, 1, 4.0, 2.0, 2.0], [1, 1, 10, 10, 10])
    new = version == 3
    attributes = (
        {"ome": {"version": "0.5", "multiscales": scales}} if new else {"multiscales": scales}
    )
    path = store(tmp_path / "v.zarr", 50 * CELL[None, None], attributes, version)
    found = read(path)
    np.testing.assert_array_equal(found.labels, CELL)
    assert (found.spacing, found.unit) == ((40.0, 20.0, 20.0), "nm")
    assert [phase.value for phase in found.phases] == [0, 50, 100]
    # An array alone has no metadata, and is named in the path.
    for name in (f"{path}/s0", f"{path}:/s0", f"{path}/s0/"):
        alone = read(name, spacing=2.0, unit="um")
        np.testing.assert_array_equal(alone.labels, CELL)
        assert alone.spacing == (2.0, 2.0, 2.0)


def test_the_only_array_of_a_store_needs_no_name(tmp_path: Path) -> None:
    found = read(store(tmp_path / "v.zarr", CELL, {}))
    np.testing.assert_array_equal(found.labels, CELL)
    assert found.unit == "voxel"


def test_whole_chunks_are_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(omezarr, "CHUNK", 4)
    written: list[tuple[int, int]] = []
    fill = zarr.Array.__setitem__

    def noted(array: zarr.Array, place: Any, values: np.ndarray) -> None:
        written.append((place.start, place.stop))
        assert values.shape == (place.stop - place.start, *array.shape[1:])
        fill(array, place, values)

    monkeypatch.setattr(zarr.Array, "__setitem__", noted)
    labels = np.random.default_rng(0).integers(0, 2, (10, 9, 7), dtype=np.uint8)
    phases = [Phase("pore", 0, 0), Phase("ni", 1, 300)]
    # The same buffer for each slice, as a stream may have.
    buffer = np.empty((9, 7), np.uint8)

    def slices():
        for image in labels:
            buffer[:] = image
            yield buffer

    write_slices(slices(), tmp_path / "v.zarr", shape=labels.shape, phases=phases)
    assert written == [(0, 4), (4, 8), (8, 10)]
    np.testing.assert_array_equal(read(tmp_path / "v.zarr").labels, labels)
    chunks = [file for file in (tmp_path / "v.zarr" / "0" / "c").rglob("*") if file.is_file()]
    assert len(chunks) == 3 * 3 * 2


def test_what_generate_streams_is_what_it_makes(tmp_path: Path) -> None:
    for name in ("v.ome.zarr", "v.npy"):
        out = str(tmp_path / name)
        assert main(["generate", "snow", "--size", "70,40,30", "--out", out, "--quiet"]) == 0
    values = zarr.open_array(tmp_path / "v.ome.zarr" / "0", mode="r")[...]
    np.testing.assert_array_equal(values, np.load(tmp_path / "v.npy"))


def test_a_chunk_that_is_missing_is_not_read_as_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(omezarr, "CHUNK", 4)
    labels = np.zeros((6, 7, 5), np.uint8)  # 0 is stored too
    labels[5] = 1
    write(Volume(labels), tmp_path / "v.zarr")
    assert np.array_equal(read(tmp_path / "v.zarr").labels, labels)
    (tmp_path / "v.zarr" / "0" / "c" / "1" / "0" / "0").unlink()
    for lazy in (False, True):
        with pytest.raises(InputError, match="1 of 8 chunks are missing: copy the store again"):
            read(tmp_path / "v.zarr", lazy=lazy)


def test_the_hash_of_a_store_knows_all_its_chunks(tmp_path: Path) -> None:
    path = store(tmp_path / "v.zarr", CELL, {})
    before = sha256_of(path)
    zarr.open_array(path / "s0", mode="r+")[4, 5, 6] = (CELL[4, 5, 6] + 1) % 3
    assert sha256_of(path) != before


def test_what_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.zarr").mkdir()
    assert "damaged or not what its name says" in refusal(tmp_path / "empty.zarr")
    assert "no such file" in refusal(tmp_path / "missing.zarr")
    assert "an array of shape (5, 6)" in refusal(
        store(tmp_path / "a.zarr", CELL[:, :, 0], {}) / "s0"
    )
    assert "holds no 3D array" in refusal(tmp_path / "a.zarr")
    two = store(tmp_path / "b.zarr", CELL, {})
    zarr.open_group(two, mode="r+").create_array("s1", shape=(2, 2, 2), dtype="u1")
    assert "name one, as in store.zarr/name" in refusal(two)
    read(f"{two}/s1")
    turned = {"multiscales": multiscales(spatial("um", "xyz"), [1, 1, 1])}
    assert "the last three must be z, y, x" in refusal(store(tmp_path / "c.zarr", CELL, turned))
    axes = spatial("um")
    axes[0]["unit"] = "nm"
    mixed = {"multiscales": multiscales(axes, [1, 1, 1])}
    assert "axes of different units, nm, um" in refusal(store(tmp_path / "d.zarr", CELL, mixed))
    many = store(tmp_path / "e.zarr", CELL[None].repeat(2, axis=0), {})
    assert "an array of shape (2, 5, 6, 7)" in refusal(many)
    monkeypatch.setitem(sys.modules, "zarr", None)
    assert "pip install 'zarr>=3'" in refusal(two)


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    write(ANODE, tmp_path / "v.zarr")
    before = sha256_of(tmp_path / "v.zarr")
    for path in (tmp_path / "v.zarr", tmp_path / "v.zarr" / "0"):
        with pytest.raises(InputError, match=r"choose|leave"):
            write(Volume(1 - (CELL > 0)), path)
    assert sha256_of(tmp_path / "v.zarr") == before
    assert [path.name for path in tmp_path.iterdir()] == ["v.zarr"]
