"""Metrics of a training as it runs: scalars, a progress line, an alarm where it diverges."""

import time
from collections.abc import Sequence

import jax
import numpy as np

from distill_jax.errors import RunError
from distill_jax.own_code import short_name
from distill_jax.students import TEACHER
from distill_jax.training.population import Member
from distill_jax.training.progress import Bar, Scalars
from distill_jax.training.trainer import Runner, Timing, Trainer

_LOGGED_MOMENTS = 200  # scalars of a run are means over a two-hundredth of it


class Meter:
    """Fetches metrics one dispatch late, so that the devices never wait for the host; checks and reports them."""

    def __init__(
        self,
        trainer: Trainer,
        runner: Runner,
        members: Sequence[Member],
        scalars: Scalars | None,
        bar: Bar,
        *,
        timing: Timing,
        first: int,
    ):
        self._trainer, self._runner, self._members = trainer, runner, members
        self._scalars, self._bar, self._timing = scalars, bar, timing
        self._waiting: list[tuple[int, dict[str, jax.Array]]] = []
        self._begun, self._step = first, first
        self._losses: list[np.ndarray] = []
        self._accuracies: list[np.ndarray] = []
        self._seconds_before = timing.training
        self._logged_step, self._logged_seconds = first, timing.training
        self._every = max(trainer.schedule.total_steps // _LOGGED_MOMENTS, 1)
        self._compiled = timing.compilation
        self.restart()

    def restart(self) -> None:
        """Starts the clock again after work that is not training."""
        self._clock = time.monotonic()
        self._compiled = self._timing.compilation

    def add(self, start: int, metrics: dict[str, jax.Array]) -> None:
        """Takes a dispatch's metrics and looks at those of the one before."""
        self._waiting.append((start, metrics))
        if len(self._waiting) > 1:
            self._fetch()

    def drain(self) -> None:
        """Looks at all metrics and stops the clock."""
        while self._waiting:
            self._fetch()

    def seconds_a_step(self) -> float:
        """Mean so far of this session."""
        return (self._timing.training - self._seconds_before) / max(self._step - self._begun, 1)

    def _fetch(self) -> None:
        start, metrics = self._waiting.pop(0)
        loss, accuracy = np.asarray(metrics["loss"]), np.asarray(metrics["accuracy"])  # [P, steps]
        now = time.monotonic()
        compiled = self._timing.compilation - self._compiled
        self._timing.training += max(now - self._clock - compiled, 0.0)
        self.restart()
        bad = np.argwhere(~np.isfinite(loss))
        if len(bad):
            member, step = self._members[bad[0][0]], start + int(bad[0][1])
            raise RunError(
                f"the loss of {member.name}, seed {member.seed}, is {loss[tuple(bad[0])]} at step {step}; try a lower "
                f"`optimizer.learning_rate` than {member.applied(self._trainer.setting).optimizer.learning_rate:g} "
                "(earlier checkpoints are kept)"
            )
        self._losses.append(loss)
        self._accuracies.append(accuracy)
        self._step = start + loss.shape[1]
        if self._step - self._logged_step >= self._every or self._step == self._trainer.schedule.total_steps:
            self._log()

    def _log(self) -> None:
        step, trainer = self._step, self._trainer
        loss = np.concatenate(self._losses, axis=1).mean(axis=1)
        accuracy = np.concatenate(self._accuracies, axis=1).mean(axis=1)
        seconds = self._timing.training - self._logged_seconds
        examples = (step - self._logged_step) * trainer.setting.train.batch_size * len(self._members)
        speed = examples / max(seconds, 1e-9)
        if self._scalars is not None:
            self._scalars.write(
                step,
                {"examples_per_s": speed},
                {
                    "loss": loss,
                    "accuracy": accuracy,
                    "learning_rate": self._runner.rates[:, step - 1],
                    "distillation_weight": self._runner.distillation_weights[:, step - 1],
                },
            )
        text = f"accuracy {accuracy.mean():.3f}, {speed:,.0f} examples/s"
        self._bar.update(step, f"loss {self._by_kind(loss)}; {text}")
        self._losses, self._accuracies = [], []
        self._logged_step, self._logged_seconds = step, self._timing.training

    def _by_kind(self, loss: np.ndarray) -> str:
        """The mean loss of each kind of student, over seeds and what is swept; of a teacher the number alone."""
        kinds = [short_name(member.model) for member in self._members]
        if set(kinds) == {TEACHER}:
            return f"{loss.mean():.3f}"
        means = {kind: loss[[k == kind for k in kinds]].mean() for kind in dict.fromkeys(kinds)}
        return ", ".join(f"{kind} {mean:.3f}" for kind, mean in means.items())
