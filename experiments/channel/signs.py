"""The count of (x, k) pairs whose target has the right sign: x_k . mu_k > 0 if and only if the target is "non-zero".

The text leaves open how similar classes are drawn, which softmax target is not zero, and what becomes of pairs with
x_k = 0, which have no gradient at all. What can be derived for a way to count is derived here; the rest is measured.

Where no threshold is to be chosen, the update itself can be counted. The update of a student with probabilities p at
the temperature of training raises the logit of class k where the teacher's target there is above p_k, and a student
that knows nothing has p_k = 1/K: a target counts as non-zero above 1/K. One-hot targets are above 1/K where they are 1.

Let m be the number of similar classes that are not 0 on a point, and q the chance that x_k . mu_k > 0 on one of them
(1 if they are truncated). A one-hot target is wrong on those, and on no other pair: its share of right pairs is
1 - E[m] q / K. A class is drawn with probability a, and two given ones are with probability b:

    with repetition from M classes  a = 1 - (1 - 1/M)^s    b = 1 - 2 (1 - 1/M)^s + (1 - 2/M)^s
    without repetition              a = s / M              b = s (s - 1) / (M (M - 1))

so that E[m] = (K - 1) a and E[m (m - 1)] = (K - 1)(K - 2) b, with M = K - 1, or K if the target may be drawn too.
"""

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
from scipy import integrate, stats

from distill_jax.measures.statistics import over_seeds
from experiments.channel.setting import Setting

PAPER_ONE_HOT, PAPER_DISTILLATION = 0.7322, 0.9777  # appendix C.5
_ROUNDING = 1e-12  # of a variance that is 0
ABOVE = (0.0, 1e-4, 1e-3, 0.01, 0.02, 0.05, 0.08)  # and 1/K, all with T = 1 and that of training
ABSENT = ("right", "counted", "left-out")


def similar_channels(setting: Setting) -> tuple[float, float]:
    """E[m] and Var[m] of the number of similar channels that are not 0."""
    s, others = setting.similar, setting.classes - 1
    choices = others if setting.draw_from == "others" else others + 1
    if setting.draw == "repetition":
        a, b = 1 - (1 - 1 / choices) ** s, 1 - 2 * (1 - 1 / choices) ** s + (1 - 2 / choices) ** s
    else:
        a, b = s / choices, s * (s - 1) / (choices * max(choices - 1, 1))
    mean = others * a
    variance = others * (others - 1) * b + mean - mean**2
    return mean, variance if variance > _ROUNDING else 0.0  # 0 where as many are drawn for each point


def positive(setting: Setting) -> float:
    """q: the chance that x_k . mu_k > 0 on a similar channel that is not 0.

    z . mu / |mu| has the law of 2 B - 1, B of Beta((D - 1)/2, (D - 1)/2), and must be above -alpha |mu| / (1 - alpha).
    """
    if setting.truncate_similar:
        return 1.0
    along = stats.beta((setting.dim - 1) / 2, (setting.dim - 1) / 2, loc=-1, scale=2)

    def chance(length: float) -> float:
        return float(along.sf(-setting.alpha / (1 - setting.alpha) * length))

    if setting.class_vectors == "unit":
        return chance(1.0)
    length = stats.chi(setting.dim)  # of a vector from N(0, I)
    return integrate.quad(lambda u: chance(length.ppf(u)), 0, 1, epsabs=1e-8)[0]


def length(setting: Setting) -> float:
    """The mean length of class vectors."""
    return 1.0 if setting.class_vectors == "unit" else float(stats.chi(setting.dim).mean())


def one_hot_share(setting: Setting) -> tuple[float, float]:
    """Share of right one-hot pairs, all pairs counted, and its standard deviation over draws of the training points.

    On a point m channels are each wrong with chance q, so that the variance of their number is
    E[m] q (1 - q) + q^2 Var[m]. (That q varies with |mu_k| a little is left out.)
    """
    mean, variance = similar_channels(setting)
    q = positive(setting)
    spread = math.sqrt((mean * q * (1 - q) + q**2 * variance) / setting.train_examples)
    return 1 - mean * q / setting.classes, spread / setting.classes


def letter_share(setting: Setting, absent: str) -> float:
    """Share of right pairs under distillation to the letter, where every softmax target is non-zero."""
    mean, q = similar_channels(setting)[0], positive(setting)
    if absent == "right":
        return 1 - mean * (1 - q) / setting.classes
    return (1 + mean * q) / (setting.classes if absent == "counted" else 1 + mean)


def draws(setting: Setting) -> list[dict[str, Any]]:
    """Predictions of each reading of the data for the one-hot share, and the paper's distance from them.

    sd is that of one data set of this many points, as the paper's number is of one; distance is in such sd.
    """
    rows = []
    for draw, draw_from, truncated, vectors in itertools.product(
        ("repetition", "distinct"), ("others", "all"), (True, False), ("normal", "unit")
    ):
        if truncated and vectors == "unit":
            continue  # it is as for normal ones
        fields = {"draw": draw, "draw_from": draw_from, "truncate_similar": truncated, "class_vectors": vectors}
        share, sd = one_hot_share(dataclasses.replace(setting, **fields))
        rows.append(fields | {"predicted": share, "sd": sd, "distance": (PAPER_ONE_HOT - share) / sd if sd else None})
        if truncated:
            rows[-1]["class_vectors"] = "either"
    return rows


def ways(setting: Setting) -> list[tuple[float, float, str]]:
    """The ways to count: from where on a target is non-zero, its temperature, what becomes of pairs with x_k = 0."""
    above = sorted({*ABOVE, 1 / setting.classes, setting.counted[0]})
    temperatures = sorted({1.0, setting.temperature, setting.counted[1]})
    return list(itertools.product(above, temperatures, ABSENT))


def share(target: np.ndarray, own: np.ndarray, above: float, absent: str) -> np.ndarray:
    """Share of right pairs of every seed, float64 [S].

    Args:
      target: probabilities [S, N, K].
      own: x_k . mu_k, [S, N, K]; 0 where the channel is.
      above: a target counts as non-zero above this.
      absent: what becomes of pairs with x_k = 0, see `Setting`.
    """
    correct, present = (target > above) == (own > 0), own != 0
    if absent == "left-out":
        return (correct & present).sum((1, 2)) / present.sum((1, 2))
    return (correct | ~present if absent == "right" else correct).mean((1, 2))


def of_update(setting: Setting) -> tuple[float, float, str]:
    """The way to count that takes the sign of the update of a student with p = 1/K."""
    return 1 / setting.classes, setting.temperature, setting.absent


def chosen(setting: Setting) -> tuple[float, float, str]:
    """The way to count that the setting asks for."""
    return *setting.counted, setting.absent


def count(setting: Setting, label: np.ndarray, own: np.ndarray, logits: np.ndarray) -> dict[Any, np.ndarray]:
    """Shares of every seed [S] by way to count, and by 'one-hot' and what becomes of pairs with x_k = 0.

    Args:
      setting: the experiment's.
      label: int [S, N].
      own: x_k . mu_k, [S, N, K].
      logits: the teacher's, [S, N, K].
    """
    one_hot = np.eye(setting.classes)[label]
    shares: dict[Any, np.ndarray] = {("one-hot", absent): share(one_hot, own, 0.0, absent) for absent in ABSENT}
    soft = {}
    for above, temperature, absent in ways(setting):
        if temperature not in soft:
            z = logits.astype(np.float64) / temperature
            e = np.exp(z - z.max(-1, keepdims=True))
            soft[temperature] = e / e.sum(-1, keepdims=True)
        shares[above, temperature, absent] = share(soft[temperature], own, above, absent)
    return shares


def table(setting: Setting, values: dict[Any, np.ndarray]) -> list[dict[str, Any]]:
    """Each way to count with what was measured, what is derived for it, and the paper's distance from it.

    sd is over seeds, that is of one data set and teacher, as the paper's number is of one; distance is in such sd.
    """
    rows = []
    for above, temperature, absent in ways(setting):
        shares = values[above, temperature, absent]
        sd = float(shares.std(ddof=1)) if len(shares) > 1 else 0.0
        rows.append(
            {
                "target_above": above,
                "target_temperature": temperature,
                "absent": absent,
                "chosen": (above, temperature, absent) == chosen(setting),
                "predicted": letter_share(setting, absent) if above == 0 else None,
                "distillation": over_seeds(shares).as_json(),
                "one_hot": over_seeds(values["one-hot", absent]).as_json(),
                "sd": sd,
                "distance": (PAPER_DISTILLATION - float(shares.mean())) / sd if sd > 1e-9 else None,
            }
        )
    return rows
