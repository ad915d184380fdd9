"""The models of a study: its teacher, and a row for each kind of student, with its loss over time and its look.

A kind of one's own is a `Kind` in a module, or a loss alone, and is named as 'module:attribute'::

    # gentle.py
    from distill_jax.students import Kind

    gentle = Kind("Smoothed, then KD", losses=("label_smoothing", "kd"))

    distill-jax digits --students one_hot kd gentle:gentle
"""

import dataclasses
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from distill_jax.errors import InputError
from distill_jax.own_code import imported, is_own, short_name

TEACHER, CONTROL, KD = "teacher", "one_hot", "kd"


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of model.

    >>> Kind("Smoothed, then KD", losses=("label_smoothing", "kd")).switched, KINDS["kd"].switched
    (True, False)

    Attributes:
      label: in figures and reports.
      losses: at the beginning and at the end of its training; names of `training.losses.LOSSES`, or 'module:function'.
      schedule: of two different losses, how training goes from one to the other: from the number of steps in all to a
        function of the step, int32 [...], whose value in [0, 1] is the share of the second loss, as of
        `optax.linear_schedule(0, 1, steps)`; None is a switch, as `switch_step` and `switch_window` have it.
      look: color, marker and linestyle, of matplotlib; left out, one is chosen by the name.
    """

    label: str
    losses: tuple[str, str]
    schedule: Callable[[int], Callable[[Any], Any]] | None = None
    look: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def switched(self) -> bool:
        """Whether its loss changes in the course of training."""
        return self.losses[0] != self.losses[1]


def _look(color: str, marker: str, linestyle: Any = "-") -> dict[str, Any]:
    return {"color": color, "marker": marker, "linestyle": linestyle}


def _always(label: str, loss: str, look: dict[str, Any]) -> Kind:
    return Kind(label, (loss, loss), look=look)


# By the name that it has in files.
KINDS = {
    TEACHER: _always("Teacher", "one_hot", _look("#000000", "s", (0, (1, 1.5)))),
    CONTROL: _always("One-hot (control)", "one_hot", _look("#E69F00", "o")),
    KD: _always("Distilled (KD)", "kd", _look("#0072B2", "^")),
    "one_hot_to_kd": Kind("One-hot → KD", ("one_hot", "kd"), look=_look("#009E73", "D", (0, (6, 2)))),
    "kd_to_one_hot": Kind("KD → one-hot", ("kd", "one_hot"), look=_look("#CC79A7", "v", (0, (5, 1.5, 1, 1.5)))),
    "label_smoothing": _always("Label smoothing", "label_smoothing", _look("#D55E00", "<")),
    "hard_label": _always("Teacher's hard labels", "hard_label", _look("#56B4E9", ">")),
    "dkd": _always("Decoupled KD", "dkd", _look("#7A5195", "P")),
    "fitnets": Kind("FitNets (hint → KD)", ("hint", "kd"), look=_look("#6B6B6B", "X", (0, (3, 1)))),
}
STUDENTS = (CONTROL, KD, "one_hot_to_kd", "kd_to_one_hot")  # of every study that does not say otherwise
MODELS = (TEACHER, *STUDENTS)
SWITCHED = tuple(name for name in STUDENTS if KINDS[name].switched)
_COLORS = ("#A6761D", "#1B9E77", "#E7298A", "#66A61E", "#386CB0", "#B2182B")  # of kinds that bring no look
_MARKERS = "hpd8*"


def table(names: Sequence[str]) -> dict[str, Kind]:
    """The kinds of a study's students by the names that they have in files.

    >>> list(table(["one_hot", "kd"]))
    ['one_hot', 'kd']

    Args:
      names: of `KINDS`, or 'module:attribute', where the attribute is a `Kind` or a loss; it is its name in files.

    Raises:
      InputError: there is no such kind, or two have one name.
    """
    kinds: dict[str, Kind] = {}
    for name in names:
        short = short_name(name)
        if short in kinds or short == TEACHER or (short != name and short in KINDS):
            raise InputError("students", name, f"there is another model {short}; must be of another name")
        kinds[short] = _own_kind(name) if is_own(name) else _known_kind(name)
    return kinds


def _known_kind(name: str) -> Kind:
    if name not in KINDS:
        known = ", ".join(k for k in KINDS if k != TEACHER)
        raise InputError("students", name, f"must be of {known}, or your own as module:attribute")
    return KINDS[name]


def _own_kind(name: str) -> Kind:
    value = imported(name, "students")
    kind = value if isinstance(value, Kind) else Kind(short_name(name), (name, name))
    _OWN_KINDS[short_name(name)] = kind
    return kind


_OWN_KINDS: dict[str, Kind] = {}  # kinds of one's own, by their names in files


def label_of(name: str) -> str:
    """A model's label in figures; of one that is not known, its name.

    >>> label_of("dkd"), label_of("mine")
    ('Decoupled KD', 'mine')
    """
    kind = KINDS.get(name) or _OWN_KINDS.get(name)
    return name if kind is None else kind.label


def look_of(name: str) -> dict[str, Any]:
    """A model's color, marker and line style; one that brings none has one by its name, the same every time.

    >>> look_of("kd"), look_of("mine") == look_of("mine")
    ({'color': '#0072B2', 'marker': '^', 'linestyle': '-'}, True)
    """
    kind = KINDS.get(name) or _OWN_KINDS.get(name)
    number = zlib.crc32(name.encode())
    chosen = _look(_COLORS[number % len(_COLORS)], _MARKERS[number // len(_COLORS) % len(_MARKERS)])
    return chosen | ({} if kind is None else kind.look)
