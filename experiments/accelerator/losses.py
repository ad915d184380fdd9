"""The first losses of a small study of every kind of network, and those that a CPU has found."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from distill_jax.command.command_line import write_json
from distill_jax.machine import backend
from distill_jax.machine.placement import on_host
from distill_jax.setting import changed
from distill_jax.training.population import Member, seeds, shape
from distill_jax.training.programs import Target
from distill_jax.training.schedule import dispatches
from distill_jax.training.trainer import Timing, Trainer
from experiments.accelerator.networks import BATCH, NETWORKS, PRECISIONS, data_of, setting_of

REFERENCE = Path(__file__).parents[1] / "results" / "accelerator" / "reference.json"
ONE = (Member("kd", 0),)
# A seed is a member of its own in every arrangement; these are the smallest population with two of everything.
POPULATION = tuple(Member(model, seed) for seed in (0, 1) for model in ("kd", "one_hot_to_kd"))


def losses(
    network: str, precision: str, members: Sequence[Member] = ONE, one_device: bool = False, shards: int | None = None
) -> np.ndarray:
    """The loss of each member at each of the first `networks.STEPS` steps, float32 [P, steps]; teachers are untrained.

    Args:
      network: of `networks.NETWORKS`.
      precision: 'float32' or 'bfloat16'.
      members: of one population.
      one_device: whether of this process's devices the first is used alone.
      shards: of each batch, see `training.shards`; None for none.
    """
    trainer, teachers = _trainers(network, precision, shape(members), one_device, shards)
    untrained = teachers.initial_state([Member("teacher", seed) for seed in seeds(members)]).variables
    if trainer.setting.data.augment == "none":  # as a study has it: the teachers' logits
        teacher_values: Any = teachers.predict(untrained, teachers.inputs["train"], teachers.buckets.get("train"))[0]
    else:
        teacher_values = jax.tree.map(on_host, untrained)
    runner, state, step_losses = trainer.runner(members, teacher_values, Timing()), trainer.initial_state(members), []
    for first, steps in dispatches(0, trainer.schedule, trainer.steps_per_dispatch):
        state, metrics = runner(state, first, steps)
        step_losses.append(on_host(metrics["loss"]))
    return np.concatenate(step_losses, axis=1)


@functools.cache
def _trainers(
    network: str, precision: str, extent: tuple[int, int], one_device: bool, shards: int | None
) -> tuple[Trainer, Trainer]:
    """The students' and their teachers'."""
    target = Target(jax.devices()[:1], jax.default_backend(), backend.memory_limit()) if one_device else None
    setting, data = setting_of(network, precision), data_of(network)
    if shards is not None:
        setting = changed(setting, train={"batch_shards": shards, "norm_examples": BATCH // shards})
    return Trainer(setting, data, "student", extent, target), Trainer(setting, data, "teacher", (extent[0], 1), target)


def write_reference(path: Path, environment: dict[str, Any], say: Any) -> None:
    """Writes this machine's losses as the reference for others.

    Args:
      path: of the file.
      environment: of this machine.
      say: called with a line on each network.
    """
    losses_by_network: dict[str, dict[str, list[float]]] = {}
    for network in NETWORKS:
        losses_by_network[network] = {precision: losses(network, precision)[0].tolist() for precision in PRECISIONS}
        text = ", ".join(
            f"{precision} {values[0]:.4f} to {values[-1]:.4f}"
            for precision, values in losses_by_network[network].items()
        )
        say(f"{network}: {text}")
        write_json(path, {"environment": environment, "losses": losses_by_network})


def reference(network: str, precision: str) -> np.ndarray:
    """The losses that the file of this project has, [steps]."""
    return np.array(json.loads(REFERENCE.read_text())["losses"][network][precision])


def apart(values: np.ndarray, right: np.ndarray) -> float:
    """The greatest difference of losses by the right ones' size."""
    return float(np.max(np.abs(values - right) / np.abs(right)))
