"""What tests of the effective diffusivity share."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

# Bound for agreement with the sparse solve. At the default tol of 2e-3 none of 254 errors of
# TauFactor's solver was above 1.5e-3.
AGREEMENT = 3e-3


def random_field(shape=(20, 17, 14), fraction=0.4, smoothing=1.2, seed=0) -> np.ndarray:
    """Blobs of phase 1."""
    field = gaussian_filter(np.random.default_rng(seed).normal(size=shape), smoothing)
    return (field < np.quantile(field, fraction)).astype(np.uint8)
