"""A model's logits in the course of its training, as the code of Dataset Cartography reads them.

That is the folder `training_dynamics` of Swayamdipta et al. (2020, arXiv:2009.10795; allenai/cartography): a file
`dynamics_epoch_N.jsonl` for each dump, numbered from 0, with a line for each example: its `guid`, here the id, its
logits as `logits_epoch_N`, and its label as training saw it as `gold`. That code counts the files of the folder, so
what else there is to say is beside it, in `dumps.json`: the model, and the step of each dump.
"""

import json
from pathlib import Path

import numpy as np

from distill_jax.data.progress_log import logged
from distill_jax.dumps import Dump, DumpReader
from distill_jax.errors import InputError
from distill_jax.files import unwritable, whole
from distill_jax.points.chosen import Chosen

FOLDER = "training_dynamics"


def write(chosen: Chosen, to: Path) -> int:
    """Writes the dumps of one model, seed and split into a new folder, whole or not at all.

    Args:
      chosen: of a study, with one student, or the teacher, one seed and one split.
      to: the folder.

    Returns:
      How many dumps there are.

    Raises:
      InputError: a dump is missing or damaged, or holds logits that are not finite.
      RunError: the folder cannot be written.
    """
    (model,), (seed,), (split,) = chosen.students, chosen.seeds, chosen.splits
    read, steps = DumpReader(chosen.workdir, room=0), [step for step in chosen.steps[model] if step > 0]
    with unwritable(to), whole(to) as folder:
        (folder / FOLDER).mkdir(parents=True)
        for epoch, step in logged(enumerate(steps), len(steps), "dumps"):
            _write(folder / FOLDER / f"dynamics_epoch_{epoch}.jsonl", read(model, seed, step, split), epoch)
        about = {"study": chosen.workdir.absolute().name, "model": model, "seed": seed, "split": split, "steps": steps}
        (folder / "dumps.json").write_text(json.dumps(about, indent=1) + "\n")
    return len(steps)


def _write(path: Path, dump: Dump, epoch: int) -> None:
    if not np.isfinite(dump.logits).all():
        raise InputError("dump", None, f"of epoch {epoch} holds logits that are not finite; its training has diverged")
    with path.open("w") as file:
        for number, logits, label in zip(dump.id.tolist(), dump.logits, dump.label.tolist(), strict=True):
            row = {"guid": number, f"logits_epoch_{epoch}": logits.tolist(), "gold": label}
            file.write(json.dumps(row) + "\n")
