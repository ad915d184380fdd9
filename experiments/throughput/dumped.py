"""The data of a dump row, and its peer: `np.save` of the same arrays on the same disk.

A dump is on the disk when its writing ends, an array that `np.save` wrote may be in the operating system's memory for
a while. So there are two peers, without and with a wait for the disk.
"""

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np

from experiments.throughput.grid import NETWORKS, Row
from experiments.throughput.rounds import Contender


@dataclasses.dataclass(frozen=True)
class Dumped:
    """The data that a dump row writes: for each member logits [N, K], and the split's columns."""

    logits: np.ndarray
    label: np.ndarray
    id: np.ndarray

    @classmethod
    def of(cls, row: Row) -> "Dumped":
        """Logits like a network's, standard normal: zstd does not make them smaller by much."""
        rng = np.random.default_rng(0)
        shape = (row.population, row.batch, NETWORKS[row.network].classes)
        label = rng.integers(0, shape[-1], row.batch, np.int32)
        return cls(rng.standard_normal(shape, np.float32), label, np.arange(row.batch, dtype=np.int64))

    @property
    def bytes(self) -> int:
        """Of all that is written, uncompressed; the label is written twice, as itself and as the true one."""
        return self.logits.nbytes + len(self.logits) * (2 * self.label.nbytes + self.id.nbytes)


def np_save(row: Row, folder: Path) -> list[Contender]:
    """The peers: a folder for each member with a file for each array."""
    dumped = Dumped.of(row)
    columns = {"label": dumped.label, "true_label": dumped.label, "id": dumped.id}

    def contender(name: str, synced: bool) -> Contender:
        root = folder / name

        def run(calls: int) -> None:
            for call in range(calls):
                for member, logits in enumerate(dumped.logits):
                    member_folder = root / str(call) / str(member)
                    member_folder.mkdir(parents=True)
                    for array_name, array in ({"logits": logits} | columns).items():
                        with (member_folder / f"{array_name}.npy").open("wb") as file:
                            np.save(file, array)
                            if synced:
                                file.flush()
                                os.fsync(file.fileno())

        def before() -> None:
            shutil.rmtree(root, ignore_errors=True)

        return Contender(name, run, row.batch * row.population, before=before)

    return [contender("np.save", False), contender("np.save and fsync", True)]
