"""Where the paper's studies are trained, if not in this process: on Ray, or by SLURM.

An engine is given jobs, each a study, and says which have ended and how; who is given what and when is its own affair.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from experiments.paper.engines.jobs import Ended, Job


class Engine(Protocol):
    """What trains studies elsewhere. Each may be trained anew from its last checkpoint where a machine is lost."""

    def begin(self, jobs: Sequence[Job]) -> Collection[str]:
        """Gives jobs to the engine, the most urgent first, beside those that it has; returns at once.

        Returns:
          The names of those that it has already, of an earlier command: these go on as they are.

        Raises:
          InputError: the engine refuses them.
        """
        ...

    def ended(self) -> Mapping[str, Ended]:
        """How those have ended that have, by the jobs' names."""
        ...

    def cancel(self) -> None:
        """Withdraws what is not begun, makes what is at work save and stop, and waits for that."""
        ...

    def close(self) -> None:
        """Leaves the engine, once all jobs have ended."""
        ...
