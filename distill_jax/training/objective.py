"""The objective of a study's students: a sum of losses whose weights are scheduled, each student's in its own way.

    (1 - w) CE(e(y), f)  +  w s CE(softmax(teacher / T), f / T)

with w = 0 the one-hot loss (equation 1 of the paper), w = 1 the distillation loss (equation 2), and a w that moves
from one to the other at some step a switched loss (section 3.2). Other losses are weighted likewise: where a student is
taught by a loss, that has --distillation-weight, and the one-hot loss what is left.
"""

import dataclasses
import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from distill_jax.models.outputs import Outputs
from distill_jax.setting import ObjectiveSetting
from distill_jax.students import Kind
from distill_jax.training.losses import OPTIONS, loss

PARAMS = "losses"  # of a model's parameters those that are its losses' own


@dataclasses.dataclass(frozen=True)
class Objective:
    """The weighted sum of some losses.

    Attributes:
      names: of the losses, in the order of their weights, L.
      distillation_scale: 'T^2' or '1', see `losses.kd`.
    """

    names: tuple[str, ...]
    distillation_scale: str = "T^2"

    @classmethod
    def of(cls, kinds: Sequence[Kind], setting: ObjectiveSetting) -> "Objective":
        """That of students of these kinds."""
        used = dict.fromkeys(["one_hot", *(name for kind in kinds for name in kind.losses)])
        return cls(tuple(used), setting.distillation_scale)

    def __call__(
        self,
        student: Outputs,
        teacher: Outputs | None,
        label: jax.Array,
        weights: jax.Array,
        settings: Mapping[str, jax.Array],
        params: Mapping[str, Any],
    ) -> jax.Array:
        """The objective of a batch.

        Args:
          student, teacher: their outputs on the same inputs; None for a teacher where all that need one have no weight.
          label: int [B].
          weights: float32 [L].
          settings: of `settings`, scalars.
          params: of the losses' own, by their names.

        Returns:
          float32 scalar, nats, mean over the batch.
        """
        terms = []
        for number, name in enumerate(self.names):
            one = loss(name)
            if one.teacher and teacher is None:
                continue
            own: dict[str, Any] = {key: settings[_key(name, key)] for key in self._numbers(name)}
            if "distillation_scale" in one.settings:
                own["distillation_scale"] = self.distillation_scale
            if one.init is not None:
                own["params"] = params[name]
            terms.append(weights[number] * jnp.mean(one.function(student, teacher, label, **own)))
        return functools.reduce(operator.add, terms)

    @staticmethod
    def _numbers(name: str) -> list[str]:
        return [key for key in loss(name).settings if key != "distillation_scale"]

    def settings(self, setting: ObjectiveSetting) -> dict[str, float]:
        """The numbers that the losses are set by.

        >>> Objective(("one_hot", "dkd")).settings(ObjectiveSetting(loss_settings={"beta": 2.0}))
        {'temperature': 4.0, 'dkd.alpha': 1.0, 'dkd.beta': 2.0}
        """
        found = {}
        for name in self.names:
            for key in self._numbers(name):
                default = setting.temperature if key == "temperature" else loss(name).settings[key]
                found[_key(name, key)] = float(setting.loss_settings.get(key, default))
        return found

    @property
    def taught(self) -> np.ndarray:
        """Which of the losses need a teacher, bool [L]."""
        return np.array([loss(name).teacher for name in self.names])

    @property
    def features(self) -> bool:
        """Whether one of the losses compares features."""
        return any(loss(name).features for name in self.names)

    def init(self, key: jax.Array, student: Outputs, teacher: Outputs) -> dict[str, Any]:
        """The losses' own parameters by name, from the shapes of both outputs."""
        own = {name: loss(name).init for name in self.names}
        return {
            name: make(jax.random.fold_in(key, number), student, teacher)
            for number, (name, make) in enumerate(own.items())
            if make is not None
        }

    def weights(self, kind: Kind, setting: ObjectiveSetting, total_steps: int) -> np.ndarray:
        """The losses' weights at every step for a student of a kind, float32 [L, total_steps].

        Steps know their weights from this table, so that members of a population may differ in any way in it, and the
        host knows where all that need a teacher are 0.
        """
        left = _share_left(kind, setting, total_steps)
        table = np.zeros((len(self.names), total_steps), np.float32)
        shares = [dict.fromkeys(self.names, np.float32(0)) for _ in kind.losses]
        for share, name in zip(shares, kind.losses, strict=True):
            share[name] = np.float32(setting.distillation_weight if loss(name).teacher else 1.0)
        for row, name in enumerate(self.names):
            begin, end = (share[name] for share in shares)
            table[row] = (begin - end) * left + end
        table[self.names.index("one_hot")] = 0
        table[self.names.index("one_hot")] = 1 - table.sum(0)
        return table


def _key(name: str, setting: str) -> str:
    return setting if setting in OPTIONS else f"{name}.{setting}"


def switch_step(setting: ObjectiveSetting, total_steps: int) -> int:
    """The step at which the switched students begin to change their loss."""
    return total_steps // 2 if setting.switch_step is None else setting.switch_step


def _share_left(kind: Kind, setting: ObjectiveSetting, total_steps: int) -> np.ndarray:
    """How much of its first loss a student still has at every step, float32 [total_steps].

    A switch begins at step s with window n: all of it at every step <= s for n > 0, linearly less, and nothing from
    step s + n on; for n = 0 step s is the first with nothing.
    """
    steps = jnp.arange(total_steps)
    if kind.schedule is not None:
        return 1 - np.broadcast_to(np.asarray(kind.schedule(total_steps)(steps), np.float32), (total_steps,))
    begin, window = switch_step(setting, total_steps), setting.switch_window
    schedule = optax.linear_schedule(1.0, 0.0, window, transition_begin=begin)
    if window == 0:
        schedule = optax.join_schedules([optax.constant_schedule(1.0), optax.constant_schedule(0.0)], [begin])
    return np.asarray(schedule(steps), np.float32)
