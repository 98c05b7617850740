# Read and write
from .io.volumes import read, write
from .volume import AXES, InputError, Phase, Volume, as_volume

# Look at a volume
from .report.views import render, show

# One volume: all of it as a table, then one quantity a line
from .description import ALL_METRICS, DEFAULT_METRICS, METRICS, SECTION_METRICS, describe
from .fraction import fraction_profile, volume_fraction
from .surface import interface_areas, specific_surface_area
from .tpb import tpb_density
from .section import (
    boundary_length,
    boundary_lengths,
    section_euler_density,
    section_thickness,
    triple_point_density,
)
from .correlation import TwoPoint, two_point_correlation, two_point_map
from .cluster import TwoPointCluster, two_point_cluster
from .chords import Chords, chord_length
from .lineal import LinealPath, lineal_path
from .thickness import Thickness, local_thickness
from .topology import euler_number
from .connectivity import Percolation, percolation, through_mask
from .diffusivity import (
    ConvergenceError,
    Diffusivity,
    effective_diffusivities,
    effective_diffusivity,
)
from .tensor import diffusivity_tensor
from .integral_range import Representativity, representativity
from .sizes import peak_bytes

# Two samples
from .comparison.answer import Answer
from .comparison.comparing import Comparison, compare, compare_sections
from .comparison.verdicts import DISTANCE_COLUMNS, TABLE_COLUMNS

__all__ = [
    "ALL_METRICS",
    "AXES",
    "DEFAULT_METRICS",
    "DISTANCE_COLUMNS",
    "METRICS",
    "SECTION_METRICS",
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
    "boundary_length",
    "boundary_lengths",
    "chord_length",
    "compare",
    "compare_sections",
    "describe",
    "diffusivity_tensor",
    "effective_diffusivities",
    "effective_diffusivity",
    "euler_number",
    "fraction_profile",
    "interface_areas",
    "lineal_path",
    "local_thickness",
    "peak_bytes",
    "percolation",
    "read",
    "render",
    "representativity",
    "section_euler_density",
    "section_thickness",
    "show",
    "specific_surface_area",
    "through_mask",
    "tpb_density",
    "triple_point_density",
    "two_point_cluster",
    "two_point_correlation",
    "two_point_map",
    "volume_fraction",
    "write",
]
