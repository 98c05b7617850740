"""Where diffusion goes: the local flux through a phase, which D_eff is the mean of."""

from __future__ import annotations

import numpy as np

from metrics.arrays import Float64
from metrics.diffusivity import effective_diffusivity
from metrics.volume import Volume, axis_index


def local_flux(volume: Volume, *, phase: int | str, axis: str) -> Float64 | None:
    r"""Size of the flux in each voxel over that without obstacles.

    .. math:: |J| \left/ \frac{D_0 \Delta c}{L} \right.

    Each component is the mean over a voxel's two faces of the difference of concentration over the
    distance of the voxels' middles, none through a face to what does not conduct. The mean over all
    voxels of the component along the axis is D_eff/D_0.

    Parameters
    ----------
    volume : Volume
    phase : int or str
        The only conducting phase.
    axis : {"z", "y", "x"}
        Direction of the mean flux.

    Returns
    -------
    (Z, Y, X) float64 ndarray or None
        None if nothing gets through, or the solve does not converge.
    """
    found = effective_diffusivity(volume, phase=phase, axis=axis, concentration=True, throw=False)
    if not (found.percolates and found.converged) or found.concentration is None:
        return None
    along = axis_index(axis)
    conducting = found.concentration > 0
    length = volume.shape[along] * volume.spacing[along]
    parts = [
        component(found.concentration, conducting, i, volume.spacing[i], driven=i == along)
        for i in range(3)
    ]
    return length * np.sqrt(sum(part**2 for part in parts))


def component(
    concentration: np.ndarray, conducting: np.ndarray, axis: int, edge: float, *, driven: bool
) -> Float64:
    """Mean flux of a voxel's two faces along an axis of the array."""
    c = np.moveaxis(concentration.astype(float), axis, 0)
    on = np.moveaxis(conducting, axis, 0)
    faces = np.zeros((len(c) + 1, *c.shape[1:]))
    faces[1:-1] = np.where(on[1:] & on[:-1], c[:-1] - c[1:], 0.0) / edge
    if driven:  # the concentration is held half a voxel outside
        faces[0] = np.where(on[0], 1 - c[0], 0.0) / (edge / 2)
        faces[-1] = np.where(on[-1], c[-1], 0.0) / (edge / 2)
    return np.moveaxis((faces[1:] + faces[:-1]) / 2, 0, axis)
