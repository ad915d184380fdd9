"""The formats in which a trained network is taken away, each a folder that is there whole or not at all."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

from distill_jax.errors import InputError
from distill_jax.export.loading import write_arrays, write_config
from distill_jax.export.network import Network
from distill_jax.export.programs import write_onnx, write_stablehlo
from distill_jax.files import whole
from distill_jax.models import huggingface

Format = Literal["safetensors", "stablehlo", "onnx", "huggingface"]


def _write_huggingface(folder: Path, network: Network) -> None:
    if network.folder is None:
        others = ", ".join(name for name in get_args(Format) if name != "huggingface")
        fault = f"is for networks of texts, and this is {network.setting.name}; must be of {others}"
        raise InputError("format", "huggingface", fault)
    if network.tokenizer is None:
        raise InputError("workdir", None, "does not hold its tokenizer; run the study's command again")
    shutil.copytree(network.tokenizer, folder, dirs_exist_ok=True)
    model: Any = network.model  # which `huggingface` has read
    huggingface.save(folder, model, network.variables["params"], network.inputs.names)


def _with_config(write: Callable[[Path, Network], None]) -> Callable[[Path, Network], None]:
    def both(folder: Path, network: Network) -> None:
        write(folder, network)
        write_config(folder, network)

    return both


_WRITERS: dict[Format, Callable[[Path, Network], None]] = {
    "safetensors": write_arrays,
    "stablehlo": _with_config(write_stablehlo),
    "onnx": _with_config(write_onnx),
    "huggingface": _write_huggingface,
}


def write(network: Network, form: Format, to: Path) -> None:
    """Writes a network into a new folder.

    Raises:
      InputError: the network cannot be written so, or an extra is not installed; then there is no folder.
    """
    with whole(to) as folder:
        folder.mkdir()
        _WRITERS[form](folder, network)
