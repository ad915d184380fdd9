"""The figures of a study, each a function from dumps or from a report's summary to a Matplotlib figure.

Colours are Okabe and Ito's, told apart by colour-blind readers; marker and line style say the same in grey.
Nothing here touches pyplot's global state, and no display is needed.
"""

from distill_jax.report.plots.bars import mislabelled, underfitting
from distill_jax.report.plots.clouds import Cloud, clouds, evolution, gap_lines, scatter, underfit_line
from distill_jax.report.plots.curves import BySwitch, Switched, accuracy, sweep, switches, trajectories
from distill_jax.report.plots.data_maps import data_map
from distill_jax.report.plots.style import SPLITS, encode, save

__all__ = [
    "SPLITS",
    "BySwitch",
    "Cloud",
    "Switched",
    "accuracy",
    "clouds",
    "data_map",
    "encode",
    "evolution",
    "gap_lines",
    "mislabelled",
    "save",
    "scatter",
    "sweep",
    "switches",
    "trajectories",
    "underfit_line",
    "underfitting",
]
