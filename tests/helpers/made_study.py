"""Dumps of a study that nobody trained: distillation shrinks logits in it, fits less noise and guesses better."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from distill_jax import dumps
from distill_jax.students import MODELS
from distill_jax.training.population import Member

CLASSES = 4
SIZE = {"train": 200, "test": 80}
_KD = {"kd": lambda late: True, "one_hot_to_kd": lambda late: late, "kd_to_one_hot": lambda late: not late}


def write_study(
    workdir: Path,
    seeds: int,
    noise: float = 0.2,
    steps: Sequence[int] = (10, 20, 40),
    switch: int = 20,
    swept: Sequence[Member] = (),
    draw: int = 0,
) -> None:
    """Writes the dumps of all models, and of further students, of seeds 0..seeds-1 at some steps; one draw of many."""
    members = [*(Member(model, 0) for model in MODELS), *swept]
    for split, n in SIZE.items():
        rng = np.random.default_rng(len(split))
        true = rng.integers(CLASSES, size=n)
        label = true.copy()
        if split == "train":
            wrong = rng.permutation(n)[: int(noise * n)]
            label[wrong] = (true[wrong] + 1) % CLASSES
        items = []
        for seed in range(seeds):
            own = {start: np.random.default_rng([seed, start + 2 * draw]).normal(size=(n, CLASSES)) for start in (0, 1)}
            for member in members:
                for step in steps:
                    late = step > dict(member.changes).get("switch_step", switch)
                    kd = _KD.get(member.model, lambda late: False)(late)
                    logits = own[member.role] * (0.6 if kd else 0.8)
                    logits[np.arange(n), true] += 3 * step / steps[-1]
                    if split == "train":
                        logits[np.arange(n), label] += (0.5 if kd else 5.0) * step / steps[-1]
                    place = {"model": member.name, "seed": seed, "step": step, "split": split}
                    path = dumps.dump_path(workdir, member.name, seed, step, split)
                    items.append((path, logits, place | {"num_classes": CLASSES, "setting": "test"}))
        dumps.write_dumps(items, label.astype(np.int32), true.astype(np.int32), np.arange(n))


class OneTeacher(dumps.DumpReader):
    """Reads a study as if all seeds had the teacher of the first."""

    def __call__(self, model, seed, step, split):
        return super().__call__(model, 0 if model == "teacher" else seed, step, split)
