"""The objective of a study's students: a sum of losses whose weights are scheduled, each student's in its own way.

    (1 - w) CE(e(y), f)  +  w s CE(softmax(teacher / T), f / T)

with w = 0 the one-hot loss (equation 1 of the paper), w = 1 the distillation loss (equation 2), and a w that moves
from one to the other at some step a switched loss (section 3.2). Other losses are weighted likewise: where a student's
loss needs a teacher, its weight is `objective.distillation_weight`, and the one-hot loss has the rest.
"""

import dataclasses
import functools
import operator
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike
from jaxtyping import Float, Float32, Int

from distill_jax.models.outputs import Outputs
from distill_jax.setting import ObjectiveSetting, Setting
from distill_jax.students import Kind, table
from distill_jax.training.losses import OPTIONS, loss

PARAMS = "losses"  # of a model's parameters those that are its losses' own


@dataclasses.dataclass(frozen=True)
class Objective:
    """The weighted sum of some losses.

    >>> student, teacher = Outputs(jnp.zeros((1, 2))), Outputs(jnp.array([[3.0, 4.0]]))  # losses 0.5 and 12.5
    >>> half = Objective(("squared_error", "squared_error_kd"))
    >>> half(student, teacher, jnp.array([0]), {"squared_error_kd": 0.5}, {}, {}).item()
    6.5

    Attributes:
      names: of the losses. The first, in studies the one-hot loss, has the weight that the others leave of 1.
      distillation_scale: 'T^2' or '1', see `losses.kd`.
    """

    names: tuple[str, ...]
    distillation_scale: str = "T^2"

    @classmethod
    def of(cls, kinds: Sequence[Kind], setting: ObjectiveSetting) -> "Objective":
        """That of students of these kinds."""
        used = dict.fromkeys(["one_hot", *(name for kind in kinds for name in kind.losses)])
        return cls(tuple(used), setting.distillation_scale)

    @classmethod
    def of_study(cls, setting: Setting) -> "Objective":
        """That of all of a study's students."""
        return cls.of(list(table(setting.students).values()), setting.objective)

    def __call__(
        self,
        student: Outputs,
        teacher: Outputs | None,
        label: Int[jax.Array, " B"],
        weights: Mapping[str, ArrayLike],
        settings: Mapping[str, ArrayLike],
        params: Mapping[str, Any],
    ) -> Float[jax.Array, ""]:
        """The objective of a batch.

        Args:
          student, teacher: their outputs on the same inputs; None for a teacher where all that need one have no weight.
          label: int [B].
          weights: of all losses but the first by their names, scalars.
          settings: of `settings`, scalars.
          params: of the losses' own, by their names.

        Returns:
          float32 scalar, nats, mean over the batch.
        """
        first, *others = self.names
        others = [name for name in others if teacher is not None or not loss(name).teacher]
        first_weight = 1 - functools.reduce(lambda a, b: a + b, [weights[name] for name in others]) if others else None
        terms = []
        for name in (first, *others):
            term = loss(name)
            arguments: dict[str, Any] = {key: settings[_key(name, key)] for key in self._numbers(name)}
            if "distillation_scale" in term.settings:
                arguments["distillation_scale"] = self.distillation_scale
            if term.init is not None:
                arguments["params"] = params[name]
            weight = first_weight if name == first else weights[name]
            mean = jnp.mean(term.function(student, teacher, label, **arguments))
            terms.append(mean if weight is None else weight * mean)
        return functools.reduce(operator.add, terms)

    @staticmethod
    def _numbers(name: str) -> list[str]:
        return [key for key in loss(name).settings if key != "distillation_scale"]

    def settings(self, setting: ObjectiveSetting) -> dict[str, float]:
        """The losses' numerical settings by name.

        >>> Objective(("one_hot", "dkd")).settings(ObjectiveSetting(loss_settings={"beta": 2.0}))
        {'temperature': 4.0, 'dkd.alpha': 1.0, 'dkd.beta': 2.0}
        """
        values = {}
        for name in self.names:
            for key in self._numbers(name):
                default = setting.temperature if key == "temperature" else loss(name).settings[key]
                values[_key(name, key)] = float(setting.loss_settings.get(key, default))
        return values

    @property
    def features(self) -> bool:
        """Whether one of the losses compares features."""
        return any(loss(name).features for name in self.names)

    def init(self, key: jax.Array, student: Outputs, teacher: Outputs) -> dict[str, Any]:
        """The losses' own parameters by name, from the shapes of both outputs."""
        initialisers = {name: loss(name).init for name in self.names}
        # By the name: whatever other losses there are, a loss begins with the same.
        keys = {name: jax.random.fold_in(key, zlib.crc32(name.encode())) for name in initialisers}
        return {name: init(keys[name], student, teacher) for name, init in initialisers.items() if init is not None}

    def weights(
        self, kind: Kind, setting: ObjectiveSetting, total_steps: int
    ) -> dict[str, Float32[np.ndarray, " steps"]]:
        """The weights at every step, for a student of a kind, of all losses but the first: float32 [total_steps].

        Steps know their weights from these tables, so that members of a population may differ in any way in them, and
        the host knows where all that need a teacher are 0.
        """
        share, tables = _share_left(kind, setting, total_steps), {}
        for name in self.names[1:]:
            size = np.float32(setting.distillation_weight if loss(name).teacher else 1.0)
            begin, end = (size if loss_name == name else np.float32(0) for loss_name in kind.losses)
            tables[name] = (begin - end) * share + end
        return tables

    def distillation_weights(self, weights: Mapping[str, np.ndarray]) -> np.ndarray:
        """The sum of the weights of all losses that need a teacher, of the shape of one table of weights."""
        return sum((table for name, table in weights.items() if loss(name).teacher), np.zeros(1, np.float32))


def _key(name: str, setting: str) -> str:
    return setting if setting in OPTIONS else f"{name}.{setting}"


def switch_step(setting: ObjectiveSetting, total_steps: int) -> int:
    """The step at which the switched students begin to change their loss.

    >>> switch_step(ObjectiveSetting(), 600), switch_step(ObjectiveSetting(switch_step=100), 600)
    (300, 100)
    """
    return total_steps // 2 if setting.switch_step is None else setting.switch_step


def _share_left(kind: Kind, setting: ObjectiveSetting, total_steps: int) -> np.ndarray:
    """The share of its first loss that a student still has at every step, float32 [total_steps].

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
