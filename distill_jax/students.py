"""The models of a study: its teacher, and a row for each kind of student, with its loss over time and its look."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of model.

    Attributes:
      label: in figures and reports.
      distilled: whether it is distilled, at the beginning and at the end of its training.
      look: color, marker and line style, of matplotlib.
    """

    label: str
    distilled: tuple[bool, bool]
    look: dict[str, Any]

    @property
    def switched(self) -> bool:
        """Whether its loss changes in the course of training."""
        return self.distilled[0] != self.distilled[1]


def _look(color: str, marker: str, linestyle: Any = "-") -> dict[str, Any]:
    return {"color": color, "marker": marker, "linestyle": linestyle}


# By the name that it has in files.
KINDS = {
    "teacher": Kind("Teacher", (False, False), _look("#000000", "s", (0, (1, 1.5)))),
    "one_hot": Kind("One-hot (control)", (False, False), _look("#E69F00", "o")),
    "kd": Kind("Distilled (KD)", (True, True), _look("#0072B2", "^")),
    "one_hot_to_kd": Kind("One-hot → KD", (False, True), _look("#009E73", "D", (0, (6, 2)))),
    "kd_to_one_hot": Kind("KD → one-hot", (True, False), _look("#CC79A7", "v", (0, (5, 1.5, 1, 1.5)))),
}
TEACHER, CONTROL, KD = "teacher", "one_hot", "kd"
MODELS = tuple(KINDS)
STUDENTS = tuple(name for name in MODELS if name != TEACHER)
SWITCHED = tuple(name for name in STUDENTS if KINDS[name].switched)
