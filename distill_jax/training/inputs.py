"""Inputs of a dispatch beside its state, by whose they are: everybody's, a seed's, or a member's own.

Each struct stands for one kind of leading axis. Code that maps, spreads or shapes a dispatch's arguments says so once
for the struct, and never for a field. Fields are arrays, or descriptions of arrays: shapes and shardings, or numbers
on the host.
"""

from typing import Any

import flax.struct

from distill_jax.machine.placement import MEMBER, SEED, Axes


@flax.struct.dataclass
class PerMember:
    """Inputs of each model of a population alone; a leading axis of members, seed by seed.

    >>> inputs = PerMember({"kd": np.ones((6, 100))}, rate=np.ones((6, 100)), settings={}, frozen_features={})
    >>> jax.tree.map(np.shape, inputs)  # of six members and 100 steps
    PerMember(weights={'kd': (6, 100)}, rate=(6, 100), settings={}, frozen_features={})

    Attributes:
      weights: float32 [P, total steps] by loss, at every step of the run; of all but the first of `Objective.names`.
      rate: float32 [P, total steps], the learning rate likewise.
      settings: float32 [P] by name, the settings of the losses, see `objective.Objective.settings`.
      frozen_features: those of the training set by `step.make_frozen_features`, [P, N, ...]; {} where that is computed
        in every step.
    """

    weights: Any
    rate: Any
    settings: Any
    frozen_features: Any


@flax.struct.dataclass
class PerSeed:
    """Inputs that the students of a seed share; a leading axis of seeds.

    >>> label, order = np.zeros((3, 50), int), np.zeros((3, 1, 50), int)
    >>> jax.tree.map(len, PerSeed({}, label, order, role=np.ones(3, int), seed=np.arange(3)))
    PerSeed(teacher_inputs={}, label=3, order=3, role=3, seed=3, batches={})

    Attributes:
      teacher_inputs: the teacher's variables; its logits float32 [S, N, K or more]; those of all outcomes,
        [S, N outcomes, K or more]; {} where no student is distilled.
      label: int32 [S, N].
      order: int32 [S, E, N], the permutations of the epochs from that of the first step on.
      batches: the steps' training inputs, raw and flat, [S, steps, B, values], where they are streamed; else {}.
      role, seed: int32 [S]; with them random numbers are drawn, see `population.Member`.
    """

    teacher_inputs: Any
    label: Any
    order: Any
    role: Any
    seed: Any
    batches: Any = flax.struct.field(default_factory=dict)


@flax.struct.dataclass
class Shared:
    """Inputs that all models of a population share; no axis more than for one model.

    >>> jax.tree.map(np.shape, Shared(x=np.zeros((50, 8, 8, 1)), first_step=np.int32(0)))
    Shared(x=(50, 8, 8, 1), first_step=())

    Attributes:
      x: the training inputs, raw, [N, ...] or flat [N, values]; {} where they are streamed.
      first_step: int32 scalar, the step that a dispatch begins with.
    """

    x: Any
    first_step: Any


# Of a dispatch's arguments, (state, PerMember, PerSeed, Shared): the axes of the mesh over which they are spread.
SPREAD: tuple[Axes, ...] = (MEMBER, MEMBER, SEED, None)
# And the axes that it is mapped over, once for the seeds, with the members of each within.
MAPPED = (0, 0, 0, None)
