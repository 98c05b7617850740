"""Bodies with known answers: the truth that tests, benchmarks and notebooks share.

In every body `shape` counts voxels (z, y, x), `spacing` is one or three voxel edge lengths in
`unit`, radii and other lengths are in `unit` too unless the text says voxels, and label 0 is the
pore, the matrix or the open channel. Each docstring says of which body its answers are exact: of
the `digitised` one (voxel for voxel), of the `continuous` one that the voxel centres sample, or of
the `law` (expectations over seeds). With ``periodic=True`` the volume is one cell of a periodic
body; otherwise faces and edges on its outer boundary are no interface.
"""

from metrics.shapes.balls import fcc_spheres, overlapping_spheres, sphere
from metrics.shapes.body import Body
from metrics.shapes.channels import straight_channel, tilted_channel
from metrics.shapes.fields import gaussian_random_field, plurigaussian
from metrics.shapes.layers import (
    checkerboard,
    laminate,
    slab,
    three_phase_corner,
    tilted_triple_line,
)

__all__ = [
    "Body",
    "checkerboard",
    "fcc_spheres",
    "gaussian_random_field",
    "laminate",
    "overlapping_spheres",
    "plurigaussian",
    "slab",
    "sphere",
    "straight_channel",
    "three_phase_corner",
    "tilted_channel",
    "tilted_triple_line",
]
