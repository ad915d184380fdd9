"""Our side of a row: the one module of this benchmark that knows the library's trainer, predictor and dumps.

What is timed is what training runs: its own compiled dispatch, which shuffles, gathers, augments and normalises,
called in a row as the training loop calls it, and waited for at the end of a round.
"""

import dataclasses
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from distill_jax.dumps import dump_path, write_dumps
from distill_jax.machine.placement import on_host
from distill_jax.setting import DataSetting, ObjectiveSetting, RunSetting, Setting, TrainSetting
from distill_jax.training.population import Member
from distill_jax.training.programs import program_memory
from distill_jax.training.trainer import Runner, Timing, Trainer
from experiments.throughput.data import synthetic
from experiments.throughput.dumped import Dumped
from experiments.throughput.flops import flops
from experiments.throughput.grid import NETWORKS, Row
from experiments.throughput.rounds import Contender


@dataclasses.dataclass(frozen=True)
class Program:
    """The program of a row with its costs, of one call and all members.

    Attributes:
      steps: training steps a call.
      flops: products, from the jaxpr.
      bytes: as XLA says: read and written by its fused operations. Where a cache holds what one operation leaves for
        the next, less goes to memory. A fusion that gathers a batch is charged with the whole split it gathers from.
      xla_flops: XLA's own count, see `flops`.
      memory: bytes of arguments, results and temporary values at once.
      compiled, jaxpr: the program itself, and from what it was compiled.
      of: whose it is.
    """

    steps: int
    flops: float
    bytes: float
    xla_flops: float
    memory: float
    compiled: Any
    jaxpr: Any
    of: Trainer


def prepare(row: Row, folder: Path) -> tuple[Contender, Program | None]:
    """A row's work, compiled and warm; a dump has no program. `folder` is where dumps are written."""
    if row.kind == "dump":
        return _dump(row, folder), None
    with jax.default_matmul_precision("highest" if row.dtype == "float32" else "default"):
        return _evaluation(row) if row.kind == "evaluate" else _training(row)


def setting_of(row: Row) -> Setting:
    """The study whose students a row trains."""
    network = NETWORKS[row.network]
    batch = row.batch if row.kind in ("one-hot", "kd", "kd-cached") else network.batches[0]
    return Setting(
        # Teachers can be cached only where nothing is augmented.
        data=DataSetting(augment="none" if row.kind == "kd-cached" else network.augment),
        teacher=network.model,
        student=network.model,
        objective=ObjectiveSetting(temperature=network.temperature),
        optimizer=network.optimizer,
        train=TrainSetting(epochs=450, batch_size=batch, precision=row.dtype),
        run=RunSetting(teacher_logits="cached" if row.kind == "kd-cached" else "in-step"),
    )


def _trainer(row: Row) -> Trainer:
    return Trainer(setting_of(row), synthetic(row.network), "student", (row.population, 1))


def _runner(row: Row, trainer: Trainer, members: Sequence[Member]) -> Runner:
    """The runner that advances a training row's population, with random teachers where it has some."""
    teachers = None
    if row.kind == "kd-cached":
        shape = (len(members), len(trainer.dataset.train.label), trainer.dataset.num_classes)
        teachers = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    elif row.kind == "kd":
        teacher_members = [Member("teacher", m.seed) for m in members]
        teachers = jax.tree.map(on_host, trainer.initial_state(teacher_members).variables)
    return trainer.runner(members, teachers, Timing())


def _training(row: Row) -> tuple[Contender, Program]:
    trainer, with_teacher = _trainer(row), row.kind != "one-hot"
    members = [Member("kd" if with_teacher else "one_hot", seed) for seed in range(row.population)]
    runner, state = _runner(row, trainer, members), trainer.initial_state(members)
    steps, total, first = trainer.steps_per_dispatch, trainer.schedule.total_steps, 0
    compiled = trainer.compiled_steps(with_teacher, steps)
    compile_seconds = trainer.compilation()
    jaxpr = trainer.jitted_steps(with_teacher, steps).trace(*trainer.arguments_like(with_teacher, steps)).jaxpr

    def run(calls: int) -> None:
        nonlocal state, first
        metrics = None
        for _ in range(calls):
            if first + steps > total:  # of the shuffling and the tables there are so many steps
                first = 0
            state, metrics = runner(state, first, steps)
            first += steps
        jax.block_until_ready((state, metrics))

    run(1)
    contender = Contender("ours", run, steps * row.batch * row.population, compile_seconds)
    # XLA counts the body of a loop once: of that over steps, so that its numbers are those of one step, and of that
    # over a device's seeds, which is why a program without it, of one seed a device, is counted.
    devices, counted = trainer.mesh.size, compiled
    if trainer.seeds_in_turn and row.population > devices:
        counted = _trainer(dataclasses.replace(row, population=devices)).compiled_steps(with_teacher, steps)
    times = steps * (row.population if trainer.seeds_in_turn else devices)
    return contender, _program(compiled, jaxpr, trainer, steps, counted, times)


def _evaluation(row: Row) -> tuple[Contender, Program]:
    trainer = _trainer(row)
    members = [Member("teacher", seed) for seed in range(row.population)]
    variables, x = trainer.initial_state(members).variables, trainer.inputs["test"]
    predict = trainer.predict
    batch = predict.batch(len(x))
    started = time.perf_counter()
    traced = trainer.trace_evaluation("test")
    compiled = traced.lower().compile()
    seconds = time.perf_counter() - started

    def run(calls: int) -> None:
        for _ in range(calls):
            predict(variables, x)

    run(1)
    contender = Contender("ours", run, len(x) * row.population, seconds)
    times = len(x) / batch  # the last batch is filled up with rows that are not asked for, which is no work done
    return contender, _program(compiled, traced.jaxpr, trainer, 1, compiled, times * trainer.mesh.size, times)


def _program(
    compiled: Any, jaxpr: Any, trainer: Trainer, steps: int, counted: Any, times: float, calls: float = 1
) -> Program:
    """The program of so many calls, which do so many times, on all devices together, what XLA counts in `counted`."""
    costs = counted.cost_analysis() or {}
    accessed, work = (times * costs.get(name, 0.0) for name in ("bytes accessed", "flops"))
    memory = float(program_memory(compiled))
    return Program(steps, calls * flops(jaxpr), accessed, work, memory, compiled, jaxpr, trainer)


def _dump(row: Row, folder: Path) -> Contender:
    """The members as seeds of one model, each call as the next step, in a folder that is new in every round."""
    dumped, workdir = Dumped.of(row), folder / "dumped"

    def run(calls: int) -> None:
        for step in range(calls):
            items = [
                (dump_path(workdir, row.network, seed, step, "train"), logits, {})
                for seed, logits in enumerate(dumped.logits)
            ]
            room = range(row.population), range(calls)
            write_dumps(items, dumped.label, dumped.label, dumped.id, room=room)

    def before() -> None:
        shutil.rmtree(workdir, ignore_errors=True)

    return Contender("ours", run, row.batch * row.population, before=before)
