"""From the theory to the paper's experiment, one departure at a time, and from the experiment back: as settings.

The theory's own setting is squared loss, full batches, gradient descent in small steps from 0, a linear model. Each
departure alone is made from it, and each alone is taken back from the paper's setting: what is added by the one and
missing without it is what it does. Adam has a row with minibatches too, whose noise it divides by. Random first weights
are no departure for the way from there (`closed_form`).
"""

import dataclasses
from pathlib import Path
from typing import Any

from distill_jax.errors import InputError
from experiments.eigenspace.setting import Setting, filled

RATE = 0.5  # of gradient descent, in units of 1 / the greatest eigenvalue
BATCH = 16  # the paper's


@dataclasses.dataclass(frozen=True)
class BridgeSetting:
    """How far each departure from the theory moves trajectories away from its closed form, and who exaggerates then."""

    seeds: int = 30
    """Independent repetitions, the same ones for every row."""
    dataset: str = "mnist"
    """As of the main job: mnist, digits, ..."""
    data_dir: Path | None = None
    """As of the main job: the folder that holds the prepared data."""
    train_examples: int = 128
    """Training points of a seed."""
    features: int = 5000
    """Random features."""
    hidden: int = 1000
    """Hidden units of the MLP."""
    steps: int = 1000
    """Steps of gradient descent with the linear model; a quarter of them, twice as long, with the MLP. Adam's are the
    paper's."""
    json: Path | None = None
    """File for the result, written after each row; the same command goes on with it."""
    figures: Path | None = None
    """Folder for the picture."""


def departures(bridge: BridgeSetting) -> dict[str, Setting]:
    """Every row's name and setting, from the theory to the paper, `filled`.

    The data are the same in all rows but those of the paper's MLP, which has no wrong labels.

    Raises:
      InputError: too few examples or steps; the rest is checked with each row's setting (`checks.validate`).
    """
    n, linear, (_, last) = bridge.train_examples, "random-features", Setting().bottom
    if n <= last:
        raise InputError(
            "--train-examples", n, f"must be {last + 1} or more, as many as there are directions to draw from"
        )
    if bridge.steps < 1:
        raise InputError("--steps", bridge.steps, "must be 1 or more")
    descent = {"optimizer": "gradient-descent", "learning_rate": RATE}
    theory: dict[str, Any] = {"loss": "squared", "initial": "zero", "batch_size": n, "epochs": bridge.steps, **descent}
    theory |= {"label_noise": 0.25}
    in_batches = {"batch_size": BATCH, "epochs": max(bridge.steps * BATCH // n, 1)}
    adam = {"optimizer": "adam", "learning_rate": None}
    # Adam's steps with full batches are as many as the paper's.
    full_batch = {"batch_size": n, "epochs": 40 * (n // BATCH)}
    rows: dict[str, dict[str, Any]] = {
        "theory": theory,
        "theory, but minibatches": theory | in_batches,
        "theory, but cross-entropy": theory | {"loss": "cross-entropy"},
        "theory, but Adam": theory | full_batch | adam,
        "theory, but Adam and minibatches": theory | adam | {"batch_size": BATCH, "epochs": None},
        "theory, but MLP": theory
        | {"setting": "mlp", "initial": "random", "epochs": max(bridge.steps // 4, 1), "learning_rate": 2 * RATE},
        "paper, but no minibatches": full_batch,
        "paper, but no cross-entropy": {"loss": "squared"},
        "paper, but no Adam": descent | in_batches,
        "paper": {},
        "paper's MLP, but no cross-entropy": {"setting": "mlp", "loss": "squared"},
        "paper's MLP": {"setting": "mlp"},
    }
    shared = {
        field.name: getattr(bridge, field.name)
        for field in dataclasses.fields(bridge)
        if field.name not in ("steps", "json", "figures")
    } | {"test_examples": 10}  # which are not looked at here
    return {
        name: filled(dataclasses.replace(Setting(), **{"setting": linear, **shared, **changes}))
        for name, changes in rows.items()
    }
