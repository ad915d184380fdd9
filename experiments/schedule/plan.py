"""List scheduling, the longest chain first, and what no schedule can beat.

Whatever the order of its list, such a schedule takes at most twice as long as the best one (Graham 1969, Bounds on
multiprocessing timing anomalies); the longest chain first is a common order, with no better bound where tasks depend
on each other.
"""

import dataclasses
import heapq
from collections.abc import Iterable, Sequence


@dataclasses.dataclass(frozen=True)
class Task:
    """What one machine does without a break.

    Attributes:
      seconds: how long.
      after: the place of the task that must have ended before, earlier in the list; None.
    """

    seconds: float
    after: int | None = None


@dataclasses.dataclass(frozen=True)
class Placed:
    """When a task is done, in seconds, and by which machine."""

    machine: int
    start: float
    end: float


def chains(tasks: Sequence[Task]) -> list[float]:
    """Seconds from each task's beginning to the end of the longest chain that begins with it.

    >>> chains([Task(2.0), Task(3.0, after=0), Task(1.0, after=0), Task(4.0)])
    [5.0, 3.0, 1.0, 4.0]
    """
    longest = [0.0] * len(tasks)  # of what follows
    for place in reversed(range(len(tasks))):
        after = tasks[place].after
        if after is not None:
            longest[after] = max(longest[after], tasks[place].seconds + longest[place])
    return [task.seconds + rest for task, rest in zip(tasks, longest, strict=True)]


def lower_bound(tasks: Sequence[Task], machines: int) -> float:
    """Seconds that any schedule takes at least: the work shared evenly, or the longest chain."""
    return max(sum(task.seconds for task in tasks) / machines, max(chains(tasks)))


def schedule(tasks: Sequence[Task], machines: int) -> list[Placed]:
    """Each task's place: whenever a machine is free it takes, of the tasks that can begin, that of the longest chain.

    >>> schedule([Task(2.0), Task(3.0, after=0), Task(1.0, after=0), Task(4.0)], 2)[1]
    Placed(machine=0, start=2.0, end=5.0)
    """
    urgency = chains(tasks)
    ready = [(-urgency[place], place) for place, task in enumerate(tasks) if task.after is None]
    following: dict[int, list[int]] = {}
    for place, task in enumerate(tasks):
        if task.after is not None:
            following.setdefault(task.after, []).append(place)
    heapq.heapify(ready)
    free, running, now = list(range(machines)), [], 0.0
    placed: dict[int, Placed] = {}
    while ready or running:
        while ready and free:
            _, place = heapq.heappop(ready)
            placed[place] = Placed(heapq.heappop(free), now, now + tasks[place].seconds)
            heapq.heappush(running, (placed[place].end, place))
        now = running[0][0]
        while running and running[0][0] == now:
            _, place = heapq.heappop(running)
            heapq.heappush(free, placed[place].machine)
            for next_place in following.get(place, ()):
                heapq.heappush(ready, (-urgency[next_place], next_place))
    return [placed[place] for place in range(len(tasks))]


def held(placed: Iterable[Placed]) -> float:
    """Seconds of all machines, where each is given back after the last task it does."""
    last: dict[int, float] = {}
    for task in placed:
        last[task.machine] = max(last.get(task.machine, 0.0), task.end)
    return sum(last.values())
