"""Studies as the tasks of an array job of SLURM, by submitit; what is preempted or out of time is queued again."""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from distill_jax import extras
from distill_jax.errors import InputError, RunError, one_line
from distill_jax.study import workdir
from experiments.paper.engines.jobs import Ended, Job, work

_TIMEOUTS = 1000  # a study goes on from its last checkpoint each time
_CANCEL_SECONDS = 600
_LIST_SECONDS, _GONE_SECONDS = 5, 60  # between two questions to SLURM; until a result must be on the shared disk


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
    # With sbatch's export=NONE srun would not even hand on what the job's own script says.
    given |= {"job_name": "paper", "srun_args": ["--export=ALL"]}
    slurm.update_parameters(additional_parameters={"requeue": True, **sbatch}, **given)
    return slurm


class OnSlurm:
    """An `Engine`.

    Args:
      submitter: an executor of submitit.
    """

    def __init__(self, submitter: Any):
        self._executor = submitter
        self._jobs: dict[str, Any] = {}
        self._gone: dict[str, float] = {}  # when those that SLURM lists no more were missed first
        self._listed = -math.inf  # when it was last asked

    def begin(self, jobs: Sequence[Job]) -> Collection[str]:
        """As of `Engine`. What the queue has of an earlier command, which may have died, is not given to it again.

        Raises:
          InputError: sbatch or squeue refuse, or the queue has a study with other words.
        """
        errors = extras.needed("submitit.core.utils", "slurm", "--on", "slurm")
        with workdir.lock(Path(self._executor.folder)):  # against the same command, typed twice
            earlier = _in_queue(self._executor)
            for job in jobs:
                if job.name in earlier and earlier[job.name][1].words != job.words:
                    raise _given_otherwise(job, *earlier[job.name])
            new = [job for job in jobs if job.name not in earlier]
            try:
                submitted = self._executor.map_array(Task(), new) if new else []
            except (errors.FailedJobError, errors.FailedSubmissionError) as error:
                raise InputError("--on", "slurm", f"sbatch refuses the studies ({one_line(error)[-300:]})") from error
        has = {job.name: earlier[job.name][0] for job in jobs if job.name in earlier}
        self._jobs |= has | {job.name: of for job, of in zip(new, submitted, strict=True)}
        return tuple(has)

    def ended(self) -> Mapping[str, Ended]:
        """As of `Engine`."""
        left = [job for job in self._jobs.values() if _is_of_slurm(job) and not job.paths.result_pickle.exists()]
        if left and time.monotonic() > self._listed + _LIST_SECONDS:
            self._listed, queued = time.monotonic(), _queued(left)
            missed = [job.job_id for job in left if job.job_id not in queued]
            self._gone = {number: self._gone.get(number, self._listed) for number in missed}
        return {name: self._result(job) for name, job in self._jobs.items() if self._has_ended(job)}

    def _has_ended(self, job: Any) -> bool:
        """Whether it has; SLURM's accounting, which submitit would ask, is not kept everywhere."""
        if not _is_of_slurm(job):
            return job.done()
        gone_for = time.monotonic() - self._gone.get(job.job_id, math.inf)
        return job.paths.result_pickle.exists() or gone_for > _GONE_SECONDS

    def _result(self, job: Any) -> Ended:
        if _is_of_slurm(job) and not job.paths.result_pickle.exists():
            return Ended(RunError.exit_status, f"SLURM has it no more, as if it was cancelled; see {job.paths.stderr}")
        try:
            return job.result()
        except Exception as error:  # of many types, such as a node that has failed
            return Ended(RunError.exit_status, f"{type(error).__name__}: {one_line(error)[:300]}")

    def cancel(self) -> None:
        """As of `Engine`."""
        end = time.monotonic() + _CANCEL_SECONDS
        left = [job for job in self._jobs.values() if not self._has_ended(job)]
        for job in left:
            if not _is_of_slurm(job):
                job.cancel(check=False)
                continue
            # SLURM's own cancel would give those at work half a minute, and SIGTERM, at which they queue again.
            for words in (["--state=PENDING"], ["--signal=INT"]):
                subprocess.run(["scancel", *words, job.job_id], check=False, capture_output=True)
        while left and time.monotonic() < end:
            time.sleep(_LIST_SECONDS if _is_of_slurm(left[0]) else 0.5)
            queued = _queued([job for job in left if _is_of_slurm(job)])
            left = [job for job in left if (job.job_id in queued if _is_of_slurm(job) else not job.done())]

    def close(self) -> None:
        """As of `Engine`."""


def _is_of_slurm(job: Any) -> bool:
    """Whether it is SLURM's; else it is of submitit's executor for one machine."""
    return type(job).__name__ == "SlurmJob"


def _queued(jobs: Sequence[Any]) -> set[str]:
    """Those that SLURM has, waiting or at work; all of them where it does not answer."""
    numbers = {job.job_id for job in jobs}
    if not numbers:
        return numbers
    words = ["squeue", "--noheader", "--array", "--format=%i", "--user", str(os.getuid())]
    listed = subprocess.run(words, check=False, capture_output=True, text=True)
    return numbers & {line.strip() for line in listed.stdout.splitlines()} if not listed.returncode else numbers


def _in_queue(submitter: Any) -> dict[str, tuple[Any, Job]]:
    """Studies of the executor's folder that SLURM has, waiting or at work, each with submitit's job, by name.

    Raises:
      InputError: SLURM does not answer.
    """
    if type(submitter).__name__ != "SlurmExecutor":  # submitit's executor for one machine
        return {}
    slurm = extras.needed("submitit", "slurm", "--on", "slurm")
    words = ["squeue", "--noheader", "--array", "--format=%i %o", "--user", str(os.getuid())]
    listed = subprocess.run(words, check=False, capture_output=True, text=True)
    if listed.returncode:
        raise InputError("--on", "slurm", f"squeue does not answer ({' '.join(listed.stderr.split())[-200:]})")
    found = {}
    for line in listed.stdout.splitlines():
        number, _, script = line.strip().partition(" ")
        if Path(script).parent != Path(submitter.folder):  # else of another --workdir, or no study
            continue
        of = slurm.SlurmJob(submitter.folder, number, [0])
        if of.paths.submitted_pickle.exists():  # else its command has died before it was written: the task will fail
            job = slurm.core.utils.DelayedSubmission.load(of.paths.submitted_pickle).args[0]
            found[job.name] = of, job
    return found


def _given_otherwise(job: Job, of: Any, earlier: Job) -> InputError:
    here, there = (dict(zip(words[1::2], words[2::2], strict=False)) for words in (job.words, earlier.words))
    differing = [option for option in {**there, **here} if there.get(option) != here.get(option)]
    texts = ", ".join(f"{option} {there.get(option, 'as by default')}" for option in differing)
    fault = f"SLURM has {job.name} already, as {of.job_id}, with {texts}; give the same, or scancel it first"
    return InputError("--on", "slurm", fault)


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
            if not _is_running():  # cancelled, or queued again by SLURM itself: no result is left
                sys.exit(ended.status)
            queue_again(signal.SIGUSR2, None)
        return ended

    def checkpoint(self, job: Job) -> Any:
        """The same once more, as submitit asks for it: a study's own checkpoints say how far it is."""
        return extras.needed("submitit.helpers", "slurm", "--on", "slurm").DelayedSubmission(self, job)


def _is_running() -> bool:
    """Whether SLURM still means this job to run; where it does not say so, it does."""
    job = extras.needed("submitit", "slurm", "--on", "slurm").JobEnvironment()
    if job.cluster != "slurm":  # submitit's executor for one machine
        return True
    words = ["squeue", "--noheader", "--format=%T", "--jobs", job.job_id]
    listed = subprocess.run(words, check=False, capture_output=True, text=True)
    return bool(listed.returncode) or listed.stdout.strip() == "RUNNING"


def _terminate(number: int, frame: FrameType | None) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
