"""Statements of the paper as data: the printed form, its check, and the verdict recorded of it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

Evidence = Literal["certified", "grid", "simulation"]
AsPrinted = Literal["holds", "misprint", "fails"]
Relation = Literal["<", "<=", "=", ">=", ">"]


@dataclasses.dataclass(frozen=True)
class Counterexample:
    """Where two neighbouring terms of a chain are not as the chain says.

    >>> from theory.grid import first_break
    >>> first_break(lambda x: (x, x**2), ("<=",), {"x": np.array([2.0, 0.5])})
    Counterexample(parameters={'x': 0.5}, lhs=0.5, rhs=0.25)

    Attributes:
      parameters: arguments of the statement's `values`.
      lhs, rhs: the two terms there.
    """

    parameters: Mapping[str, float]
    lhs: float
    rhs: float


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The outcome of a check.

    >>> from theory.grid import check
    >>> check(lambda x: (x, x**2), (">=",), {"x": np.array([0.0, 0.5, 1.0])}, {"x": [0.5]})
    Verdict(holds=True, evidence='grid', points=4, counterexample=None)

    Attributes:
      holds: nothing against the statement was found; where `evidence` is certified: it is proved.
      evidence: "certified" by interval arithmetic, on a "grid" in float64, or by "simulation".
      points: number of points tried, or of boxes that cover the domain.
      counterexample: a point where it fails, if one was found.
    """

    holds: bool
    evidence: Evidence
    points: int
    counterexample: Counterexample | None = None


@dataclasses.dataclass(frozen=True)
class Statement:
    """One numbered statement.

    >>> from theory.statements import STATEMENTS
    >>> [statement.id for statement in STATEMENTS if statement.recorded == "misprint"]
    ['eq-4', 'eq-13', 'lemma-b2', 'eq-43-b', 'b4-final-chain', 'b4-feasible']

    Attributes:
      id: its name in tables and files.
      where: its place in the paper.
      says: what it says, in a few words.
      printed: the printed formula, as text.
      domain: for which parameters it was checked.
      values: the terms of the printed chain, from named parameters, which may be arrays.
      relations: what the chain says of each pair of neighbouring terms; one fewer than terms.
      check: of the printed form.
      recorded: the verdict on the printed form that we stand by. "misprint": it fails, but what it evidently
        means is clear (a sign, an index), holds, and is what `corrected` says.
      corrected: the corrected formula, as text, where the printed one does not hold.
      corrected_check: its check.
    """

    id: str
    where: str
    says: str
    printed: str
    domain: str
    values: Callable[..., Sequence[Any]]
    relations: tuple[Relation, ...]
    check: Callable[[], Verdict]
    recorded: AsPrinted
    corrected: str | None = None
    corrected_check: Callable[[], Verdict] | None = None


@dataclasses.dataclass(frozen=True)
class Result:
    """A statement, checked.

    >>> from theory.statements import STATEMENTS
    >>> statement, fails, holds = STATEMENTS[1], Verdict(False, "grid", 9), Verdict(True, "grid", 9)
    >>> Result(statement, fails, holds).as_printed, Result(statement, fails, fails).as_printed
    ('misprint', 'fails')

    Attributes:
      statement: it.
      verdict: on its printed form.
      corrected_verdict: on its corrected form, if it has one.
    """

    statement: Statement
    verdict: Verdict
    corrected_verdict: Verdict | None

    @property
    def as_printed(self) -> AsPrinted:
        """The verdict in a word. Whether an intention is evident is a judgement, which the record makes."""
        if self.verdict.holds:
            return "holds"
        meant = self.corrected_verdict is not None and self.corrected_verdict.holds
        return "misprint" if meant and self.statement.recorded == "misprint" else "fails"

    @property
    def as_recorded(self) -> bool:
        """Whether this run says of the printed and of the corrected form what the record says."""
        corrected = self.corrected_verdict is None or self.corrected_verdict.holds
        return corrected and self.as_printed == self.statement.recorded

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        s, v, c = self.statement, self.verdict, self.corrected_verdict
        return {
            "id": s.id,
            "where": s.where,
            "printed": s.printed,
            "domain": s.domain,
            "evidence": v.evidence,
            "points": v.points,
            "as_printed": self.as_printed,
            "counterexample": None if v.counterexample is None else dataclasses.asdict(v.counterexample),
            "corrected": s.corrected,
            "corrected_holds": None if c is None else c.holds,
            "corrected_evidence": None if c is None else c.evidence,
        }


def evaluate(statement: Statement) -> Result:
    """Checks a statement, as printed and as corrected.

    >>> from theory.statements import STATEMENTS
    >>> [evaluate(statement).as_printed for statement in STATEMENTS if statement.id in ("eq-15", "eq-16")]
    ['holds', 'fails']
    """
    corrected = None if statement.corrected_check is None else statement.corrected_check()
    return Result(statement, statement.check(), corrected)
