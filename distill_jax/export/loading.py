"""Networks that were taken away as arrays: the folder written, and read again as a function of raw inputs."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np

from distill_jax import saved_setting
from distill_jax.errors import InputError, one_line
from distill_jax.export.inputs import of_file
from distill_jax.export.network import Network, model_of, named, variables_of
from distill_jax.extras import needed
from distill_jax.files import read_json, write_text
from distill_jax.own_code import is_own
from distill_jax.paths import local
from distill_jax.setting import NETWORKS, ModelSetting

ARRAYS, CONFIG, SIZES = "model.safetensors", "config.json", "network"
_AGAIN = "export it again"


def write_config(folder: Path, network: Network) -> None:
    """Writes what a network is, what it is given and where it is from; of one of texts its tokenizer too."""
    fields = dataclasses.asdict(network.setting)
    kept = ("settings",) if is_own(network.setting.name) else NETWORKS[network.setting.name]
    content = {
        "network": {"name": network.setting.name} | {f: fields[f] for f in kept if f != "roberta"},
        "precision": network.precision,
        "inputs": network.inputs.as_json(),
        "origin": dict(network.origin),
    }
    write_text(folder / CONFIG, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    for source, name in ((network.folder, SIZES), (network.tokenizer, "tokenizer")):
        if source is not None:
            shutil.copytree(source, folder / name)


def write_arrays(folder: Path, network: Network) -> None:
    """Writes a network's variables by name, with `load.py`, which reads them without this package."""
    arrays = {name: np.ascontiguousarray(leaf) for name, leaf in named(network.variables).items()}
    needed("safetensors.numpy", "export", "format", "safetensors").save_file(arrays, folder / ARRAYS)
    write_config(folder, network)
    shutil.copyfile(Path(__file__).with_name("standalone.py"), folder / "load.py")


class Loaded:
    """A network that was taken away, as a function of raw inputs.

    Attributes:
      network: module, variables, inputs, origin.
    """

    def __init__(self, network: Network):
        self.network = network
        self._logits = jax.jit(network.logits(jax.default_backend()))

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names, by number."""
        inputs = self.network.inputs
        return inputs.names or tuple(map(str, range(inputs.num_classes)))

    def __call__(self, x: Any) -> np.ndarray:
        """Float32 logits [B, K] of raw inputs [B, ...]: images as the data have them, or tokens.

        Raises:
          InputError: the inputs are of another shape or type.
        """
        return np.asarray(self._logits(self.network.variables, self.network.inputs.checked(x)))


def load_exported(folder: Path | str, own_code: bool = False) -> Loaded:
    """The network of a folder that `distill-jax export --format safetensors` has written.

    Args:
      folder: what --to was.
      own_code: whether the module of a network of one's own, which the folder names as 'module:Class', is imported.

    Raises:
      InputError: there is no such network, a file of it is damaged, or it is of code of one's own.
    """
    folder = local("folder", folder)
    if not (folder / CONFIG).is_file() or not (folder / ARRAYS).is_file():
        raise InputError("folder", folder, f"must have {CONFIG} and {ARRAYS}, as distill-jax export writes them")
    config = read_json(folder / CONFIG, dict[str, Any], _AGAIN)
    setting = saved_setting.group(ModelSetting(), config.get("network"), folder / CONFIG, "network")
    inputs = of_file(config.get("inputs"), folder / CONFIG, _AGAIN)
    precision = config.get("precision")
    if precision not in ("float32", "bfloat16"):
        raise InputError(folder / CONFIG, None, f"is damaged (its precision is {precision!r}); {_AGAIN}")
    if is_own(setting.name) and not own_code:
        raise InputError("network", setting.name, "is code of one's own; must be allowed to be imported: own_code=True")
    safetensors = needed("safetensors.numpy", "export", "folder", folder)
    try:
        arrays = safetensors.load_file(folder / ARRAYS)
    except Exception as error:  # of the library's own type, or the operating system's
        raise InputError(folder / ARRAYS, None, f"is damaged ({one_line(error)[:120]}); {_AGAIN}") from error
    sizes = folder / SIZES
    model = model_of(setting, precision, inputs, sizes if sizes.is_dir() else None, "network", "folder")
    variables = variables_of(model, inputs, arrays, folder / ARRAYS)
    return Loaded(Network(model, variables, setting, precision, inputs, config.get("origin") or {}))
