"""A simulation of machines that claim portions, are lost at some rate, and go on from the last checkpoint.

With a folder the claims are those of the code, `study.workdir.lock` on each portion's own folder, and every machine
looks through the list as a process would that knows nothing of the others.
"""

import contextlib
import dataclasses
import heapq
import math
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

from distill_jax.errors import InputError
from distill_jax.study.workdir import RunFolder, lock
from experiments.schedule.plan import chains
from experiments.schedule.portions import Portion, tasks


@dataclasses.dataclass(frozen=True)
class Lost:
    """A machine's end: of which portion, how long it had worked on it, and how much of that is to be done again."""

    portion: int
    worked: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of one simulation.

    Attributes:
      seconds: until all was done.
      losses: machines that were lost at work; another takes each one's place at once.
      tries: claims that were tried; without a folder those alone that succeeded.
      first_tries: those of them at the very beginning.
    """

    seconds: float
    losses: list[Lost]
    tries: int
    first_tries: int


class Claims:
    """Who has which portion: by the code's own locks in a folder, or without one by a list."""

    def __init__(self, portions: Sequence[Portion], folder: Path | None):
        self._locks: dict[int, IO[str] | None] = {}
        self._folders = None
        if folder is not None:
            self._folders = [RunFolder.of(folder / p.study, p.members).folder for p in portions]
        self.tries = 0

    def take(self, place: int) -> bool:
        """Claims a portion, where no other has it."""
        self.tries += 1
        if self._folders is None:
            taken = place in self._locks
            self._locks.setdefault(place, None)
            return not taken
        try:
            self._locks[place] = lock(self._folders[place])
        except InputError:
            return False
        return True

    def free(self, place: int) -> None:
        """Gives a portion back, as the end of a process does."""
        if (lock_file := self._locks.pop(place)) is not None:
            lock_file.close()

    @property
    def taken(self) -> set[int]:
        """The portions that are claimed."""
        return set(self._locks)

    @property
    def is_seen_only_by_trying(self) -> bool:
        """Whether a process must try a claim to know of it."""
        return self._folders is not None


@dataclasses.dataclass
class _Site:
    """All portions and how far they are."""

    portions: Sequence[Portion]
    claims: Claims

    def __post_init__(self) -> None:
        urgency = chains(tasks(self.portions))
        self.order = sorted(range(len(self.portions)), key=lambda place: (-urgency[place], place))
        self.rank = {place: rank for rank, place in enumerate(self.order)}
        self.step = [0] * len(self.portions)  # of the last checkpoint
        self.done: set[int] = set()
        self.following: dict[int, list[int]] = {}
        for place, portion in enumerate(self.portions):
            if portion.teachers is not None:
                self.following.setdefault(portion.teachers, []).append(place)
        self.ready = [self.rank[place] for place, p in enumerate(self.portions) if p.is_of_teachers]
        heapq.heapify(self.ready)

    def claim(self) -> int | None:
        """The first portion that can begin and is nobody's; None where a machine has to wait until something ends."""
        if not self.claims.is_seen_only_by_trying:
            if not self.ready:
                return None
            place = self.order[heapq.heappop(self.ready)]
            assert self.claims.take(place)
            return place
        for place in self.order:
            teachers = self.portions[place].teachers
            if place in self.done or (teachers is not None and teachers not in self.done):
                continue
            if self.claims.take(place):
                self.ready.remove(self.rank[place])
                heapq.heapify(self.ready)
                return place
        return None

    def finish(self, place: int) -> None:
        """A portion is done, and what follows can begin."""
        self.claims.free(place)
        self.done.add(place)
        for following in self.following.get(place, ()):
            heapq.heappush(self.ready, self.rank[following])

    def lose(self, place: int, seconds: float) -> Lost:
        """Its machine is lost after so many seconds; another can go on with it."""
        run, first = self.portions[place].run, self.step[place]
        self.step[place] = run.saved(first, seconds)
        self.claims.free(place)
        heapq.heappush(self.ready, self.rank[place])
        return Lost(place, seconds, seconds - run.trained(first, self.step[place]))


def simulate(
    portions: Sequence[Portion], machines: int, rate: float, rng: np.random.Generator, folder: Path | None = None
) -> Outcome:
    """One simulation.

    Args:
      portions: of all studies.
      machines: that there are at any time.
      rate: at which one is lost, a second; the times between are exponential.
      rng: draws them.
      folder: for claims in the code's own way.
    """
    claims = Claims(portions, folder)
    site = _Site(portions, claims)
    free, events, now = machines, [], 0.0
    losses: list[Lost] = []
    first_tries = None
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: [claims.free(place) for place in claims.taken])
        while True:
            # At the beginning all look; later as many as there is something for: the others' looking is not counted.
            for _ in range(free if first_tries is None else min(free, len(site.ready))):
                if (place := site.claim()) is None:
                    continue
                seconds = site.portions[place].run.seconds(site.step[place])
                until_lost = rng.exponential(1 / rate) if rate else math.inf
                heapq.heappush(events, (now + min(seconds, until_lost), place, until_lost < seconds, until_lost))
                free -= 1
            first_tries = claims.tries if first_tries is None else first_tries
            if not events:
                return Outcome(now, losses, claims.tries, first_tries)
            now = events[0][0]
            while events and events[0][0] == now:
                _, place, is_lost, worked = heapq.heappop(events)
                free += 1
                if is_lost:
                    losses.append(site.lose(place, worked))
                else:
                    site.finish(place)
