"""Trackers: who else is told of a training's scalars, beside its JSON lines: TensorBoard, W&B, MLflow, one's own."""

import abc
import dataclasses
import json
import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from distill_jax.credentials import masked
from distill_jax.errors import InputError, one_line, require
from distill_jax.extras import needed
from distill_jax.fields import leaves
from distill_jax.files import read_json, write_text
from distill_jax.own_code import imported, is_own
from distill_jax.setting import RunSetting, Setting
from distill_jax.training.population import Member

_FIELD = "run.trackers"
_SECONDS = 30.0  # between two batches of rows: a data base takes many at once as fast as one
_METRICS = 1000  # most that MLflow takes at once


@dataclasses.dataclass(frozen=True)
class Training:
    """One model's training, as a tracker is told of it.

    Attributes:
      workdir: the study's folder.
      folder: of the population's own files, which go when its training does.
      model, seed: whose scalars they are.
      first_step: from which it goes on, 0 at the beginning.
      total_steps: after which it is finished.
      setting: the fields of the study's setting with this model's values, by name, such as 'train.epochs'.
    """

    workdir: Path
    folder: Path
    model: str
    seed: int
    first_step: int
    total_steps: int
    setting: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The model with its seed.

        >>> Training(Path("work"), Path("work/runs/a"), "kd", 1, 0, 100, {}).name
        'kd-seed-1'
        """
        return f"{self.model}-seed-{self.seed}"


class Tracker(Protocol):
    """Is told of one model's training; a class of one's own is called with a `Training` for each.

    A tracker that keeps what it was told has an attribute `last_step`, the last step that it has from before: it is
    told of the steps after that one, and of no step twice. Without it is told of those after `Training.first_step`:
    what came between the last checkpoint and a kill comes again.
    """

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Is told of one moment: loss, accuracy, learning_rate, distillation_weight, examples_per_s."""
        ...

    def close(self) -> None:
        """Is told that this is all, at the end or where the training was stopped."""
        ...


class Trackers:
    """All trackers of a population. One that fails is named in a line and told no more: training goes on.

    Args:
      setting: the study's.
      members: of the population.
      folder: of the population.
      first_step, total_steps: as of `Training`.
      say: prints a line.

    Raises:
      InputError: a tracker cannot be begun.
    """

    def __init__(
        self,
        setting: Setting,
        members: Sequence[Member],
        folder: Path,
        *,
        first_step: int,
        total_steps: int,
        say: Callable[[str], None],
    ):
        self._say, self._first_step = say, first_step
        self._trackers: dict[str, list[Tracker]] = {}
        for name in names(setting.run):
            begin = _tracker_class(name)
            try:
                for member in members:
                    fields = dict(leaves(member.applied(setting)))
                    at = (setting.run.workdir, folder, member.name, member.seed, first_step, total_steps)
                    self._trackers.setdefault(name, []).append(begin(Training(*at, fields)))
            except Exception as error:
                self.close()
                raise InputError(_FIELD, name, f"cannot be begun: {one_line(error)}") from error

    def write(self, index: int, step: int, scalars: Mapping[str, float]) -> None:
        """Tells of one moment of the member with this index."""
        for name, of_members in list(self._trackers.items()):
            tracker = of_members[index]
            if step > getattr(tracker, "last_step", self._first_step):
                self._carefully(name, lambda tracker=tracker: tracker.write(step, scalars))

    def close(self) -> None:
        """Ends them."""
        for name, of_members in list(self._trackers.items()):
            for tracker in of_members:
                self._carefully(name, tracker.close)
        self._trackers.clear()

    def _carefully(self, name: str, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            if self._trackers.pop(name, None) is not None:
                self._say(f"warning: {name} fails and is told no more of these models: {one_line(error)}")


class TensorBoard:
    """Event files under tensorboard/ of the work folder; what was written after the checkpoint is marked as purged."""

    def __init__(self, training: Training):
        folder = training.workdir / "tensorboard" / training.model / f"seed-{training.seed}"
        writer = needed("tensorboardX", "tensorboard", _FIELD, "tensorboard").SummaryWriter
        # Files are named by the second, and would replace each other where two are begun in the same.
        suffix = f".{training.first_step:09d}"
        self._writer = writer(str(folder), purge_step=training.first_step + 1, filename_suffix=suffix)

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """As of `Tracker`."""
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """As of `Tracker`."""
        self._writer.close()


class _InBatches(abc.ABC):
    """What trackers share that take rows in batches, and keep of a training the run that they have for it.

    Attributes:
      last_step: as of `Tracker`.
      reached: the last step that it was told of.
    """

    def __init__(self, training: Training, name: str):
        self._path = training.folder / "trackers" / f"{name}-{training.name}.json"
        self._path.parent.mkdir(exist_ok=True)
        self._rows: list[tuple[int, float, Mapping[str, float]]] = []
        self._sent = time.monotonic()
        self.last_step = self.reached = 0

    def kept(self) -> dict[str, Any]:
        """What was kept of this training before, {} at its beginning."""
        return read_json(self._path, dict[str, Any], "remove it") if self._path.exists() else {}

    def keep(self, **values: Any) -> None:
        """Keeps it."""
        write_text(self._path, json.dumps(values) + "\n")

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """As of `Tracker`."""
        self._rows.append((step, time.time(), scalars))
        self.reached = step
        if time.monotonic() - self._sent >= _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Sends what has not been sent."""
        rows, self._rows = self._rows, []
        if rows:
            self.send(rows)
        self._sent = time.monotonic()

    @abc.abstractmethod
    def send(self, rows: Sequence[tuple[int, float, Mapping[str, float]]]) -> None:
        """Sends rows: steps, seconds since 1970, scalars."""


class Wandb(_InBatches):
    """Weights & Biases: a run for each model, grouped by the study's folder, under wandb/ in it where it is offline.

    WANDB_MODE, WANDB_PROJECT and its other variables say where to; with WANDB_MODE=offline nothing leaves the machine.
    """

    def __init__(self, training: Training):
        super().__init__(training, "wandb")
        wandb = needed("wandb", "wandb", _FIELD, "wandb")
        kept = self.kept()
        self._id: str = kept.get("id") or secrets.token_hex(4)
        self.last_step = kept.get("step", 0)
        self.keep(id=self._id, step=self.last_step)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "distill-jax"),
            group=training.workdir.name,
            job_type=training.model,
            name=f"{training.workdir.name}-{training.name}",
            config={name: _plain(value) for name, value in training.setting.items()},
            dir=training.workdir,
            id=self._id,
            resume="allow",
            reinit="create_new",
            # Scalars alone: no copy of code, of what is printed, or of the machine's load.
            settings=wandb.Settings(
                silent=True, console="off", x_disable_stats=True, disable_git=True, disable_code=True
            ),
        )

    def send(self, rows: Sequence[tuple[int, float, Mapping[str, float]]]) -> None:
        """As of `_InBatches`."""
        # Kept before it is sent: a kill in between leaves a gap, and no step twice.
        self.keep(id=self._id, step=rows[-1][0])
        for step, _, scalars in rows:
            self._run.log(dict(scalars), step=step)

    def close(self) -> None:
        """As of `Tracker`."""
        self.flush()
        self._run.finish()


class MLflow(_InBatches):
    """MLflow: a run for each model, in an experiment named as the study's folder; in mlflow.db there by default.

    MLFLOW_TRACKING_URI names another store.
    """

    def __init__(self, training: Training):
        super().__init__(training, "mlflow")
        mlflow = _mlflow()
        own_store = not mlflow.is_tracking_uri_set()
        folder = training.workdir.absolute()
        uri = f"sqlite:///{folder / 'mlflow.db'}" if own_store else mlflow.get_tracking_uri()
        self._client, self._total_steps = mlflow.MlflowClient(tracking_uri=uri), training.total_steps
        self._metric = mlflow.entities.Metric
        kept, store = self.kept(), masked(uri)  # an address may have a password, which is not for files
        if kept.get("store") == store:
            self._run = kept["run"]
            self._client.update_run(self._run, status="RUNNING")
            self.last_step = max((m.step for m in self._client.get_metric_history(self._run, "loss")), default=0)
            self.reached = self.last_step
            return
        if (experiment := self._client.get_experiment_by_name(folder.name)) is not None:
            number = experiment.experiment_id
        else:
            number = self._client.create_experiment(folder.name, str(folder / "mlruns") if own_store else None)
        tags = {"model": training.model, "seed": str(training.seed), "workdir": str(training.workdir)}
        self._run = self._client.create_run(number, tags=tags, run_name=training.name).info.run_id
        self.keep(store=store, run=self._run)
        parameters = [
            mlflow.entities.Param(name, str(_plain(value)))
            for name, value in training.setting.items()
            if value not in (None, (), {}, "")
        ]
        self._client.log_batch(self._run, params=parameters)

    def send(self, rows: Sequence[tuple[int, float, Mapping[str, float]]]) -> None:
        """As of `_InBatches`."""
        metrics = [
            self._metric(name, value, round(1000 * seconds), step)
            for step, seconds, scalars in rows
            for name, value in scalars.items()
        ]
        for first in range(0, len(metrics), _METRICS):
            self._client.log_batch(self._run, metrics=metrics[first : first + _METRICS])

    def close(self) -> None:
        """As of `Tracker`."""
        self.flush()
        self._client.set_terminated(self._run, "FINISHED" if self.reached == self._total_steps else "KILLED")


TRACKERS: dict[str, Callable[[Training], Tracker]] = {"tensorboard": TensorBoard, "wandb": Wandb, "mlflow": MLflow}


def names(run: RunSetting) -> tuple[str, ...]:
    """The trackers that are asked for.

    >>> names(RunSetting(tensorboard=True, trackers=("wandb",)))
    ('wandb', 'tensorboard')
    """
    return tuple(dict.fromkeys((*run.trackers, *(("tensorboard",) if run.tensorboard else ()))))


def check(run: RunSetting) -> None:
    """Checks that the trackers that are asked for are there, and asks W&B for a key where it needs one.

    Raises:
      InputError: one is not, with the extra that it needs.
    """
    for name in names(run):
        _tracker_class(name)
        if name == "tensorboard":
            needed("tensorboardX", "tensorboard", "run.tensorboard" if run.tensorboard else _FIELD, name)
        elif name == "mlflow":
            _mlflow()
        elif name == "wandb":
            wandb = needed("wandb", "wandb", _FIELD, name)
            if wandb.setup().settings.mode == "online":
                try:
                    wandb.login()
                except Exception as error:
                    remedy = "set WANDB_MODE=offline, or log in once with `wandb login`"
                    raise InputError(_FIELD, name, f"has no key ({one_line(error)}); {remedy}") from error


def _tracker_class(name: str) -> Callable[[Training], Tracker]:
    if is_own(name):
        own = imported(name, _FIELD)
        require(callable(own), _FIELD, name, "a class with the methods write(step, scalars) and close()")
        return own
    require(name in TRACKERS, _FIELD, name, f"{', '.join(TRACKERS)}, or module:Class of your own")
    return TRACKERS[name]


def _mlflow() -> Any:
    """MLflow, which neither logs its data base's beginnings nor reports its use for us."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow = needed("mlflow", "mlflow", _FIELD, "mlflow")
    for logger in ("mlflow.store.db.utils", "alembic"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    return mlflow


def _plain(value: Any) -> Any:
    """A field's value as others take it."""
    return list(value) if isinstance(value, tuple) else value if isinstance(value, (int, float, dict)) else str(value)
