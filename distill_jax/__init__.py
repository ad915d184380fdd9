"""How a distilled student deviates from its teacher, and why that helps.

Train a study from Python; everything it computes is then in the dumps of its work directory::

    from pathlib import Path

    from rich.console import Console

    from distill_jax.setting import RunSetting, Setting
    from distill_jax.study.study import Study

    Study(Setting(run=RunSetting(workdir=Path("work/mine"), seeds=2)), Console()).train()

From dumps to the statistics and the figure, with no accelerator::

    import distill_jax

    def dump(model, seed=0):
        return distill_jax.dumps.read_dump(f"work/digits/dumps/{model}/seed-{seed}/step-1100/test")

    other = dump("teacher", seed=1)  # chooses class and hard points
    distill_jax.deviations.deviations(dump("teacher"), dump("kd"), selector=other)["mean_gap_hard"]
    distill_jax.plots.scatter([dump("teacher")], [dump("one_hot"), dump("kd")]).savefig("scatter.png")
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

import compiler_faults

if TYPE_CHECKING:
    from distill_jax import dumps
    from distill_jax.measures import deviations, statistics
    from distill_jax.report import plots

compiler_faults.avoid()

# Imported when first used: data can be loaded without JAX, and dumps without Flax.
_PLACES = {
    "deviations": "measures.deviations",
    "dumps": "dumps",
    "plots": "report.plots",
    "statistics": "measures.statistics",
}
__all__ = ["deviations", "dumps", "plots", "statistics"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{_PLACES[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
