"""Certificates: a function is positive on a whole box, proved by ball arithmetic and branch and bound.

A bound function is given a box and returns two Arb balls, the one below and the other above every value of the
function on that box; all rounding is inside the balls. If the lower bound is positive the box is done. If the
upper bound is not, the statement is false on the whole box. Otherwise the box is halved. A proof is thus a finite
cover of the box; what cannot be decided with so many boxes is not proved.

A function that goes to 0 at the edge of its domain is positive there on no box that touches the edge. Its
vanishing factors have to be divided out first, on paper; see `eigenspace_certificates`.
"""

import dataclasses
from collections import deque
from collections.abc import Callable, Sequence

from flint import arb

Interval = tuple[float, float]
Bounds = Callable[..., tuple[arb, arb]]


@dataclasses.dataclass(frozen=True)
class Certificate:
    """The outcome of branch and bound.

    >>> certify_positive(lambda x: (1 + arb(x[0]), 1 + arb(x[1])), [(0.0, 1.0)])
    Certificate(proved=True, boxes=1, counterexample=None)

    Attributes:
      proved: positive everywhere on the box.
      boxes: number of boxes looked at.
      counterexample: a point at which the function is proved not to be positive, if one was met.
    """

    proved: bool
    boxes: int
    counterexample: tuple[float, ...] | None = None


def certify_positive(bounds: Bounds, box: Sequence[Interval], max_boxes: int = 200_000) -> Certificate:
    """Proves that a function is positive on a closed box, or finds where it is not.

    >>> certify_positive(lambda x: (arb(x[0]) - 0.75, arb(x[1]) - 0.75), [(0.0, 1.0)])
    Certificate(proved=False, boxes=2, counterexample=(0.25,))

    Args:
      bounds: from one interval (low, high) a parameter, balls below and above all values of the function.
      box: an interval for each parameter.
      max_boxes: gives up after so many.
    """
    queue, looked_at = deque([tuple(box)]), 0
    while queue:
        if looked_at == max_boxes:
            return Certificate(False, looked_at)
        part = queue.popleft()
        looked_at += 1
        low, high = bounds(*part)
        if low > 0:  # of balls: certainly
            continue
        if high <= 0:
            return Certificate(False, looked_at, tuple((a + b) / 2 for a, b in part))
        widest = max(range(len(part)), key=lambda i: part[i][1] - part[i][0])
        a, b = part[widest]
        middle = (a + b) / 2
        queue += [(*part[:widest], half, *part[widest + 1 :]) for half in ((a, middle), (middle, b))]
    return Certificate(True, looked_at)


def ball(interval: Interval) -> arb:
    """The smallest ball that Arb has around an interval.

    >>> enclosure = ball((1.0, 3.0))
    >>> round(float(enclosure.mid()), 3), round(float(enclosure.rad()), 3)
    (2.0, 1.0)
    """
    low, high = interval
    return arb(low).union(arb(high))


def all_of(certificates: Sequence[Certificate]) -> Certificate:
    """Several certificates as one: proved if all are, with their boxes together and the first counterexample.

    >>> all_of([Certificate(True, 3), Certificate(False, 2, (0.25,))])
    Certificate(proved=False, boxes=5, counterexample=(0.25,))
    """
    counterexamples = [c.counterexample for c in certificates if c.counterexample is not None]
    proved = all(c.proved for c in certificates)
    return Certificate(proved, sum(c.boxes for c in certificates), counterexamples[0] if counterexamples else None)
