"""Readings of appendix C.5: named values of what its text leaves open, each with its departure from the text."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

from distill_jax.command import command_line
from experiments.channel.setting import Setting

# The sign of the update of a student that knows nothing yet: no threshold is chosen.
_UPDATE = {"target_above": None, "target_temperature": None}
_MARGIN = _UPDATE | {"separable": True}


class Reading(NamedTuple):
    """A reading.

    Attributes:
      departures: where it departs from the text, and what it takes where the text says two things; one sentence.
      fields: values of `Setting` in place of the defaults.
      alpha_for: which of the paper's numbers alpha was chosen for, 'gain' or 'cosines'; that one is no evidence.
    """

    departures: str
    fields: dict[str, Any]
    alpha_for: str | None = None


READINGS = {
    "printed": Reading(
        "the formulas as printed, with which the classes are not linearly separable, though the text says that they "
        "are, and a threshold (targets above 0.01 at T = 1 count) that was chosen to come near 97.77%",
        {},
    ),
    "unit": Reading(
        "class vectors have length 1, as in Theorem 4.2, and are not from N(0, I), as printed",
        _UPDATE | {"class_vectors": "unit"},
    ),
    "separable": Reading(
        "the similar margin x_k . mu_k is 0.8 (x_y . mu_y) Beta(4, 1), as the sentence on linear separability wants "
        "it, where the formula multiplies the whole channel by that",
        _MARGIN,
    ),
    "sphere": Reading(
        "the similar margin as in 'separable', and z . mu > 0 is what is truncated, not x . mu > 0, so that alpha mu "
        "gives every point a margin",
        _MARGIN | {"truncate": "z"},
    ),
    "aligned": Reading(
        "as in 'sphere', and alpha is 0.03, not 0.01, chosen for cosines that are higher in all classes",
        _MARGIN | {"truncate": "z", "alpha": 0.03},
        "cosines",
    ),
    "alpha": Reading(
        "the similar margin as in 'separable', and alpha is 0.07, not 0.01, chosen for the paper's gain; with this "
        "alpha the printed truncation, x . mu > 0, takes nothing away",
        _MARGIN | {"alpha": 0.07},
        "gain",
    ),
    "margin": Reading(
        "the similar margin and the truncation as in 'sphere', and alpha is 0.0625, not 0.01, chosen for the paper's "
        "gain",
        _MARGIN | {"truncate": "z", "alpha": 0.0625},
        "gain",
    ),
}


def parse(prog: str, arguments: Sequence[str], reading: str | None = None) -> Setting:
    """The setting that arguments ask for: their own values, over the reading's, over the defaults.

    Args:
      prog: the command's name.
      arguments: the command line's.
      reading: in place of the one that they name. Where they name 'all', the defaults are those of 'printed'.

    Raises:
      InputError: arguments that do not fit.
    """
    reading = reading or command_line.parse(Setting(), prog, arguments).reading
    fields = READINGS[reading].fields if reading in READINGS else {}
    setting = command_line.parse(dataclasses.replace(Setting(), **fields), prog, arguments)
    return dataclasses.replace(setting, reading=reading)


def described(setting: Setting) -> dict[str, Any]:
    """A setting's reading as JSON values: its name, its departures, and the fields that options have changed."""
    departures, fields, _ = READINGS[setting.reading]
    chosen = dataclasses.asdict(setting)
    changed = {name: chosen[name] for name, value in fields.items() if chosen[name] != value}
    return {"name": setting.reading, "departures": departures, "changed": changed}
