"""A study's training programs, compiled, with the data on the devices, and the runner that advances a population."""

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distill_jax.data.dataset import Dataset
from distill_jax.errors import RunError
from distill_jax.machine import processes
from distill_jax.machine.placement import MEMBER, SEED, place
from distill_jax.models import pretrained
from distill_jax.setting import Setting
from distill_jax.students import CONTROL, TEACHER
from distill_jax.training.inputs import PerMember, PerSeed, Shared
from distill_jax.training.optimizer import learning_rates
from distill_jax.training.population import Member
from distill_jax.training.programs import Programs, Target, program_memory
from distill_jax.training.schedule import dispatches
from distill_jax.training.shards import ShardedSteps
from distill_jax.training.step import TrainState, make_epoch_order
from distill_jax.training.streaming import Stream
from distill_jax.training.teacher_source import teacher_source


@dataclasses.dataclass
class Timing:
    """Seconds by activity; `training` excludes compilation, dumps and checkpoints' waits."""

    training: float = 0.0
    compilation: float = 0.0
    dumps: float = 0.0


class Trainer(Programs):
    """Compiled programs and data on this process's devices for populations of one shape.

    Args:
      setting, dataset, role, shape: as of `Programs`.
      target: those of this process's devices that are used; None for all.

    Raises:
      InputError: a batch that does not divide evenly over the devices.
    """

    def __init__(
        self,
        setting: Setting,
        dataset: Dataset,
        role: str,
        shape: tuple[int, int] = (1, 1),
        target: Target | None = None,
    ):
        super().__init__(setting, dataset, role, shape, target)
        network = setting.teacher if role == "teacher" else setting.student
        self._read_pretrained = functools.partial(pretrained.read, network, self.model, f"--{role}", dataset.names)
        flat = {s: getattr(dataset, s).x.reshape(-1, math.prod(dataset.input_shape)) for s in ("train", "test")}
        self.inputs = flat if self.streamed else {split: place(self.mesh, x) for split, x in flat.items()}
        self.programs: dict[tuple[bool, int], Any] = {}
        self._evaluation_fits = False
        self._compilation = 0.0  # seconds that no runner has been told of yet

    def initial_state(self, members: Sequence[Member]) -> TrainState:
        """The state before step 0, with a leading member axis."""
        roles = np.array([m.role for m in members], np.int32)
        seeds = np.array([m.seed for m in members], np.int32)
        if self.setting.train.batch_shards is None:
            state = self._init(place(self.mesh, roles, MEMBER), place(self.mesh, seeds, MEMBER))
        else:  # by a program of one device, see `shards`
            with jax.default_device(jax.local_devices()[0]):
                state = place(self.mesh, jax.tree.map(np.asarray, self._init_alone(roles, seeds)), MEMBER)
        # Read here and not before: a state that a checkpoint has needs none of it.
        pretrained_params = self._read_pretrained()
        params_of_all = jax.tree.map(lambda a: np.broadcast_to(a, (self.members, *a.shape)), pretrained_params)
        return dataclasses.replace(state, params=state.params | place(self.mesh, params_of_all, MEMBER))

    def frozen_features(self, state: TrainState) -> Any:
        """The training set's features by the untrained part of each model, [P, N, ...], the same throughout a run.

        {} where it would take too much of the memory, or inputs are augmented: then it is computed in every step.
        """
        return {} if self._frozen_features is None else self._frozen_features(state.variables, self.inputs["train"])

    def stream(self, members: Sequence[Member]) -> Stream:
        """The batches of these members' seeds, of inputs that are streamed."""
        batch_size = self.setting.train.batch_size
        firsts = members[:: self.students]
        # Asked of one device by threads beside the training: a program of all processes would have to be in its turn.
        order_one = make_epoch_order(len(self.inputs["train"]), 1, self.buckets.get("train"), batch_size)
        orders = jax.jit(jax.vmap(order_one, (0, 0, None)))
        roles, seeds = np.array([m.role for m in firsts], np.int32), np.array([m.seed for m in firsts], np.int32)
        return Stream(
            self.inputs["train"],
            lambda epoch: np.asarray(orders(roles, seeds, np.int32(epoch)))[:, 0],
            self.mesh,
            seeds=self.seeds,
            batch_size=batch_size,
            steps_per_epoch=self.schedule.steps_per_epoch,
            total_steps=self.schedule.total_steps,
        )

    def runner(self, members: Sequence[Member], teachers: Any, timing: Timing) -> "Runner":
        """The runner that advances this population.

        Args:
          members: seed by seed, of this trainer's shape.
          teachers: host arrays with a leading axis of seeds, as `teacher_source` says: their variables,
            their logits on the training set, float32 [S, N, K], or those of all outcomes, float16 [S, N outcomes, K];
            None for teachers.
          timing: to which compilation is added.
        """
        return Runner(self, members, teachers, timing)

    def compiled_steps(self, with_teacher: bool, steps: int) -> Any:
        """`jitted_steps(with_teacher, steps)`, compiled once."""

        def compiled() -> Any:
            return self.jitted_steps(with_teacher, steps).lower(*self.arguments_like(with_teacher, steps)).compile()

        return self._once((with_teacher, steps), compiled)

    def compiled_shards(self, with_teacher: bool, steps: int) -> ShardedSteps:
        """`jitted_shards(with_teacher, steps)`, compiled once; of streamed batches for each number of steps."""
        key = (with_teacher, steps if self.streamed else 0)
        return self._once(key, lambda: ShardedSteps(self.jitted_shards(with_teacher, steps)))

    def _once(self, key: tuple[bool, int], make: Callable[[], Any]) -> Any:
        """The program of a name, compiled where it is asked for first."""
        if key not in self.programs:
            started = time.monotonic()
            self.programs[key] = make()
            self._compilation += time.monotonic() - started
        return self.programs[key]

    def fit_evaluation(self, limit: float) -> tuple[int, int]:
        """Halves the number of examples that are evaluated at once until that fits beside what stays on the devices.

        Where a dump is made is not where one finds out: the training before it would be for nothing.

        Args:
          limit: bytes of a device that programs may take.

        Returns:
          That number before and after, of the larger split.

        Raises:
          RunError: not even one at a time fits.
        """
        sizes = {split: len(getattr(self.dataset, split).label) for split in ("train", "test")}
        split = max(sizes, key=lambda split: sizes[split])
        before = self.predict.batch(sizes[split])
        while not self._evaluation_fits:
            too_much = self.evaluation_memory(split) > limit
            self._evaluation_fits = not processes.from_first([too_much])[0]
            if not self._evaluation_fits and not self.predict.halve(sizes[split]):
                raise RunError(
                    f"the memory of the devices, {limit / 2**30:.2g} GiB, is too small to evaluate one example at a "
                    "time; use devices that have more"
                )
        return before, self.predict.batch(sizes[split])

    def compilation(self) -> float:
        """Seconds of compilation since this was last asked."""
        seconds, self._compilation = self._compilation, 0.0
        return seconds


class Runner:
    """Advances one population by dispatches.

    Attributes:
      distillation_weights: float32 [P, total steps], each member's of all losses together that need a teacher.
      rates: float32 [P, total steps], each member's learning rate.
    """

    def __init__(self, trainer: Trainer, members: Sequence[Member], teachers: Any, timing: Timing):
        self._trainer, self._timing = trainer, timing
        timing.compilation += trainer.compilation()
        schedule, mesh = trainer.schedule, trainer.mesh
        settings = [m.applied(trainer.setting) for m in members]
        total = schedule.total_steps
        members_with_settings = zip(members, settings, strict=True)
        objective = trainer.objective
        tables = [objective.weights(trainer.kinds[_kind(m)], s.objective, total) for m, s in members_with_settings]
        weights = {name: np.stack([table[name] for table in tables]) for name in objective.names[1:]}
        self.distillation_weights = np.broadcast_to(objective.distillation_weights(weights), (len(members), total))
        self.rates = np.stack([learning_rates(s.optimizer, total, schedule.steps_per_epoch) for s in settings])
        values = [objective.settings(s.objective) for s in settings]
        loss_settings = {name: np.array([v[name] for v in values], np.float32) for name in values[0]}
        self._per_member = place(mesh, (weights, self.rates, loss_settings), MEMBER)
        firsts = members[:: trainer.students]  # one of each seed
        roles, seeds = np.array([m.role for m in firsts], np.int32), np.array([m.seed for m in firsts], np.int32)
        labels = np.stack([trainer.dataset.training_label(m.seed) for m in firsts])
        if teachers is not None and teacher_source(trainer.setting) != "variables":
            teachers = _filled(teachers, trainer.teachers_like().shape[-1])
        teacher_inputs = {} if teachers is None else teachers
        self._per_seed = place(mesh, PerSeed(teacher_inputs, labels, order=None, role=roles, seed=seeds), SEED)
        self._order: tuple[int, Any] = (-1, None)
        self._frozen_features: Any = None
        self._stream = trainer.stream(members) if trainer.streamed else None

    def arguments(self, state: TrainState, first: int, steps: int) -> tuple[TrainState, PerMember, PerSeed, Shared]:
        """The dispatch's arguments; `teacher_inputs` is {} where no loss of any member needs a teacher."""
        trainer = self._trainer
        if self._frozen_features is None:
            self._frozen_features = trainer.frozen_features(state)
        epoch = first // trainer.schedule.steps_per_epoch
        if self._order[0] != epoch:
            per_seed = self._per_seed
            self._order = epoch, trainer.epoch_order(per_seed.role, per_seed.seed, jnp.int32(epoch))
        per_seed = dataclasses.replace(self._per_seed, order=self._order[1])
        if not self._needs_teacher(first, steps):
            per_seed = dataclasses.replace(per_seed, teacher_inputs={})
        x = trainer.inputs["train"]
        if self._stream is not None:
            per_seed, x = dataclasses.replace(per_seed, batches=self._stream(first, steps)), {}
        weights, rates, settings = self._per_member
        per_member = PerMember(weights, rates, settings, self._frozen_features)
        return state, per_member, per_seed, Shared(x, np.int32(first))

    def close(self) -> None:
        """Ends what is done ahead."""
        if self._stream is not None:
            self._stream.close()

    def __call__(self, state: TrainState, first: int, steps: int) -> tuple[TrainState, dict[str, jax.Array]]:
        """The state `steps` later, and metrics [P, steps], neither of which has been waited for."""
        args = self.arguments(state, first, steps)
        with_teacher = self._needs_teacher(first, steps)
        if self._trainer.setting.train.batch_shards is None:
            program = self._trainer.compiled_steps(with_teacher, steps)
        else:
            program = functools.partial(self._trainer.compiled_shards(with_teacher, steps), steps=steps)
        self._timing.compilation += self._trainer.compilation()
        return program(*args)

    def memory(self) -> int:
        """Bytes of each device that training takes: its largest program's, arguments and results, and beside it."""
        trainer = self._trainer
        calls = list(dispatches(0, trainer.schedule, trainer.steps_per_dispatch))
        # The longest call, and of these one with the teacher in it.
        first, steps = max(calls, key=lambda call: (call[1], self._needs_teacher(*call)))
        if trainer.setting.train.batch_shards is not None:
            sharded = trainer.compiled_shards(self._needs_teacher(first, steps), steps)
            return program_memory(sharded.largest) + sharded.beside
        return program_memory(trainer.compiled_steps(self._needs_teacher(first, steps), steps))

    def _needs_teacher(self, first: int, steps: int) -> bool:
        return bool(np.any(self.distillation_weights[:, first : first + steps] > 0))


def _kind(member: Member) -> str:
    """The row of `Programs.kinds` for a member: a teacher is trained as the control is."""
    return CONTROL if member.model == TEACHER else member.model


def _filled(table: np.ndarray, row: int) -> np.ndarray:
    """A table whose rows are filled up with zeros to so many values."""
    padding = row - table.shape[-1]
    return table if not padding else np.pad(table, [(0, 0)] * (table.ndim - 1) + [(0, padding)])
