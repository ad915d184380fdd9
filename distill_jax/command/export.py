"""A study's trained network as a folder that others load.

distill-jax export WORKDIR --model kd --seed 0 --to DIR [--format safetensors | stablehlo | onnx | huggingface]
"""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import tyro

from distill_jax.command import command_line
from distill_jax.command.spelling import by_option
from distill_jax.errors import InputError
from distill_jax.setting import READ

PROG = "distill-jax export"
_SPELT = {"workdir": "WORKDIR", "run.workdir": "--workdir", "model": "--model", "seed": "--seed", "format": "--format"}


@dataclasses.dataclass(frozen=True)
class Setting:
    """Writes a trained network so that others can load it (docs/take-it-away.md says how)."""

    workdir: tyro.conf.Positional[Path | None] = dataclasses.field(default=None, metadata=READ)
    """The --workdir of a study, which may be in a bucket."""
    to: Path | None = None
    """Folder to write, which must not be there."""
    model: str = "kd"
    """teacher, one_hot, kd, one_hot_to_kd, kd_to_one_hot, or another student by the name of its dumps."""
    seed: int = 0
    """Its repetition."""
    format: Literal["safetensors", "stablehlo", "onnx", "huggingface"] = "safetensors"
    """safetensors: arrays by name, for distill_jax.load_exported or any reader; stablehlo: a program that JAX runs
    alone; onnx: one that onnxruntime runs; huggingface: what transformers loads, with the tokenizer (of texts)."""


def main(arguments: Sequence[str], default: Setting | None = None, prog: str = PROG) -> None:
    """Runs the command.

    Args:
      default: what is not typed; None is `Setting()`.
      prog: what the command is called.
    """
    setting = command_line.parse(default or Setting(), prog, arguments)
    if setting.workdir is None:
        raise InputError("WORKDIR", None, f"must be given, the --workdir of a study (all options: {prog} --help)")
    if setting.to is None:
        raise InputError("--to", None, "must be given, a folder to write")
    if os.path.lexists(setting.to):  # a link to nothing too
        raise InputError("--to", setting.to, "is there already; must be a new folder")
    command_line.check_writable("--to", setting.to)

    from distill_jax.bucket.at_hand import brought
    from distill_jax.export.formats import write
    from distill_jax.study.trained import trained

    try:
        write(trained(brought("workdir", setting.workdir), setting.model, setting.seed), setting.format, setting.to)
    except InputError as error:
        raise by_option(error, _SPELT) from error
    command_line.console().print(f"{setting.model}, seed {setting.seed}: {setting.to}", soft_wrap=True)
