"""The roofline plot: arithmetic intensity against FLOP/s reached, below the device's two limits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from distill_jax.report.plots.style import grid, heading

# Okabe and Ito's colours; the marker says the same in grey.
_STYLES = {
    "cifar-resnet20": ("o", "#0072B2"),
    "cifar-resnet56": ("s", "#E69F00"),
    "tiny-mobilenet-v2": ("^", "#009E73"),
    "tiny-resnet18": ("D", "#CC79A7"),
    "tiny-resnet50": ("P", "#D55E00"),
    "mnist-random-features": ("v", "#56B4E9"),
    "channel": ("X", "#000000"),
    "digits-mlp": ("*", "#7F6000"),
    "mnli-roberta-base": ("<", "#882255"),
    "mnli-roberta-small": (">", "#44AA99"),
    "imdb-roberta-2x64": ("h", "#332288"),
}
_ROOFS = {"float32": "-", "bfloat16": (0, (5, 2))}


def roofline(rows: Sequence[dict[str, Any]]) -> Figure:
    """All measured rows that have a program, one panel.

    Args:
      rows: as `results.read` gives them, of one device. A filled marker is one model, an open one a population.
        Points above the roof are programs whose bytes, as XLA counts them, stayed in the caches.
    """
    shown = [row for row in rows if row.get("attainable_flops") is not None]
    figure, axes = grid(1, 1, 7.8, 5.4)
    axis = axes[0, 0]
    axis.set(xscale="log", yscale="log", xlabel="arithmetic intensity, FLOP / byte (XLA's bytes)", ylabel="FLOP/s")
    axis.grid(alpha=0.25)
    intensities = [row["flops_a_step"] / row["bytes_a_step"] for row in shown] or [1.0]
    peaks = {row["dtype"]: (row["device_flops"], row["device_bandwidth"]) for row in shown}
    ends = [*intensities, *(peak / bandwidth for peak, bandwidth in peaks.values())]
    x = np.geomspace(min(ends) / 2, max(ends) * 3, 200)
    for dtype, (peak, bandwidth) in peaks.items():
        roof = np.minimum(peak, x * bandwidth)
        axis.plot(x, roof, color="black", lw=1.4, ls=_ROOFS.get(dtype, ":"))
    for row, intensity in zip(shown, intensities, strict=bool(shown)):
        marker, colour = _STYLES.get(row["network"], (".", "#333333"))
        is_single = row["population"] == 1
        axis.plot(intensity, row["flops_per_s"], marker, ms=7, mec=colour, mfc=colour if is_single else "none", mew=1.3)
    handles = [
        Line2D([], [], ls="", marker=marker, color=colour, ms=7, label=name)
        for name, (marker, colour) in _STYLES.items()
        if any(row["network"] == name for row in shown)
    ]
    grey = {"ls": "", "marker": "o", "ms": 7, "mec": "#666666"}
    handles += [
        Line2D([], [], mfc="#666666", label="one model", **grey),
        Line2D([], [], mfc="none", label="a population", **grey),
    ]
    for dtype, (peak, _) in sorted(peaks.items(), reverse=True):
        label = f"roof in {dtype}: {_short(peak)}FLOP/s"
        handles.append(Line2D([], [], color="black", lw=1.4, ls=_ROOFS.get(dtype, ":"), label=label))
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=8.5)
    if shown:
        bandwidth = next(iter(peaks.values()))[1]
        lines = [f"Left of its bend the roof is the main memory's {_short(bandwidth)}B/s times the intensity."]
        if any(row["flops_per_s"] > _roof(row) for row in shown):
            lines.append("Points above it: of their bytes, as XLA counts them, many never left the caches.")
        heading(axis, f"Roofline of {shown[0]['device']}", lines)
    return figure


def _roof(row: dict[str, Any]) -> float:
    """The FLOP/s that a row's device could reach if every byte went through its main memory."""
    return min(row["device_flops"], row["flops_a_step"] / row["bytes_a_step"] * row["device_bandwidth"])


def _short(value: float) -> str:
    """A number with an SI prefix, such as '1.2 T'."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if value >= factor:
            return f"{value / factor:.3g} {prefix}"
    return f"{value:.3g} "
