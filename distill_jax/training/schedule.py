"""Steps of a run: how many, when snapshots are taken, and the calls it is carried out in."""

import dataclasses
from collections.abc import Iterator

from distill_jax.setting import Setting


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long a run is, in steps.

    >>> from distill_jax.setting import TrainSetting
    >>> Schedule.of(Setting(train=TrainSetting(epochs=2, batch_size=32, snapshots=(0.5,))), examples=100)
    Schedule(steps_per_epoch=3, total_steps=6, snapshot_steps=(3, 6))
    """

    steps_per_epoch: int
    total_steps: int
    snapshot_steps: tuple[int, ...]

    @classmethod
    def of(cls, setting: Setting, examples: int) -> "Schedule":
        """The schedule of a run on so many training examples; a pass's incomplete last batch is dropped."""
        per_epoch = examples // setting.train.batch_size
        total = max(round(setting.train.epochs * per_epoch), 1)
        moments = {min(max(round(share * total), 1), total) for share in setting.train.snapshots}
        return cls(per_epoch, total, tuple(sorted(moments | {total})))


def dispatches(first: int, schedule: Schedule, most: int) -> Iterator[tuple[int, int]]:
    """(first step, steps) of each dispatch from `first` on: `most` steps, or fewer where a snapshot comes sooner.

    >>> list(dispatches(0, Schedule(10, 24, (12, 24)), 10))
    [(0, 10), (10, 1), (11, 1), (12, 10), (22, 1), (23, 1)]

    Only three sizes, so that only three programs are compiled: `most`, its square root where it is 50 or more (a
    call of one step takes up to twice as long a step), and one. A run resumed where one of its dispatches ended makes
    the very calls the uninterrupted run would have made.
    """
    sizes = [most, *([round(most**0.5)] if most >= 50 else []), 1]
    step = 0
    for stop in schedule.snapshot_steps:
        while step < stop:
            steps = next(size for size in sizes if size == 1 or step + size <= stop)
            if step >= first:
                yield step, steps
            elif step + steps > first:  # begun with another number of steps a dispatch
                steps = first - step
            step += steps
