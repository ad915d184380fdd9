"""A study's dumps for a report, each read from its disk once: accuracies, deviations and figures share them."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from distill_jax.dumps.dump import Dump
from distill_jax.dumps.reading import dump_path, read_dump

_ROOM = 2**30


class DumpReader:
    """Reads dumps, and keeps those that were read last.

    >>> import tempfile
    >>> from distill_jax.dumps import save_dump
    >>> folder = Path(save_dump(tempfile.mkdtemp(), teacher_of_seed_0)).parents[4]
    >>> read = DumpReader(folder)
    >>> read("mine", 0, 0, "test") is read("mine", 0, 0, "test")
    True
    """

    def __init__(self, workdir: Path, room: int = _ROOM):
        """Makes a reader.

        Args:
          workdir: folder of the study.
          room: bytes of dumps that are kept.
        """
        self.workdir, self._room = workdir, room
        self._kept: OrderedDict[tuple[str, int, int, str], Dump] = OrderedDict()

    def __call__(self, model: str, seed: int, step: int, split: str) -> Dump:
        """One dump.

        Raises:
          InputError: it is missing or damaged.
        """
        key = model, seed, step, split
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        self._kept[key] = dump = read_dump(dump_path(self.workdir, *key))
        self._room -= _size(dump)
        while self._room < 0 and self._kept:
            self._room += _size(self._kept.popitem(last=False)[1])
        return dump

    def at(self, step: int, split: str) -> Callable[[str, int], Dump]:
        """The dumps of one step and split, by model and seed."""
        return lambda model, seed: self(model, seed, step, split)


def _size(dump: Dump) -> int:
    return sum(array.nbytes for array in (dump.logits, dump.label, dump.true_label, dump.id))
