"""Errors of the surface estimators on bodies whose area is known.

Isolated balls, overlapping balls, random fields, plates and cylinders, down to a voxel or two, in
cubic and flat voxels; in % of the true area, the mean over realisations with its standard error.
``a = 1`` is full extrapolation over the length of a step; `crofton` takes less of it, so that
overlapping balls are good to 2 % and isolated ones and plates of one voxel lose least.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import pi
from typing import get_args

import numpy as np
import pandas as pd

from benchmarks.script import Script
from benchmarks.tables import write_result
from metrics import surface
from metrics.shapes import Body, gaussian_random_field, overlapping_spheres, sphere
from metrics.volume import Volume

SCRIPT = Script("trust.accuracy_surface", __doc__)

SEEDS = range(4)
SIDE = 96  # voxels of periodic bodies
PERIOD = 48  # of plates, voxels times the length of the normal
Known = tuple[Volume, float]  # and its area per volume


def ball(radius: float, spacing: Sequence[float], seed: int) -> Known:
    """One ball at a random place of the grid."""
    offset = ((np.random.default_rng(seed).random(3) - 0.5) * spacing).tolist()
    z, y, x = (int(2 * radius / h) + 6 for h in spacing)
    body = sphere((z, y, x), radius=radius, offset=offset, spacing=spacing)
    return body.volume, _area(body)


def overlapping(radius: float, solid: float, spacing: Sequence[float], seed: int) -> Known:
    """Boolean model of balls; the area is that of the realised fraction."""
    density = -np.log(1 - solid) / (4 / 3 * pi * radius**3)
    volume = overlapping_spheres(
        (SIDE,) * 3, radius=radius, density=density, seed=seed, spacing=spacing
    ).volume
    void = np.mean(np.asarray(volume.labels) == 0)
    return volume, float(-3 / radius * void * np.log(void))


def field(length: float, spacing: Sequence[float], seed: int) -> Known:
    """Gaussian random field cut at fraction .4."""
    body = gaussian_random_field(
        (SIDE,) * 3, correlation_length=length, fractions=(0.4, 0.6), spacing=spacing, seed=seed
    )
    return body.volume, _area(body)


def _area(body: Body) -> float:
    assert body.interface_areas is not None
    return sum(body.interface_areas.values())


def plates(thickness: float, normal: Sequence[float], seed: int) -> Known:
    """Plates of a period of 16 voxels: periodic, hence with a normal of whole numbers."""
    shift = np.random.default_rng(seed).random() * PERIOD
    # A whole number of periods over the side, along each axis.
    where = np.tensordot(normal, np.indices((SIDE,) * 3), 1) + shift
    norm = float(np.linalg.norm(normal))
    labels = (where % PERIOD < thickness * norm).astype(np.uint8)
    return Volume(labels), 2 * norm / PERIOD


def cylinder(radius: float, seed: int) -> Known:
    """One cylinder along z at a random place of the grid."""
    n = int(2 * radius) + 6
    centre = n / 2 + np.random.default_rng(seed).random(2) - 0.5
    y, x = np.indices((n, n)) + 0.5
    disc = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2
    return Volume(np.repeat(disc[np.newaxis], 8, axis=0).astype(np.uint8)), 2 * pi * radius / n**2


CUBE, FLAT = (1.0, 1.0, 1.0), (1.0, 2.0, 3.0)
BODIES: dict[str, Callable[[int], Known]] = {
    **{f"ball, R {r}": partial(ball, r, CUBE) for r in (2, 3, 4, 6, 12)},
    **{
        f"overlapping balls, R {r}, solid {share}": partial(overlapping, r, share, CUBE)
        for r, share in ((2, 0.6), (4, 0.6), (8, 0.6), (12, 0.6), (4, 0.3), (8, 0.3))
    },
    **{f"field, length {length}": partial(field, length, CUBE) for length in (1.5, 2, 2.5, 4)},
    **{
        f"plates normal to {normal}, {thick} thick": partial(plates, thick, normal)
        for normal, thick in (
            *(((1, 0, 0), thick) for thick in (1, 2, 4)),
            *(((1, 2, 3), thick) for thick in (1, 2, 3)),
        )
    },
    **{f"cylinder, R {r}": partial(cylinder, r) for r in (1, 1.5, 2, 3, 5, 10)},
    "ball, R 12, voxels 1 x 2 x 3": partial(ball, 12, FLAT),
    "overlapping balls, R 12, solid 0.6, voxels 1 x 2 x 3": partial(overlapping, 12, 0.6, FLAT),
    "field, length 6, voxels 1 x 2 x 3": partial(field, 6, FLAT),
}


def measure(make: Callable[[int], Known]) -> dict[str, tuple[float, float]]:
    """Mean error and its standard error of each estimator, in %."""
    errors: dict[str, list[float]] = {}
    for seed in SEEDS:
        volume, area = make(seed)
        for name, found in _estimates(volume):
            errors.setdefault(name, []).append(100 * (found / area - 1))
    return {
        name: (float(np.mean(of)), float(np.std(of, ddof=1) / len(of) ** 0.5))
        for name, of in errors.items()
    }


def _estimates(volume: Volume) -> Iterator[tuple[str, float]]:
    phase = volume.phase_labels[-1]
    for name in get_args(surface.Estimator):
        yield (
            name,
            surface.specific_surface_area(volume, phase=phase, estimator=name, periodic=True),
        )
    whole = surface._crofton(volume, True, 1.0)
    yield "a = 1", float(whole.sum() - np.trace(whole))


def main(argv: Sequence[str] | None = None) -> int:
    parser = SCRIPT.parser()
    return SCRIPT.run(parser, argv, work)


def work(args: argparse.Namespace, command: str) -> int:
    lines = []
    for body, make in BODIES.items():
        found = measure(make)
        line: dict[str, object] = {"body": body}
        for name in ("crofton", "crofton_adjacent", "a = 1", "faces"):
            line[name] = round(found[name][0], 1)
        lines.append(line | {"standard error": round(found["crofton"][1], 1)})
    table = pd.DataFrame(lines)
    facts = {"command": command, "seeds": list(SEEDS)}
    title, _, text = (__doc__ or "").partition("\n\n")
    write_result(args.out / "accuracy_surface", title.rstrip("."), text, table, facts)
    print(table.to_string(index=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
