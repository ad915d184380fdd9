"""Cost of the training loop beside the compiled step, and of inputs that are streamed beside those on the device.

    python -m experiments.framework_cost [PRESET] [--json FILE] [--field value ...]

The bare step is the model's loss, gradient and update alone, on one batch that lies on the device, called in a
row. The real loop adds what a study needs: shuffling, gathering, augmenting and normalising each batch, metrics,
their check for NaN, scalars on disk, the progress line, SIGTERM. The streamed loop is the same with its inputs on
the host (extra: stream), and says whether its losses are the same to the bit. All run in turn, round after round, so
that a machine that drifts drifts for all; compilation and dumps are left out. One number is given for a one-hot
student and one for a distilled student, whose step has the teacher in it.
"""

import dataclasses
import json
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
from distill_jax.setting import Setting, changed
from distill_jax.training import streaming
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


def trained(trainer: Trainer, member: Member, teacher: Any) -> tuple[Timing, list[float]]:
    """How long the real loop takes to train a student from its beginning, and its losses as it writes them down."""
    setting = trainer.setting
    with tempfile.TemporaryDirectory() as folder:
        trainer.setting = dataclasses.replace(setting, run=dataclasses.replace(setting.run, workdir=Path(folder)))
        run_folder = Path(folder) / "run"
        watching = {"progress": StudyProgress(Console(quiet=True)), "profile": Profile(None, print)}
        options = {"folder": run_folder, "shared": True, "digests": ["not kept"], "name": member.model} | watching
        timing = train(trainer, [member], teacher, **options)
        losses = [json.loads(line)["loss"] for line in (run_folder / "scalars.jsonl").read_text().splitlines()]
    trainer.setting = setting
    return timing, losses


def measure(trainer: Trainer, streamed: Trainer, member: Member, teacher: Any, rounds: int) -> dict[str, Any]:
    """Seconds a step of the real loop, of the bare step and of the streamed loop, in turn, and ratios of each turn."""
    setting, schedule, dataset = trainer.setting, trainer.schedule, trainer.dataset
    is_distilled = member.model == "kd"
    step = bare_step(trainer, is_distilled, setting.objective.temperature)
    x = normalise(jnp.asarray(dataset.train.x[: setting.train.batch_size]), dataset.mean, dataset.std, trainer.dtype)
    label = jnp.asarray(dataset.train.label[: setting.train.batch_size])
    teacher_variables = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), teacher) if is_distilled else {}
    turns, losses_agree = [], True
    for round_number in range(rounds + 1):  # the first compiles and warms up
        state = jax.tree.map(lambda leaf: leaf[0], trainer.initial_state([member]))
        state, loss = jax.block_until_ready(step(state, teacher_variables, x, label))
        started = time.monotonic()
        for _ in range(schedule.total_steps):
            state, loss = step(state, teacher_variables, x, label)
        jax.block_until_ready((state, loss))
        bare = (time.monotonic() - started) / schedule.total_steps
        timing, losses = trained(trainer, member, teacher)
        streamed_timing, streamed_losses = trained(streamed, member, teacher)
        losses_agree = losses_agree and streamed_losses == losses
        if round_number:
            loop, stream = (t.training / schedule.total_steps for t in (timing, streamed_timing))
            turns.append({"loop": loop, "bare": bare, "streamed": stream})
    ratios = [turn["loop"] / turn["bare"] for turn in turns]
    streamed_ratios = [turn["streamed"] / turn["loop"] for turn in turns]
    return {
        **{f"{name}_seconds_a_step": statistics.median(turn[name] for turn in turns) for name in turns[0]},
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "streamed_ratio": statistics.median(streamed_ratios),
        "streamed_ratios": streamed_ratios,
        "streamed_losses_are_the_same": losses_agree,
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
        run=dataclasses.replace(setting.run, teacher_logits="in-step", streaming="never"),  # as in the bare step
    )
    streaming.require("always")
    dataset = load_dataset(setting.data)
    trainer = Trainer(setting, dataset, "student")
    streamed = Trainer(changed(setting, run={"streaming": "always"}), dataset, "student")
    teacher = jax.tree.map(on_host, trainer.initial_state([Member("teacher", 0)]).variables)
    rows = {model: measure(trainer, streamed, Member(model, 0), teacher, ROUNDS) for model in ("one_hot", "kd")}
    names = ("loop", "bare", "streamed")
    ratios = ("loop / bare", "streamed / loop")
    table = Table("student", *(f"{name}, ms" for name in names), *ratios, "the same losses", box=None)
    for model, row in rows.items():
        seconds = [f"{1000 * row[f'{name}_seconds_a_step']:.2f}" for name in names]
        spreads = [
            f"{np.median(v):.3f} ({min(v):.3f} to {max(v):.3f})" for v in (row["ratios"], row["streamed_ratios"])
        ]
        table.add_row(model, *seconds, *spreads, "yes" if row["streamed_losses_are_the_same"] else "no")
    command_line.console().print(table)
    if file is not None:
        result = {"environment": environment(f"{PROG} {' '.join(arguments)}".strip()), "rows": rows}
        command_line.write_json(file, result)


if __name__ == "__main__":
    command_line.run(main)
