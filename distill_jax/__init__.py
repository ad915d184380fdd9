"""How a distilled student deviates from its teacher, and why that helps.

A study from Python; everything that it computes is also in its folder::

    import distill_jax

    study = distill_jax.run("digits", seeds=3, epochs=20, workdir="work/mine")
    study  # in a notebook: accuracies, and each claim with its verdict
    study.deviation("kd", "mean_gap_hard").minus_control  # an `Interval`: .mean, .low, .high, .per_seed
    study.dump("kd", seed=1).logits
    study.scatter()

The report's numbers of logits of one's own, of one seed or several, whatever made them::

    distill_jax.compare(teacher, {"student": logits, "control": others}, labels, control="control")

Reading, measuring and drawing need no accelerator, and do not load JAX's machinery.
"""

import importlib
from typing import TYPE_CHECKING, Any

import compiler_faults
from distill_jax.machine import gpu_flags

if TYPE_CHECKING:
    from distill_jax import dumps
    from distill_jax.data import load_dataset
    from distill_jax.dumps import Dump, read_dump, save_dump
    from distill_jax.export.loading import load_exported
    from distill_jax.measures import deviations, statistics
    from distill_jax.measures.interval import Interval
    from distill_jax.models.outputs import Outputs
    from distill_jax.notebook import compare, open_study, run
    from distill_jax.report import plots
    from distill_jax.report.plots import scatter
    from distill_jax.setting import Setting
    from distill_jax.students import Kind
    from distill_jax.training.losses import Loss

compiler_faults.avoid()
gpu_flags.add(gpu_flags.DETERMINISTIC, "true")

__version__ = "0.1.0"

# Imported when first used: data can be loaded without JAX, and dumps without Flax.
_MODULES = {
    "deviations": "measures.deviations",
    "dumps": "dumps",
    "plots": "report.plots",
    "statistics": "measures.statistics",
}
_NAMES = {
    **dict.fromkeys(("Dump", "read_dump", "save_dump"), "dumps"),
    **dict.fromkeys(("compare", "open_study", "run"), "notebook"),
    **{"Kind": "students", "Loss": "training.losses", "Outputs": "models.outputs", "Setting": "setting"},
    **{"Interval": "measures.interval", "load_dataset": "data", "scatter": "report.plots"},
    "load_exported": "export.loading",
}
__all__ = [
    "Dump",
    "Interval",
    "Kind",
    "Loss",
    "Outputs",
    "Setting",
    "compare",
    "deviations",
    "dumps",
    "load_dataset",
    "load_exported",
    "open_study",
    "plots",
    "read_dump",
    "run",
    "save_dump",
    "scatter",
    "statistics",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{_MODULES[name]}")
    if name in _NAMES:
        return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
