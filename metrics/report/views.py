"""Pictures of a volume: its middle slices for a notebook, and a rendered view in 3D."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metrics.files import one_line, replacing
from metrics.io.surfaces import phase_surface, vtk
from metrics.machine.memory import check_memory
from metrics.report.plots import phase_colours
from metrics.volume import AXES, InputError, Volume, as_volume

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Where the camera stands, in diagonals of the volume along x, y, z from its middle: z runs
# downwards, as rows of a slice do, and the corner that is cut away is the nearest.
CAMERA = (1.2, -1.2, -0.9)
FIELD_OF_VIEW = 30.0  # degrees, in which the whole diagonal is seen
SHADE = 12  # the volume's edge over the radius within which what is near casts a shade
VIEW_BYTES = 420  # a voxel, of an electrode of 128^3
SMOOTHING = {"n_iter": 20, "pass_band": 0.1}  # Taubin's, which keeps the volume
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


def show(volume: Volume | NDArray[Any]) -> Figure:
    """Middle slices normal to z, y and x, with a legend: shown by a notebook.

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray
        Segmented volume.

    Returns
    -------
    matplotlib Figure
        Not known to pyplot: a notebook draws it once; ``.savefig(path)`` writes it.

    Examples
    --------
    >>> figure = show(np.random.default_rng(0).integers(0, 2, (8, 8, 8)))
    >>> [ax.get_title() for ax in figure.axes]
    ['normal to z', 'normal to y', 'normal to x']
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    v = as_volume(volume)
    colours = phase_colours(len(v.phases))
    edges = np.multiply(v.shape, v.spacing)
    figure = Figure(figsize=(10, 3.9), dpi=100, layout="constrained")
    for i, (ax, axis) in enumerate(zip(figure.subplots(1, 3), AXES, strict=True)):
        rows, columns = (k for k in range(3) if k != i)
        plane = np.searchsorted(v.phase_labels, _middle(v, i))
        ax.imshow(
            plane, cmap=ListedColormap(list(colours)), vmin=-0.5, vmax=len(colours) - 0.5,
            extent=(0, edges[columns], edges[rows], 0), interpolation="none",
        )  # fmt: skip
        ax.set(
            title=f"normal to {axis}",
            xlabel=f"{AXES[columns]} [{v.unit}]",
            ylabel=f"{AXES[rows]} [{v.unit}]",
        )
    patches = [
        Patch(facecolor=colour, edgecolor="0.4", label=phase.name)
        for phase, colour in zip(v.phases, colours, strict=True)
    ]
    legend = figure.legend(
        handles=patches, loc="outside lower center", ncols=min(len(patches), 6), frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)  # a phase may be called "$\\x$"
    return figure


def render(
    volume: Volume | NDArray[Any],
    path: str | os.PathLike[str] | None = None,
    *,
    opacity: Mapping[int, float] | Mapping[str, float] | None = None,
    cut: bool = True,
    size: int = 900,
) -> NDArray[np.uint8]:
    """Picture of the phases of a volume in 3D: smoothed surfaces, lit, one colour a phase.

    Surfaces are those of `write` to ``.ply``, smoothed after Taubin (1995). A volume of 128^3
    voxels takes some 10 s on one core, and 420 bytes a voxel: crop larger ones.

    Parameters
    ----------
    volume : Volume or (Z, Y, X) integer ndarray
        Segmented volume.
    path : path, optional
        ``.png``, ``.jpg`` or ``.tif`` to write.
    opacity : mapping of phase to float, optional
        By label or name: 0 leaves a phase out, 1 is opaque; phases that are not named are opaque.
        By default the first phase, as a rule the pore, is left out.
    cut : bool
        Whether the corner at the viewer is cut away, which shows the inside.
    size : int
        Side of the picture in pixels.

    Returns
    -------
    (size, size, 3) uint8 ndarray
        Red, green, blue.

    Raises
    ------
    InputError
        If a phase is unknown, nothing is to be seen, memory does not suffice, or the file cannot be
        written.

    Examples
    --------
    >>> ball = np.linalg.norm(np.indices((9, 9, 9)) - 4, axis=0) < 3.5
    >>> picture = render(ball.astype(np.uint8), size=64)
    >>> picture.shape, bool((picture[0] == 255).all())
    ((64, 64, 3), True)
    """
    v = as_volume(volume)
    shares = opacities(v, opacity)
    if path is not None and Path(path).suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: unknown type of picture: use {', '.join(SUFFIXES)}")
    if path is not None and not Path(path).parent.is_dir():
        raise InputError(f"{path}: there is no such folder: choose another one")
    if size < 1:
        raise InputError(f"size must be 1 pixel or more, got {size}")
    picture = rendered(v, shares, cut=cut, size=size, fine=True)
    if path is not None:
        with one_line(path, "written", "choose another folder"):
            _write_picture(picture, Path(path))
    return picture


def rendered(
    v: Volume, opacity: Mapping[int, float], *, cut: bool, size: int, fine: bool
) -> NDArray[np.uint8]:
    """Picture of `render`; without fine edges it takes half the time."""
    check_memory(VIEW_BYTES * v.labels.size, remedy="crop the volume")
    pv = vtk()
    with pv.vtk_verbosity("off"):  # which else says that there is no screen
        plotter = pv.Plotter(off_screen=True, window_size=(size, size), lighting="three lights")
        try:
            if not _add_phases(plotter, v, opacity, cut):
                raise InputError(
                    "nothing is to be seen: no phase of an opacity above 0 occurs (opacity=)"
                )
            if any(0 < share < 1 for share in opacity.values()):
                plotter.enable_depth_peeling()  # what lies behind is drawn behind
            _aim(plotter, np.multiply(v.shape, v.spacing))
            if fine:
                plotter.enable_anti_aliasing("ssaa")
            picture: NDArray[np.uint8] = plotter.screenshot(return_img=True)
            return picture
        finally:
            plotter.close()


def _add_phases(plotter: Any, v: Volume, opacity: Mapping[int, float], cut: bool) -> int:
    """Put the surfaces of the phases into the scene; how many there are."""
    shown, count = np.ones(v.shape, bool), 0
    if cut:
        z, y, x = (edge // 2 for edge in v.shape)
        shown[:z, :y, x:] = False  # nearest to the viewer
    for phase, colour in zip(v.phases, phase_colours(len(v.phases)), strict=True):
        mask = v.mask(phase.label) & shown
        if opacity[phase.label] and mask.any():
            surface = phase_surface(mask, v.spacing).smooth_taubin(**SMOOTHING)
            plotter.add_mesh(
                surface, color=colour, opacity=opacity[phase.label], smooth_shading=True
            )
            count += 1
    return count


def _middle(v: Volume, axis: int) -> NDArray[Any]:
    """Labels of the plane in the middle of an axis."""
    index: list[Any] = [slice(None)] * 3
    index[axis] = v.shape[axis] // 2
    return np.asarray(v.labels[tuple(index)])


def opacities(
    v: Volume, opacity: Mapping[int, float] | Mapping[str, float] | None = None
) -> dict[int, float]:
    """Opacity of each label; by default nothing of the first phase, all of the others."""
    found = dict.fromkeys((phase.label for phase in v.phases), 1.0)
    if opacity is None:
        return found | {v.phases[0].label: 0.0}
    for phase, share in opacity.items():
        if not 0 <= share <= 1:
            raise InputError(f"opacity of {phase}: expected 0 to 1, got {share:g}")
        found[v.label(phase)] = float(share)
    return found


def _aim(plotter: Any, edges: NDArray[np.float64]) -> None:
    """Look at a volume of these edges along z, y, x from above its nearest corner."""
    middle = edges[::-1] / 2
    plotter.camera.focal_point = tuple(middle)
    plotter.camera.position = tuple(middle + np.linalg.norm(edges) * np.array(CAMERA))
    plotter.camera.up = (0, 0, -1)
    plotter.camera.view_angle = FIELD_OF_VIEW
    plotter.reset_camera_clipping_range()
    plotter.set_background("white")
    plotter.enable_ssao(radius=float(edges.max()) / SHADE)


def _write_picture(picture: NDArray[np.uint8], path: Path) -> None:
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary)
