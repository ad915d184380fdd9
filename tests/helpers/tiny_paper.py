"""The paper's experiments at a tiny scale, as a command, `python -m tiny_paper`: digits, with reports `undrawn`."""

import os
from collections.abc import Sequence

from undrawn import leave_out_figures

from distill_jax.command import beginning
from distill_jax.presets import PRESETS
from distill_jax.setting import ModelSetting, changed
from experiments.paper.rows import CROSS_PAIRS, PUBLISHED_PAIRS, TABLE_2
from experiments.paper.scale import PAPER, SCALES, Ground, Network, Scale

EPOCHS = "TINY_PAPER_EPOCHS"  # a variable for how many, also on other machines


def tiny(epochs: int = 8) -> Scale:
    """Digits and small perceptrons in place of everything, for four steps an epoch."""
    mlp = Network("MLP", ModelSetting(name="mlp", hidden=(8,)))
    recipe = {"epochs": epochs, "batch_size": 24, "precision": "float32"}
    base = changed(PRESETS["digits"].setting, data={"train_examples": 96}, train=recipe, objective={"switch_window": 2})
    networks = dict.fromkeys(
        {n for row in (*TABLE_2, *CROSS_PAIRS, *PUBLISHED_PAIRS) for n in (row.teacher, row.student)}, mlp
    )
    grounds = {}
    for name, of in PAPER.grounds.items():
        noisy = changed(base, data={"label_noise": of.base.data.label_noise})
        grounds[name] = Ground(name, noisy, 96, networks, early=4, late=20, swept=of.swept)
    return Scale("small", "digits", grounds)


def main(arguments: Sequence[str]) -> None:
    """The command, whose scale 'small' is the tiny one."""
    from experiments.paper import make
    from experiments.paper.__main__ import main as paper

    make.PROGRAM = "tiny_paper"  # on other machines too
    SCALES["small"] = tiny(int(os.environ.get(EPOCHS, "8")))
    leave_out_figures()
    paper(arguments)


if __name__ == "__main__":
    beginning.begin()
    from distill_jax.command import command_line

    command_line.run(main)
