"""A model's probabilities and the labels, as cleanlab's `find_label_issues` and `Datalab` take them.

Of training examples they are in-sample: the model has been trained with these labels, which it may have learned by
heart. cleanlab asks for probabilities of examples that a model was not trained with.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from distill_jax import class_names
from distill_jax.dumps import Dump, DumpReader
from distill_jax.errors import InputError
from distill_jax.files import write_result
from distill_jax.points.chosen import Chosen


def pred_probs(dump: Dump) -> np.ndarray:
    """The softmax of a dump's logits, float64 [N, K].

    >>> pred_probs(Dump.of([[0.0, 0.0], [50.0, 0.0]], [0, 1], model="mine")).round(3).tolist()
    [[0.5, 0.5], [1.0, 0.0]]

    Raises:
      InputError: a logit is not finite.
    """
    if not np.isfinite(dump.logits).all():
        raise InputError("dump", None, "holds logits that are not finite; the training behind it has diverged")
    return softmax(dump.logits.astype(np.float64), axis=1)


def write(chosen: Chosen, to: Path) -> int:
    """Writes one model's last probabilities of a seed and split as a .npz file, whole or not at all.

    It holds pred_probs float64 [N, K], labels int64 [N] as training saw them, true_labels int64 [N], ids int64 [N] and,
    where they have some, the classes' names [K].

    Args:
      chosen: of a study, with one student, or the teacher, one seed and one split.
      to: the file, which is replaced if it is there.

    Returns:
      How many examples there are.

    Raises:
      InputError: the dump is missing or damaged, or holds logits that are not finite.
      RunError: the file cannot be written.
    """
    (model,), (seed,), (split,) = chosen.students, chosen.seeds, chosen.splits
    dump = DumpReader(chosen.workdir)(model, seed, chosen.summary.study.total_steps, split)
    names = class_names.read(chosen.workdir)
    arrays: dict[str, Any] = {
        "pred_probs": pred_probs(dump),
        "labels": dump.label.astype(np.int64),
        "true_labels": dump.true_label.astype(np.int64),
        "ids": dump.id,
        **({} if names is None else {"names": np.array(names)}),
    }
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_result(to, content.getvalue())
    return len(dump.id)
