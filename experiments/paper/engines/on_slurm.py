"""Studies as the tasks of an array job of SLURM, by submitit; what is preempted or out of time is queued again."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from distill_jax import extras
from distill_jax.errors import InputError, RunError, one_line
from experiments.paper.engines.jobs import Ended, Job, work

_TIMEOUTS = 1000  # a study goes on from its last checkpoint each time
_CANCEL_SECONDS = 600


def executor(folder: Path, parameters: Mapping[str, Any], sbatch: Mapping[str, Any]) -> Any:
    """submitit's executor for SLURM.

    Args:
      folder: on a disk that all nodes share, for what submitit writes.
      parameters: of submitit, those that are not None.
      sbatch: further options of sbatch, by their long names.

    Raises:
      InputError: submitit is not installed, or SLURM not here.
    """
    submitit = extras.needed("submitit", "slurm", "--on", "slurm")
    try:
        slurm = submitit.SlurmExecutor(folder, max_num_timeout=_TIMEOUTS)
    except RuntimeError as error:
        raise InputError("--on", "slurm", f"{one_line(error)}; must be typed where sbatch and srun are") from error
    given = {name: value for name, value in parameters.items() if value is not None}
    slurm.update_parameters(job_name="paper", additional_parameters={"requeue": True, **sbatch}, **given)
    return slurm


class OnSlurm:
    """An `Engine`.

    Args:
      submitter: an executor of submitit.
    """

    def __init__(self, submitter: Any):
        self._executor = submitter
        self._jobs: dict[str, Any] = {}

    def begin(self, jobs: Sequence[Job]) -> None:
        """As of `Engine`."""
        errors = extras.needed("submitit.core.utils", "slurm", "--on", "slurm")
        try:
            submitted = self._executor.map_array(Task(), jobs)
        except (errors.FailedJobError, errors.FailedSubmissionError) as error:
            raise InputError("--on", "slurm", f"sbatch refuses the studies ({one_line(error)[-300:]})") from error
        self._jobs = {job.name: of for job, of in zip(jobs, submitted, strict=True)}

    def ended(self) -> Mapping[str, Ended]:
        """As of `Engine`."""
        return {name: self._result(job) for name, job in self._jobs.items() if job.done()}

    def _result(self, job: Any) -> Ended:
        try:
            return job.result()
        except Exception as error:  # of many types, such as a node that has failed
            return Ended(RunError.exit_status, f"{type(error).__name__}: {one_line(error)[:300]}")

    def cancel(self) -> None:
        """As of `Engine`."""
        end = time.monotonic() + _CANCEL_SECONDS
        waited_for = {job.job_id: job for job in self._jobs.values() if not job.done()}
        for number, job in waited_for.items():
            if type(job).__name__ != "SlurmJob":
                job.cancel(check=False)
                continue
            # SLURM's own cancel would give those at work half a minute, and SIGTERM, at which they queue again.
            for words in (["--state=PENDING"], ["--signal=INT"]):
                subprocess.run(["scancel", *words, number], check=False, capture_output=True)
        while waited_for and time.monotonic() < end:
            time.sleep(0.5)
            waited_for = {number: job for number, job in waited_for.items() if _is_at_work(job)}

    def close(self) -> None:
        """As of `Engine`."""


def _is_at_work(job: Any) -> bool:
    if type(job).__name__ != "SlurmJob":
        return not job.done()
    listed = subprocess.run(["squeue", "-h", "-j", job.job_id], check=False, capture_output=True, text=True)
    return bool(listed.stdout.strip())


class Task:
    """What submitit runs on a node.

    Whatever SLURM tells it, that time is up (SIGUSR2) or that it is preempted (SIGTERM), is one to the study: it saves
    and stops. Only then it is queued again, by what submitit does at SIGUSR2.
    """

    def __call__(self, job: Job) -> Ended:
        """Trains the study."""
        queue_again = signal.signal(signal.SIGUSR2, _terminate)
        ended = work(job)
        signal.signal(signal.SIGUSR2, queue_again)
        if ended.status == 128 + signal.SIGTERM and callable(queue_again):
            queue_again(signal.SIGUSR2, None)
        return ended

    def checkpoint(self, job: Job) -> Any:
        """The same once more, as submitit asks for it: a study's own checkpoints say how far it is."""
        return extras.needed("submitit.helpers", "slurm", "--on", "slurm").DelayedSubmission(self, job)


def _terminate(number: int, frame: FrameType | None) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
