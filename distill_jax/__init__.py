"""How a distilled student deviates from its teacher, and why that helps.

Train a study from Python; everything it computes is then in the dumps of its work directory::

    from pathlib import Path

    from rich.console import Console

    from distill_jax.setting import RunSetting, Setting
    from distill_jax.study import Study

    study = Study(Setting(run=RunSetting(workdir=Path("work"), seeds=2)), Console())
    study.train()

From dumps to the statistics and the figure, with no accelerator::

    import distill_jax

    def dump(model):
        return distill_jax.dumps.read_dump(f"work/dumps/{model}/seed-0/step-1100/test")

    distill_jax.deviations.deviations(dump("teacher"), dump("kd"))["mean_gap_hard"]
    distill_jax.plots.scatter([dump("teacher")], [dump("one_hot"), dump("kd")]).savefig("scatter.png")
"""

from distill_jax import deviations, dumps, plots, statistics

__all__ = ["deviations", "dumps", "plots", "statistics"]
