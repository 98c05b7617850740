"""It learns: short runs of the preset `tiny` on 2D images, judged on seeds that nothing else saw.

A run of a minute is not a run of an hour: bounds are about twice the worst of two training seeds
(isotropic: fraction 0.005, S2 0.066, boundary 0.13, lattice 0.02; anisotropic: half lengths 6.0,
3.1, 2.7 voxels where the material has 6.7, 2.5, 2.5). What was not learnt, or wrongly, must fail
them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from small_runs import draw_nothing

from benchmarks.validation import alternatives
from metrics.correlation import two_point_correlation
from metrics.shapes import gaussian_random_field, overlapping_spheres
from metrics.volume import AXES, Volume
from slicegan.checkpoint import Model, load_model
from slicegan.config import DataConfig
from slicegan.fidelity import Fidelity, judge
from slicegan.generation import generate
from slicegan.networks import Generator
from slicegan.runs import Run
from slicegan.settings import override, preset

FRESH_SEEDS = range(4)
SIDE = 96


@pytest.fixture(autouse=True)
def _without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_nothing(monkeypatch)


def learnt(folder: Path, images: dict[str, np.ndarray]) -> tuple[list[Volume], Run]:
    """Volumes of fresh seeds after a run on one image of each axis; ``"zyx"`` is isotropic."""
    files = {}
    for axes, image in images.items():
        file = folder / f"{axes}.tif"
        tifffile.imwrite(file, image.astype(np.uint8))
        files |= {axis: (str(file),) for axis in axes}
    data = DataConfig(next(iter(files.values())) if "zyx" in images else files)
    config = override(preset("tiny"), ["training.evaluate_every=1000"])  # at the end alone
    run = Run.start(folder / "run", data, config, seed=0, device=torch.device("cpu"))
    assert run.train()
    model = load_model(folder / "run")
    return [generate(model, SIDE, seed=seed) for seed in FRESH_SEEDS], run


def good_enough(found: Fidelity) -> bool:
    return found.fraction < 0.03 and found.s2 < 0.13 and found.boundary < 0.25


def test_volumes_learnt_from_one_image_match_it(tmp_path: Path) -> None:
    """One section through overlapping spheres: discs of all radii up to 6 pixels."""
    radius, fraction = 6, 0.4
    density = -math.log(1 - fraction) / (4 / 3 * math.pi * radius**3)
    body = overlapping_spheres((16, 256, 256), radius=radius, density=density, seed=3)
    volumes, run = learnt(tmp_path, {"zyx": body.volume.labels[3]})
    found = judge(volumes, run.reference)
    assert good_enough(found)
    assert found.lattice < 0.05

    torch.manual_seed(0)
    model = Model(Generator(run.record.config.generator).eval(), run.data.material, {})
    untrained = [generate(model, SIDE, seed=seed) for seed in FRESH_SEEDS]
    shuffled = [Volume(np.random.default_rng(0).permutation(v.labels, axis=0)) for v in volumes]
    inverted = [Volume(1 - volume.labels) for volume in volumes]
    for wrong in (untrained, shuffled, inverted):
        assert not good_enough(judge(wrong, run.reference))
    assert judge(untrained, run.reference).lattice > 0.2  # random kernels differ by place


def half_length(volumes: Sequence[Volume], axis: str) -> float:
    """Lag in voxels at which the autocovariance has fallen to half."""
    curves = [two_point_correlation(volume, phase=1, max_lag=24).axis[axis] for volume in volumes]
    return alternatives.half_length(np.mean(curves, axis=0))


def test_an_anisotropic_material_keeps_its_axes_apart(tmp_path: Path) -> None:
    """Two images of a field that is long along z: the one from above shows it is round there."""
    body = gaussian_random_field(
        (192, 192, 192), correlation_length=(8, 3, 3), fractions=(0.55, 0.45), seed=1
    ).volume
    images = {"z": body.labels[5], "yx": body.labels[:, 7]}
    volumes, _ = learnt(tmp_path, images)
    found = {axis: half_length(volumes, axis) for axis in AXES}
    true = {axis: half_length([body], axis) for axis in AXES}
    assert true["z"] > 2.5 * max(true["y"], true["x"])
    assert found["z"] > 1.7 * max(found["y"], found["x"])
    for axis in AXES:
        assert found[axis] == pytest.approx(true[axis], rel=0.3)
