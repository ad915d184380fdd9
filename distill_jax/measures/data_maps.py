"""The data maps of a study's models: of its teacher and of each student, from the training set's dumps."""

from distill_jax.dumps import DumpReader
from distill_jax.measures.cartography import DataMap
from distill_jax.measures.study_summary import StudySummary
from distill_jax.students import TEACHER


def data_maps(read: DumpReader, summary: StudySummary, seed: int = 0) -> dict[str, DataMap]:
    """The data map of every model of one seed, the teacher's first.

    They are of all dumps in the course of training, but for one before it, as the paper takes them of the ends of
    epochs. `training_dynamics`, which `distill-jax points --format cartography` writes, has the same ones.

    Args:
      read: of the study's dumps.
      summary: of it, which says at which steps there are dumps.
      seed: its number.

    Returns:
      By model; without those of which there is one dump alone, as of a teacher that was given.

    Raises:
      InputError: a dump is missing or damaged, or as `DataMap.of`.
    """
    maps = {}
    for model in (TEACHER, *summary.study.students):
        steps = steps_in_training(summary, model)
        if len(steps) > 1:
            maps[model] = DataMap.of([read(model, seed, step, "train") for step in steps])
    return maps


def steps_in_training(summary: StudySummary, model: str) -> list[int]:
    """The steps after the beginning at which a model was dumped."""
    return [step for step in summary.trajectories[model]["train_accuracy"].step if step > 0]
