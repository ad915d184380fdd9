"""Contenders that take turns, round after round, so that a machine that drifts drifts for all of them."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence


@dataclasses.dataclass
class Contender:
    """One way to do a row's work, compiled and warm.

    Attributes:
      name: 'ours', or the peer's.
      run: does so many calls and waits for their end.
      examples: of one call, of all members together.
      compile_seconds: what compilation took.
      before: removes what runs have left, before each and after the last; not timed.
    """

    name: str
    run: Callable[[int], None]
    examples: int
    compile_seconds: float = 0.0
    before: Callable[[], None] = lambda: None


def take_turns(contenders: Sequence[Contender], repeats: int, seconds: float) -> dict[str, list[float]]:
    """Examples/s of each contender in each round.

    Args:
      contenders: who takes part.
      repeats: rounds.
      seconds: about how long each is to run in a round; a call that takes longer is made once.
    """

    def timed(contender: Contender, calls: int) -> float:
        contender.before()
        started = time.perf_counter()
        contender.run(calls)
        return time.perf_counter() - started

    calls = {}
    for contender in contenders:
        calls[contender.name], took = 1, timed(contender, 1)
        while took < seconds / 4 and calls[contender.name] < 10_000:  # until a guess from it is worth something
            calls[contender.name] *= 4
            took = timed(contender, calls[contender.name])
        calls[contender.name] = max(1, round(calls[contender.name] * seconds / took))
    rates: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for _ in range(repeats):
        for contender in contenders:
            number = calls[contender.name]
            rates[contender.name].append(number * contender.examples / timed(contender, number))
    for contender in contenders:
        contender.before()
    return rates


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Ours over theirs, round by round: the median, the lowest and the highest."""
    round_ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return {"ratio": statistics.median(round_ratios), "ratio_low": min(round_ratios), "ratio_high": max(round_ratios)}
