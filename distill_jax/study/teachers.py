"""The teacher's outputs for students in training: variables, logits, or those for all outcomes of augmentation."""

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from rich.console import Console

from distill_jax.data.dataset import Dataset
from distill_jax.dumps import dump_path, read_dump
from distill_jax.machine import backend, processes
from distill_jax.machine.checkpoint import Checkpoints
from distill_jax.machine.placement import evaluating
from distill_jax.models import build_for, kind
from distill_jax.models.evaluation import evaluation
from distill_jax.setting import Setting
from distill_jax.students import TEACHER
from distill_jax.study.given_teacher import shuffled
from distill_jax.study.workdir import RunFolder
from distill_jax.training import outcomes
from distill_jax.training.origin import variables_of
from distill_jax.training.population import Member, shape
from distill_jax.training.progress import say
from distill_jax.training.teacher_source import teacher_mean_std, teacher_source
from distill_jax.training.trainer import Trainer


@dataclasses.dataclass(frozen=True)
class Teachers:
    """A study's teachers, whose dumps are all there.

    Attributes:
      setting, dataset: the study's.
      last: its last step, of which dumps and checkpoints are read.
      finished: the folder of each teacher that was trained.
      console: for what a person should see.
      given_variables: of a teacher that was not, the same for all seeds; None where there are none.
    """

    setting: Setting
    dataset: Dataset
    last: int
    finished: Mapping[Member, RunFolder]
    console: Console
    given_variables: Any = None

    def given(self, seeds: Sequence[int]) -> Callable[[int], Any]:
        """The teachers' variables or logits for the students of these seeds, by seed, see `teacher_source`."""
        source = teacher_source(self.setting)
        if source == "logits":
            return {seed: self._logits(seed) for seed in seeds}.__getitem__
        variables = self._variables(seeds)
        if source == "variables":
            return variables.__getitem__
        if self.given_variables is not None:
            outcomes_of_all = functools.cache(functools.partial(self._outcomes, 0, self.given_variables))
            return lambda _: outcomes_of_all()
        # The last alone is kept, for students of a seed that are trained in portions.
        return functools.lru_cache(maxsize=1)(lambda seed: self._outcomes(seed, variables[seed]))

    def _logits(self, seed: int) -> np.ndarray:
        """A teacher's logits on the training set, [N, K], or those of other examples."""
        path = dump_path(self.setting.run.workdir, TEACHER, seed, self.last, "train")
        read = processes.by_first(lambda: read_dump(path).logits)
        shape = len(self.dataset.train.label), self.dataset.num_classes
        logits = processes.array_of(0, read, shape, np.float32)
        return shuffled(logits, self.dataset.training_label(seed), seed, self.setting.objective.teacher_shuffle)

    def _outcomes(self, seed: int, variables: Any) -> np.ndarray:
        """A teacher's logits for all outcomes of augmentation."""
        started = time.monotonic()
        network = build_for(self.dataset, self.setting.teacher, self.setting.train.precision, "teacher")
        batch = backend.defaults(kind(self.setting.teacher.name)).examples_at_once(self.dataset.input_shape)
        teacher = evaluation(network, jax.default_backend())
        mean, std = teacher_mean_std(self.setting, self.dataset)
        seen = dataclasses.replace(self.dataset, mean=mean, std=std)
        devices = evaluating(self.setting.train.batch_shards)
        logits = outcomes.table(teacher, variables, seen, self.setting.data.augment, batch, devices)
        if processes.is_first():
            images = len(self.dataset.train.label)
            say(
                self.console,
                f"teacher, seed {seed}: logits of {len(logits) // images} outcomes of {images:,} images, "
                f"{logits.nbytes / 2**30:.2g} GiB, in {time.monotonic() - started:.1f} s",
            )
        return logits

    def _variables(self, seeds: Sequence[int]) -> dict[int, Any]:
        """The teachers' variables by seed, host arrays."""
        if self.given_variables is not None:
            return dict.fromkeys(seeds, self.given_variables)
        variables, trainers = {}, {}
        for population in dict.fromkeys(self.finished[Member(TEACHER, seed)] for seed in seeds):
            extent = shape(population.members)
            if extent not in trainers:
                trainers[extent] = Trainer(self.setting, self.dataset, TEACHER, extent)
            with Checkpoints(population.folder / "checkpoints", self.setting.run.keep_checkpoints) as saved:
                restored = saved.restore(self.last)  # on the host: all together may be too many for the devices
            host = variables_of(restored.state, trainers[extent].state_like())
            for i, member in enumerate(population.members):
                variables[member.seed] = jax.tree.map(lambda a, i=i: a[i], host)
        return variables
