"""How long a run is, and the calls it is carried out in."""

import dataclasses
from collections.abc import Iterator

from distill_jax.setting import Setting


@dataclasses.dataclass(frozen=True)
class Length:
    """How long a run is, in steps."""

    steps_per_epoch: int
    total_steps: int
    snapshot_steps: tuple[int, ...]

    @classmethod
    def of(cls, setting: Setting, examples: int) -> "Length":
        """The length of a run on so many training examples; a pass's incomplete last batch is dropped."""
        per_epoch = examples // setting.train.batch_size
        total = max(round(setting.train.epochs * per_epoch), 1)
        moments = {min(max(round(share * total), 1), total) for share in setting.train.snapshots}
        return cls(per_epoch, total, tuple(sorted(moments | {total})))


def dispatches(first: int, length: Length, most: int) -> Iterator[tuple[int, int]]:
    """(first step, steps) of each dispatch from `first` on: `most` steps, or one where a snapshot comes sooner.

    Only two sizes, so that only two programs are compiled. A run resumed where one of its dispatches ended makes
    the very calls the uninterrupted run would have made.
    """
    step = 0
    for stop in length.snapshot_steps:
        while step < stop:
            steps = most if step + most <= stop else 1
            if step >= first:
                yield step, steps
            elif step + steps > first:  # begun with another number of steps a dispatch
                steps = first - step
            step += steps
