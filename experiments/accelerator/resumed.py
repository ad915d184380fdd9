"""Is a run that was killed and resumed equal, to the bit, to one that was not?"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from distill_jax.dumps import find_dumps, read_dump
from experiments.accelerator import child, texts

_COMMON = ("--seeds", "1", "--snapshots", "0.5", "--checkpoint-seconds", "0", "--label-noise", "0")
_CONVOLUTIONAL = (
    *("--teacher.name", "resnet-cifar", "--teacher.depth", "8", "--student.name", "resnet-cifar"),
    *("--student.depth", "8", "--augment", "crop-flip", "--precision", "bfloat16"),
)
_ROBERTA = tuple(
    word
    for role in ("teacher", "student")
    for word in (f"--{role}.name", "roberta", f"--{role}.roberta.layers", "1", f"--{role}.roberta.units", "64")
)
STUDIES = {
    "mlp": ("digits", "--epochs", "20"),
    # Its gradients of embeddings are sums in whatever order, unless a GPU is told otherwise, see `machine.gpu_flags`.
    "roberta": (
        *(*_ROBERTA, "--length", "32", "--length-buckets", "1", "--optimizer", "adam", "--learning-rate", "0.001"),
        *("--epochs", "4"),
    ),
    "resnet": ("digits", *_CONVOLUTIONAL, "--epochs", "6", "--steps-per-dispatch", "5"),
}
REHEARSED = {"mlp": ("digits", "--epochs", "4")}


def killed_and_resumed(arguments: tuple[str, ...], until: float) -> dict[str, Any]:
    """Trains a study of a small data set twice, once with a kill on the way.

    Args:
      arguments: of `distill_jax`; without a data set's name for the texts of `texts`.
      until: the monotonic time at which to stop.

    Returns:
      JSON values; 'passed' is None where time has run out.
    """
    with tempfile.TemporaryDirectory() as folder:
        uninterrupted, interrupted = Path(folder) / "whole", Path(folder) / "killed"
        data = () if "digits" in arguments else _texts(Path(folder))

        def study(workdir: Path) -> list[str]:
            # One cache of programs for both: a GPU's are chosen by timing, and may differ from one time to the next.
            return [*arguments, *_COMMON, *data, "--cache-dir", folder, "--workdir", str(workdir)]

        def has_students() -> bool:
            begun = interrupted.glob("runs/*/checkpoints/[0-9]*")
            return any(not path.parts[-3].startswith("teacher") for path in begun)

        if (status := child.run("distill_jax", study(uninterrupted), until, quiet=True)) != 0:
            return _failed(status)
        if not child.killed("distill_jax", study(interrupted), until, has_students):
            return {
                "passed": None,
                "why": "the study, or the time for it, ended before it could be killed",
                "again": True,
            }
        if (status := child.run("distill_jax", study(interrupted), until, quiet=True)) != 0:
            return _failed(status)
        expected = find_dumps(uninterrupted)
        different = {
            "/".join(map(str, key)): float(np.max(np.abs(a.logits - b.logits)))
            for key, path in expected.items()
            if (key not in find_dumps(interrupted))
            or not np.array_equal((a := read_dump(path)).logits, (b := read_dump(find_dumps(interrupted)[key])).logits)
        }
        return {"passed": not different and bool(expected), "dumps": len(expected), "different": different}


def _texts(folder: Path) -> tuple[str, ...]:
    data, tokenizer = texts.write(folder)
    return "--dataset", str(data), "--tokenizer", str(tokenizer), "--augment", "none"


def _failed(status: int | None) -> dict[str, Any]:
    if status is None:
        return {"passed": None, "why": "the time for it has run out", "again": True}
    return {"passed": False, "why": f"a study ended with status {status}"}
