"""What a report shows in pictures: slices, views in 3D, charts of all quantities, diffusion.

Each function returns what the page's template knows by these names.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metrics.report import plots
from metrics.report.flux import local_flux
from metrics.report.views import opacities, rendered
from metrics.section import normals
from metrics.volume import AXES, InputError, Volume

if TYPE_CHECKING:
    from metrics.comparison.comparing import Comparison

VIEW_VOXELS, VIEW_PIXELS = 96, 420  # a view in 3D: side of the window, and of its picture


def slices(
    gen: Volume, real: Sequence[Volume], colours: Sequence[str], sections: str
) -> dict[str, list[tuple[str, str, str]]]:
    """Kind, caption and SVG of the middle slices normal to each axis, at one scale.

    Of images the first is shown, or the first that is normal to an axis.
    """
    pictured: list[tuple[str, str, Volume, str]] = []
    for axis in AXES:
        pictured.append(("generated", f"normal to {axis}", gen, axis))
        if not sections:
            pictured.append(("real", f"normal to {axis}", real[0], axis))
        elif images := [image for image in real if normals(image) == (axis,)]:
            caption = "an image" if sections == "any" else f"normal to {axis}"
            pictured.append(("real", caption, images[0], axis))
    extent = plots.shared_extent([volume for *_, volume, _ in pictured])
    return {
        "slices": [
            (kind, caption, plots.slice_plot(v, axis=axis, extent=extent, colours=colours,
                                             name=f"slice-{axis}-{kind}"))
            for kind, caption, v, axis in pictured
        ]
    }  # fmt: skip


def views(gen: Volume, real: Volume | None) -> dict[str, Any]:
    """Kind and picture in 3D, as the address of its data, of the middle of the volumes.

    One that cannot be drawn is left out: the library for it is missing, or there is nothing but the
    first phase.
    """
    pictured = [("generated", gen)] + ([] if real is None else [("real", real)])
    extent = plots.shared_extent([volume for _, volume in pictured])
    found = []
    for kind, volume in pictured:
        window = _middle(volume, extent)
        # Whatever fails there, a report that took hours must not be lost for want of a picture.
        with suppress(InputError, RuntimeError):
            picture = rendered(window, opacities(window), cut=True, size=VIEW_PIXELS, fine=False)
            found.append((kind, f"data:image/png;base64,{_png(picture)}"))
    return {"views": found, "window": _edges(_middle(gen, extent))}


def quantities(comparison: Comparison) -> dict[str, Any]:
    """Draw every chart, as SVG."""
    table, values = comparison.table, comparison.values
    curves = comparison.curves.groupby(["phase", "axis"], sort=False)
    ratios = table[table["ratio"] > 0]
    measured = [metric for metric in table["metric"].unique() if metric in set(values["metric"])]
    return {
        "curves": [
            plots.curve_plot(curve, title=f"{phase} · {axis or 'radial'}", name=f"curve-{i}")
            for i, ((phase, axis), curve) in enumerate(curves)
        ],
        "ratios": plots.ratio_plot(ratios, name="ratios") if len(ratios) else "",
        "without_ratio": len(table) - len(ratios),
        "strips": [
            svg for metric in measured for svg in plots.strip_plots(values, table, metric=metric)
        ],
    }  # fmt: skip


def transport(comparison: Comparison, gen: Volume, real: Volume) -> dict[str, Any]:
    """Plots of diffusion, if it was measured: over the fraction, and where it goes.

    Of phases that conduct in a sub-volume at least; the flux is that of the first one that conducts
    in both windows shown.
    """
    values = comparison.values
    conducts = (values["metric"] == "effective_diffusivity") & (values["value"] > 0)
    conducting = set(values.loc[conducts, "phase"])
    known = set(values.loc[values["metric"] == "volume_fraction", "phase"])
    ranks = [k for k, phase in enumerate(real.phases) if phase.name in conducting]
    return {
        "porosities": [
            plots.porosity_plot(values, phase=real.phases[k].name, name=f"porosity-{k}")
            for k in ranks
            if real.phases[k].name in known
        ],
        "fluxes": _fluxes(gen, real, ranks) if ranks else [],
    }


def _fluxes(gen: Volume, real: Volume, ranks: Sequence[int]) -> list[tuple[str, str, str]]:
    """Kind, phase and SVG of the flux along z, on the plane normal to y where it is largest."""
    extent = plots.shared_extent([gen, real])
    windows = {"generated": _middle(gen, extent), "real": _middle(real, extent)}
    for rank in ranks:
        fluxes = {
            kind: local_flux(window, phase=window.phases[rank].label, axis="z")
            for kind, window in windows.items()
        }
        known = {kind: flux for kind, flux in fluxes.items() if flux is not None}
        if len(known) == len(fluxes):
            most = float(np.quantile(np.concatenate([f[f > 0] for f in known.values()]), 0.99))
            return [
                (
                    kind,
                    real.phases[rank].name,
                    plots.flux_plot(
                        flux[:, flux.sum((0, 2)).argmax()],
                        most=most,
                        edges=windows[kind].spacing,
                        unit=real.unit,
                        name=f"flux-{kind}",
                    ),
                )
                for kind, flux in known.items()
            ]
    return []


def _edges(window: Volume) -> str:
    """Edge lengths of a window along z, y and x, with their unit."""
    lengths = np.multiply(window.shape, window.spacing)
    return f"{' x '.join(f'{length:.4g}' for length in lengths)} {window.unit}"


def _middle(volume: Volume, extent: NDArray[np.float64]) -> Volume:
    """The middle of a volume, of these edges in z, y, x, but at most so many voxels a side."""
    axes = zip(volume.shape, volume.spacing, extent, strict=True)
    z, y, x = (plots.central(*axis, most=VIEW_VOXELS) for axis in axes)
    return volume.crop((z, y, x))


def _png(picture: NDArray[np.uint8]) -> str:
    """A picture as PNG, in base64."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
