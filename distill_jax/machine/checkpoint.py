"""Checkpoints of a training: the whole state, written by Orbax while training goes on, there whole or not at all.

Of several processes, each of which has the whole state, the first alone writes and reads them, as if it were the only
one, and hands the others what it has read.

This is the only module that knows Orbax, which does not notice a bit that has changed in what it reads. So each
checkpoint has a seal beside it, of the checksums of its files and of whose state it is, made behind the back of the
training; without one it counts as not yet written.
"""

import dataclasses
import json
import logging
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from distill_jax.errors import InputError, RunError, one_line
from distill_jax.files import checksum, read_json, write_text
from distill_jax.machine import processes
from distill_jax.machine.backend import is_out_of_memory
from distill_jax.machine.placement import on_host
from distill_jax.machine.seals import complete_steps, seals_of

# Orbax tells of every save, and of an error in a stack trace of its own; what matters is raised and told in one line.
logging.getLogger("absl").setLevel(logging.CRITICAL)

_LOOK_SECONDS = 0.02
_SECONDS, _OLD_SECONDS = "seconds", "progress"  # in Orbax's metadata, and the item that they were before
_OVERHEAD = 2**20  # bytes of a checkpoint beside its arrays, and some to spare


class _Folder(type(epath.Path("/"))):
    """A path whose own brackets are no pattern, as they are to `epath`: Orbax would not find what it has written."""

    def glob(self, pattern: str) -> Iterator["_Folder"]:
        return (type(self)(path) for path in Path(self).glob(pattern))


class _Manager(ocp.CheckpointManager):
    """Orbax's, but for one thing.

    Orbax asks JAX whether it is time to stop, with the training step for a number. JAX remembers the last number
    anyone asked with, and `interruption` counts calls: the two together would miss the agreed moment.
    """

    def reached_preemption(self, step: int) -> bool:
        return False


def _of_host(like: Any) -> Any:
    """Arrays of the host of such shapes, for Orbax to read into: a CPU need not be among JAX's devices."""
    return jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), like)


def _checksums(folder: Path) -> dict[str, int]:
    """The checksum of every file in a folder and below, by its path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): checksum(path) for path in files}


@dataclasses.dataclass(frozen=True)
class Restored:
    """A checkpoint's content: the state, the step it was taken after, and the seconds spent until then by kind."""

    state: Any
    step: int
    seconds: dict[str, float]


class Checkpoints:
    """The checkpoints of one training, in one folder; use as a context manager.

    Args:
      folder: theirs.
      keep: how many; None is all.
      of: names the training whose state they are, in seals; None for who only reads.
    """

    def __init__(self, folder: Path, keep: int | None, of: str | None = None):
        self._folder, self._of = Path(folder).absolute(), of
        self._pool, self._left = ThreadPoolExecutor(1), threading.Event()
        self._sealing: list[Future[None]] = []
        self._seals = seals_of(self._folder)
        self._most = keep
        if processes.is_first():
            self._open()

    def _open(self) -> None:
        """Makes the folder, and what knows it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._of is not None and not any(self._folder.iterdir()):
            self._seals.mkdir(exist_ok=True)
        self._sealed = self._seals.is_dir()  # not so of trainings that began before there were seals
        options = ocp.CheckpointManagerOptions(
            max_to_keep=None,  # see `_keep`
            cleanup_tmp_directories=True,
            create=False,  # it is there
            multiprocessing_options=ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0}),
        )
        self._manager = _Manager(_Folder(self._folder), options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if processes.is_first():
                self._manager.close()
        finally:
            self._left.set()
            self._pool.shutdown()
        if self._of is not None and processes.is_first():
            self._forget()

    def steps(self) -> list[int]:
        """Steps of which there is a complete checkpoint, ascending."""
        return processes.seen_by_first(self._steps)

    def _steps(self) -> list[int]:
        return complete_steps(self._folder) if self._sealed else sorted(self._manager.all_steps())

    def save(self, step: int, state: Any, seconds: dict[str, float]) -> None:
        """Begins to write a checkpoint; returns before it is on disk.

        Raises:
          RunError: there is no room for it.
        """
        if processes.is_first():
            self._save(step, state, seconds)

    def _save(self, step: int, state: Any, seconds: dict[str, float]) -> None:
        # Looked at beforehand, since on a disk that fills up while they write, Orbax's threads print stack traces.
        free = shutil.disk_usage(self._folder).free
        required = sum(leaf.nbytes for leaf in jax.tree.leaves(state)) + _OVERHEAD
        if free < required:
            raise RunError(
                f"the disk of `run.workdir` is full: {free / 2**20:.1f} MiB are free and a checkpoint needs "
                f"{required / 2**20:.1f}; free some space and run the same command"
            )
        if self._most is not None:
            self._keep(max(self._most - 1, 1))
        # The next training step is given this state's buffers while Orbax is still writing. A copy on the host takes no
        # memory of a device; Orbax writes two files less of it, and waits for no other process.
        state = jax.tree.map(on_host, state)
        args = ocp.args.Composite(state=ocp.args.StandardSave(state))
        self._manager.save(step, args=args, custom_metadata={_SECONDS: seconds})
        self._sealing = [future for future in self._sealing if not future.done() or future.result()]
        self._sealing.append(self._pool.submit(self._seal_when_there, step))

    def wait(self) -> None:
        """Returns when all that was saved is on disk."""
        if processes.is_first():
            self._manager.wait_until_finished()
        for future in self._sealing:
            future.result()
        if processes.is_first() and self._most is not None:
            self._keep(self._most)
        processes.barrier("sealed")

    def _keep(self, most: int) -> None:
        """Deletes all that are older than so many complete ones, each after its seal.

        Orbax would delete them by itself as soon as a newer one is written: perhaps before that is sealed, and with its
        seal still there, whatever is left of it after a kill in the middle.
        """
        for old in self._manager.all_steps() if len(kept := self._steps()[-most:]) == most else ():
            if old < kept[0]:
                self._seal(old).unlink(missing_ok=True)
                self._manager.delete(old)

    def _seal(self, step: int) -> Path:
        return self._seals / f"{step}.json"

    def _seal_when_there(self, step: int) -> None:
        """Seals a checkpoint once Orbax has given it its name, which it does when all of it is written."""
        checkpoint = self._folder / str(step)
        while not checkpoint.is_dir():
            if self._left.wait(_LOOK_SECONDS):
                return
        try:
            seal = {"of": self._of, "step": step, "files": _checksums(checkpoint)}
        except FileNotFoundError:  # Orbax keeps the last few, and this one is no longer among them
            return
        self._seals.mkdir(exist_ok=True)
        write_text(self._seal(step), json.dumps(seal))

    def _forget(self) -> None:
        """Removes the seals of checkpoints that are no more."""
        for old in self._seals.glob("*.json"):
            if not (self._folder / old.stem).is_dir():
                old.unlink(missing_ok=True)

    def _check(self, step: int) -> None:
        """Checks that a checkpoint is as it was sealed.

        Raises:
          ValueError, InputError: it is not.
        """
        seal = read_json(self._seal(step), dict[str, Any], "remove it")
        if self._of is not None and (seal.get("of"), seal.get("step")) != (self._of, step):
            raise ValueError("it is the state of another training or step")
        checksums, sealed = _checksums(self._folder / str(step)), seal.get("files")
        if checksums != sealed:
            changed = sorted(
                name for name in checksums.keys() | sealed.keys() if checksums.get(name) != sealed.get(name)
            )
            raise ValueError(f"{changed[0]} is not as it was written")

    def content(self, step: int) -> Any:
        """What the checkpoint of `step` says of its state: shapes and dtypes."""
        metadata: Any = ocp.StandardCheckpointHandler().metadata(_Folder(self._folder) / str(step) / "state")
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), metadata.tree)

    def delete_after(self, step: int) -> None:
        """Deletes the checkpoints later than `step`, also such as were not sealed."""
        if processes.is_first():
            self._delete_after(step)

    def _delete_after(self, step: int) -> None:
        for later in [s for s in self._manager.all_steps() if s > step]:
            self._seal(later).unlink(missing_ok=True)
            self._manager.delete(later)

    def restore(self, step: int, like: Any = None) -> Restored:
        """Reads the checkpoint of `step`.

        Args:
          like: the state's pytree of `jax.ShapeDtypeStruct`s with shardings; None for nested dictionaries and lists of
            arrays of the host, as the checkpoint itself says.

        Raises:
          InputError: the checkpoint is damaged.
          RunError: it is not, and cannot be read all the same.
        """
        if jax.process_count() == 1:
            return self._restore(step, like)
        found = processes.by_first(lambda: self._restore(step, None if like is None else _of_host(like)))

        def described() -> tuple[Any, dict[str, float]]:
            assert found is not None
            return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), found.state), found.seconds

        shapes, seconds = processes.seen_by_first(described)

        def placed(leaf: jax.ShapeDtypeStruct, array: Any, to: jax.ShapeDtypeStruct) -> Any:
            whole = processes.array_of(0, np.asarray(array) if found is not None else None, leaf.shape, leaf.dtype)
            return whole if like is None else jax.make_array_from_callback(leaf.shape, to.sharding, whole.__getitem__)

        read = shapes if found is None else found.state
        return Restored(jax.tree.map(placed, shapes, read, shapes if like is None else like), step, seconds)

    def _restore(self, step: int, like: Any) -> Restored:
        is_whole = False
        try:
            if self._sealed:
                self._check(step)
                is_whole = True
            like = _of_host(self.content(step)) if like is None else like
            wanted: dict[str, Any] = {"state": ocp.args.StandardRestore(like)}
            if is_old := (self._folder / str(step) / _OLD_SECONDS).is_dir():
                wanted[_OLD_SECONDS] = ocp.args.JsonRestore()
            items = self._manager.restore(step, args=ocp.args.Composite(**wanted))
            seconds = items[_OLD_SECONDS] if is_old else self._manager.metadata(step).custom_metadata[_SECONDS]
            jax.block_until_ready(items["state"])
        except Exception as error:  # Orbax and TensorStore raise whatever the damaged file led them to
            if is_out_of_memory(error):
                raise
            folder, message = self._folder / str(step), f"{type(error).__name__}: {one_line(error)[:120]}"
            if is_whole:
                told = f"checkpoint {folder} cannot be read here, though it is as it was written ({message})"
                raise RunError(told) from error
            raise InputError(
                "checkpoint",
                folder,
                f"is damaged ({message}); remove that folder and run the same command to go on from an earlier one",
            ) from error
        return Restored(items["state"], step, seconds)
