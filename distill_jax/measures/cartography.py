"""Data maps: how sure a model was of each example's label in the course of its training, and how steadily.

Dataset Cartography (Swayamdipta et al. 2020, arXiv:2009.10795, section 2) looks at the probability that a model gives
an example's label after each epoch of its training. Where its mean is high and it varies little an example is easy to
learn, where both are low hard to learn, which wrong labels often are; where it varies much it is ambiguous.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import expit

from distill_jax.errors import InputError
from distill_jax.measures.deviations import phi

if TYPE_CHECKING:
    from distill_jax.dumps import Dump

_SAME = ("model", "seed", "split")  # attributes in which one model's dumps of a split are alike


@dataclasses.dataclass(frozen=True)
class DataMap:
    """A model's data map, one entry for each example in the dumps' order, [N] each.

    >>> from distill_jax.dumps import Dump
    >>> unsure, sure = (Dump.of([[z, 0.0], [-z, 0.0]], [0, 0], model="mine", step=int(z)) for z in (0.0, 40.0))
    >>> found = DataMap.of([unsure, sure])
    >>> found.confidence.round(2).tolist(), found.variability.round(2).tolist(), found.correctness.tolist()
    ([0.75, 0.25], [0.25, 0.25], [1.0, 0.5])

    Attributes:
      variability: standard deviation over the dumps of the probability of the label, dividing by their number.
      confidence: its mean.
      correctness: the share of the dumps in which the model predicts the label.
      mislabelled: whether that label, the one that training saw, is not the true one.
    """

    variability: Float[np.ndarray, " N"]
    confidence: Float[np.ndarray, " N"]
    correctness: Float[np.ndarray, " N"]
    mislabelled: Bool[np.ndarray, " N"]

    @classmethod
    def of(cls, dumps: Sequence[Dump]) -> DataMap:
        """The map of one model of one seed from its dumps of a split, in any order.

        In the paper these are of the end of each epoch. One of the model before its training is counted if it is given.

        Args:
          dumps: two or more, of different steps.

        Raises:
          InputError: they are fewer, not of the same model, examples or labels, two are of one step, or one holds
            logits that are not finite.
        """
        _check(dumps)
        probability = np.stack([expit(phi(dump.logits, dump.label)) for dump in dumps])  # [steps, N]
        correct = np.stack([dump.logits.argmax(axis=1) == dump.label for dump in dumps])
        mislabelled = dumps[0].label != dumps[0].true_label
        return cls(probability.std(axis=0), probability.mean(axis=0), correct.mean(axis=0), mislabelled)


def _check(dumps: Sequence[Dump]) -> None:
    if len(dumps) < 2:
        raise InputError("dumps", None, f"are {len(dumps)}; must be two or more, of one model at different steps")
    first = dumps[0]
    for name in _SAME:
        values = list(dict.fromkeys(dump.attributes.get(name) for dump in dumps))
        if len(values) > 1:
            raise InputError("dumps", None, f"are of {name} {values[0]} and {values[1]}; must be of one")
    steps = [dump.attributes.get("step", 0) for dump in dumps]
    twice = next((step for step in steps if steps.count(step) > 1), None)
    if twice is not None:
        raise InputError("dumps", None, f"have step {twice} twice; must be of different steps")
    for step, dump in zip(steps, dumps, strict=True):
        for name in ("id", "label", "true_label"):
            if not np.array_equal(getattr(dump, name), getattr(first, name)):
                raise InputError("dumps", None, f"of step {steps[0]} and {step} differ in their {name}; must be alike")
        if not np.isfinite(dump.logits).all():
            raise InputError(
                "dumps", None, f"of step {step} hold logits that are not finite; the training behind them has diverged"
            )
