"""A study small enough to be trained many times in the tests: random images, two kinds of network."""

import dataclasses

import jax
import numpy as np
from rich.console import Console

from distill_jax.data.dataset import Dataset, Split
from distill_jax.machine import placement
from distill_jax.setting import (
    DataSetting,
    ModelSetting,
    OptimizerSetting,
    RunSetting,
    Setting,
    TrainSetting,
)
from distill_jax.training.population import Member
from distill_jax.training.trainer import Timing, Trainer

QUIET = Console(quiet=True)


def dataset(train=100, test=40, side=8, classes=5) -> Dataset:
    """Learnable images: each class has its own mean image."""
    rng = np.random.default_rng(0)
    means = rng.uniform(40, 200, (classes, side, side, 3))

    def part(count):
        label = (np.arange(count) % classes).astype(np.int32)
        x = np.clip(means[label] + rng.normal(0, 40, (count, side, side, 3)), 0, 255).astype(np.uint8)
        return Split(x=x, label=label, true_label=label.copy(), id=np.arange(count, dtype=np.int64))

    x = part(train)
    mean, std = np.full(3, 120, np.float32), np.full(3, 60, np.float32)
    return Dataset("random", x, part(test), classes, mean, std)


def setting(workdir, network="mlp", **groups) -> Setting:
    """Ten steps an epoch, augmentation, momentum; groups of fields may be changed."""
    model = (
        ModelSetting(name="mlp", hidden=(16,))
        if network == "mlp"
        else ModelSetting(name="resnet-cifar", depth=8, width=4)
    )
    base = Setting(
        data=DataSetting(augment="crop-flip"),
        teacher=model,
        student=model,
        optimizer=OptimizerSetting(learning_rate=0.05, weight_decay=1e-3),
        train=TrainSetting(epochs=3, batch_size=8, snapshots=(0.5,)),
        run=RunSetting(workdir=workdir, steps_per_dispatch=4 if network == "mlp" else 1),
    )
    return dataclasses.replace(
        base, **{g: dataclasses.replace(getattr(base, g), **fields) for g, fields in groups.items()}
    )


def on_devices(monkeypatch, count: int) -> None:
    """Makes so many of the devices visible to the mesh."""
    devices = jax.devices()[:count]
    monkeypatch.setattr(placement.jax, "devices", lambda: devices)
    monkeypatch.setattr(placement.jax, "local_device_count", lambda: count)


def advance(trainer: Trainer, members: list[Member], teachers=None, first=0, steps=8, state=None):
    """The state and the losses [P, steps] after some steps from the beginning or a state."""
    runner = trainer.runner(members, teachers, Timing())
    state = trainer.initial_state(members) if state is None else state
    losses, size = [], trainer.steps_per_dispatch
    for start in range(first, first + steps, size):
        state, metrics = runner(state, start, size)
        losses.append(np.asarray(metrics["loss"]))
    return state, np.concatenate(losses, axis=1)
