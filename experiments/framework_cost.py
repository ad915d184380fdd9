"""Cost of the training loop beside the compiled step: the real loop against the bare step on a fixed batch.

    python -m experiments.framework_cost [PRESET] [--json FILE] [--field value ...]

The bare step is the model's loss, gradient and update alone, on one batch that lies on the device, called in a
row. The real loop adds what a study needs: shuffling, gathering, augmenting and normalising each batch, metrics,
their check for NaN, scalars on disk, the progress line, SIGTERM. Both run in turn, round after round, so that a
machine that drifts drifts for both; compilation and dumps are left out. One number is given for a one-hot
student and one for a distilled student, whose step has the teacher in it.
"""

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console
from rich.table import Table

from distill_jax.command import command_line
from distill_jax.command.main import setting_from
from distill_jax.data import load_dataset
from distill_jax.data.augment import normalise
from distill_jax.errors import InputError
from distill_jax.machine.environment import environment
from distill_jax.machine.placement import on_host
from distill_jax.paths import local
from distill_jax.setting import Setting
from distill_jax.training.loop import train
from distill_jax.training.population import Member
from distill_jax.training.profiling import Profile
from distill_jax.training.progress import StudyProgress
from distill_jax.training.step import TrainState
from distill_jax.training.trainer import Timing, Trainer

ROUNDS = 7
PROG = "python -m experiments.framework_cost"


def bare_step(trainer: Trainer, taught: bool, temperature: float) -> Any:
    """The step of one model without anything around it: (state, teacher, x, label) -> (state, loss)."""

    rate = trainer.setting.optimizer.learning_rate

    def step(state: TrainState, teacher_variables: Any, x: jax.Array, label: jax.Array) -> tuple[TrainState, jax.Array]:
        target = jax.nn.softmax(trainer.teach(teacher_variables, x).logits / temperature) if taught else None

        def loss_of(params: Any) -> tuple[jax.Array, Any]:
            variables = {"params": params, **state.collections}
            logits, updated = trainer.model.apply(variables, x, train=True, mutable=["batch_stats"])
            if target is None:
                return optax.softmax_cross_entropy_with_integer_labels(logits, label).mean(), updated
            return optax.softmax_cross_entropy(logits / temperature, target).mean() * temperature**2, updated

        (loss, updated), grads = jax.value_and_grad(loss_of, has_aux=True)(state.params)
        direction, opt_state = trainer.rule.update(grads, state.opt_state, state.params)
        params = jax.tree.map(lambda p, d: p - rate * d, state.params, direction)
        return TrainState(params, {**state.collections, **updated}, opt_state), loss

    return jax.jit(step, donate_argnums=0)


def measure(trainer: Trainer, member: Member, teacher: Any, rounds: int) -> dict[str, Any]:
    """Seconds a step of the real loop and of the bare step, in turn, and the ratio of each pair."""
    setting, schedule, dataset = trainer.setting, trainer.schedule, trainer.dataset
    is_distilled = member.model == "kd"
    step = bare_step(trainer, is_distilled, setting.objective.temperature)
    x = normalise(jnp.asarray(dataset.train.x[: setting.train.batch_size]), dataset.mean, dataset.std, trainer.dtype)
    label = jnp.asarray(dataset.train.label[: setting.train.batch_size])
    teacher_variables = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), teacher) if is_distilled else {}
    pairs = []
    for round_number in range(rounds + 1):  # the first compiles and warms up
        state = jax.tree.map(lambda leaf: leaf[0], trainer.initial_state([member]))
        state, loss = jax.block_until_ready(step(state, teacher_variables, x, label))
        started = time.monotonic()
        for _ in range(schedule.total_steps):
            state, loss = step(state, teacher_variables, x, label)
        jax.block_until_ready((state, loss))
        bare = (time.monotonic() - started) / schedule.total_steps
        with tempfile.TemporaryDirectory() as folder:
            run = dataclasses.replace(setting.run, workdir=Path(folder))
            trainer.setting = dataclasses.replace(setting, run=run)
            timing: Timing = train(
                trainer,
                [member],
                teacher,
                folder=Path(folder) / "run",
                digests=["framework cost"],
                name=member.model,
                progress=StudyProgress(Console(quiet=True)),
                profile=Profile(None, print),
            )
        trainer.setting = setting
        if round_number:
            pairs.append((timing.training / schedule.total_steps, bare))
    ratios = [loop / bare for loop, bare in pairs]
    return {
        "loop_seconds_a_step": statistics.median(loop for loop, _ in pairs),
        "bare_seconds_a_step": statistics.median(bare for _, bare in pairs),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "steps_a_round": schedule.total_steps,
    }


def _file_of(arguments: Sequence[str]) -> tuple[Path | None, list[str]]:
    """The file that --json names, and the other arguments.

    Raises:
      InputError: it names nothing, or no path of this machine.
    """
    words, file = list(arguments), None
    for index, word in enumerate(words):
        if word == "--json" or word.startswith("--json="):
            _, equals, file = word.partition("=")
            del words[index]
            if not equals:
                file = words.pop(index) if index < len(words) else ""
            if not file:
                raise InputError("--json", None, "must be followed by the name of the file to write")
            return local("--json", file), words
    return None, words


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    file, words = _file_of(arguments)
    command_line.check_writable("--json", file, ".json")
    if not words or words[0].startswith("-"):
        words = ["cifar100-small", *words]
    setting: Setting = setting_from(words)
    setting = dataclasses.replace(
        setting,
        train=dataclasses.replace(setting.train, epochs=4, snapshots=()),
        run=dataclasses.replace(setting.run, teacher_logits="in-step"),  # as in the bare step
    )
    dataset = load_dataset(setting.data)
    trainer = Trainer(setting, dataset, "student")
    teacher = jax.tree.map(on_host, trainer.initial_state([Member("teacher", 0)]).variables)
    rows = {model: measure(trainer, Member(model, 0), teacher, ROUNDS) for model in ("one_hot", "kd")}
    table = Table("student", "real loop, ms", "bare step, ms", "ratio (median)", "lowest", "highest", box=None)
    for model, row in rows.items():
        seconds = [f"{1000 * row[f'{kind}_seconds_a_step']:.2f}" for kind in ("loop", "bare")]
        table.add_row(model, *seconds, *(f"{f(row['ratios']):.3f}" for f in (np.median, min, max)))
    command_line.console().print(table)
    if file is not None:
        result = {"environment": environment(f"{PROG} {' '.join(arguments)}".strip()), "rows": rows}
        command_line.write_json(file, result)


if __name__ == "__main__":
    command_line.run(main)
