"""Measure segmented volumes, and say whether two samples of them are the same material."""

from metrics.chords import Chords, LinealPath, chord_length, lineal_path
from metrics.cluster import TwoPointCluster, two_point_cluster
from metrics.comparison.answer import Answer
from metrics.comparison.comparing import Comparison, compare
from metrics.comparison.measuring import ALL_METRICS
from metrics.comparison.verdicts import DISTANCE_COLUMNS, TABLE_COLUMNS
from metrics.connectivity import Percolation, percolation, through_mask
from metrics.correlation import TwoPoint, two_point_correlation, two_point_map
from metrics.description import DEFAULT_METRICS, METRICS, describe
from metrics.diffusivity import ConvergenceError, Diffusivity, effective_diffusivity
from metrics.fraction import fraction_profile, volume_fraction
from metrics.integral_range import Representativity, representativity
from metrics.io.volumes import read, write
from metrics.sizes import peak_bytes
from metrics.surface import interface_areas, specific_surface_area
from metrics.tensor import diffusivity_tensor
from metrics.thickness import Thickness, local_thickness
from metrics.topology import euler_number
from metrics.tpb import tpb_density
from metrics.volume import AXES, InputError, Phase, Volume, as_volume

__all__ = [
    "ALL_METRICS",
    "AXES",
    "DEFAULT_METRICS",
    "DISTANCE_COLUMNS",
    "METRICS",
    "TABLE_COLUMNS",
    "Answer",
    "Chords",
    "Comparison",
    "ConvergenceError",
    "Diffusivity",
    "InputError",
    "LinealPath",
    "Percolation",
    "Phase",
    "Representativity",
    "Thickness",
    "TwoPoint",
    "TwoPointCluster",
    "Volume",
    "as_volume",
    "chord_length",
    "compare",
    "describe",
    "diffusivity_tensor",
    "effective_diffusivity",
    "euler_number",
    "fraction_profile",
    "interface_areas",
    "lineal_path",
    "local_thickness",
    "peak_bytes",
    "percolation",
    "read",
    "representativity",
    "specific_surface_area",
    "through_mask",
    "tpb_density",
    "two_point_cluster",
    "two_point_correlation",
    "two_point_map",
    "volume_fraction",
    "write",
]


def __dir__() -> list[str]:
    """Public names."""
    return __all__
