"""The weights in a Hugging Face folder, `model.safetensors` or its shards, read tensor by tensor without PyTorch."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from distill_jax.errors import InputError, one_line
from distill_jax.extras import needed

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_FLOATS = ("F16", "BF16", "F32", "F64")
_LFS = b"version https://git-lfs"
# What makes one file of safetensors of PyTorch's, in its own folder; tied weights are two names of one tensor there.
_CONVERT = (
    'python -c "import torch, safetensors.torch as s; '
    "t = torch.load('pytorch_model.bin', 'cpu', weights_only=True); "
    "s.save_file({k: v.clone() for k, v in t.items()}, 'model.safetensors', {'format': 'pt'})\""
)


class Tensors:
    """A folder's tensors by name, as `open_tensors` gives them."""

    def __init__(self, files: Mapping[str, Any], label: str):
        self._files, self.label = files, label
        self.names = frozenset(files)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor."""
        return tuple(self._files[name].get_slice(name).get_shape())

    def dtype(self, name: str) -> str:
        """What a tensor's numbers are, as safetensors says it: F32, BF16, ..."""
        return self._files[name].get_slice(name).get_dtype()

    def is_float(self, name: str) -> bool:
        """Whether a tensor's numbers are those of a network's weights, and not quantised ones."""
        return self.dtype(name) in _FLOATS

    def tensor(self, name: str) -> np.ndarray:
        """A tensor in float32."""
        return np.asarray(self._files[name].get_tensor(name), np.float32)


@contextlib.contextmanager
def open_tensors(folder: Path, field: str) -> Iterator[Tensors]:
    """The tensors of a folder's weights, while the context lasts.

    Args:
      folder: of a model.
      field: of a setting that named it, for a message.

    Raises:
      InputError: the weights are absent, of another kind, or damaged, or a shard is absent.
    """
    safetensors = needed("safetensors", "text", field, folder)
    shards = _shards(folder, field)
    with contextlib.ExitStack() as stack:
        files: dict[str, Any] = {}
        for path, names in shards.items():
            try:
                file = stack.enter_context(safetensors.safe_open(path, framework="numpy"))
                files |= dict.fromkeys(file.keys() if names is None else names & set(file.keys()), file)
            except (OSError, safetensors.SafetensorError) as error:
                raise InputError(field, folder, _damage(path, error)) from error
        try:
            yield Tensors(files, INDEX if len(shards) > 1 else WEIGHTS)
        except safetensors.SafetensorError as error:
            raise InputError(field, folder, f"its weights cannot be read ({one_line(error)})") from error


def _shards(folder: Path, field: str) -> dict[Path, set[str] | None]:
    """The files of the weights, each with the names that it has by the index; None where it is the one file."""
    if (folder / WEIGHTS).is_file():
        return {folder / WEIGHTS: None}
    if not (folder / INDEX).is_file():
        raise InputError(field, folder, _instead(folder))
    try:
        weight_map = json.loads((folder / INDEX).read_text())["weight_map"]
        shards: dict[Path, set[str] | None] = {}
        for shard in sorted(set(weight_map.values())):
            if Path(shard).name != shard:
                raise ValueError(f"names the shard {shard!r}, which is no file's name")
            shards[folder / shard] = {name for name, of in weight_map.items() if of == shard}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(field, folder, f"{INDEX} cannot be read ({one_line(error)}); fetch it again") from error
    absent = [path.name for path in shards if not path.is_file()]
    if absent or not shards:
        raise InputError(
            field,
            folder,
            f"{INDEX} names {' and '.join(absent[:3]) or 'no shard'}{' and more' * (len(absent) > 3)}, "
            "not there; must have all shards",
        )
    return shards


def _instead(folder: Path) -> str:
    """What is wrong with a folder that has no weights as they are read here."""
    others = [
        f.name for pattern in ("*.bin", "*.index.json", "*.h5", "*.msgpack") for f in sorted(folder.glob(pattern))
    ]
    if (folder / "pytorch_model.bin").is_file():
        return f"must have {WEIGHTS}, and has none but pytorch_model.bin; to convert it, in that folder: {_CONVERT}"
    instead = f" but {others[0]}; save it again, as {WEIGHTS}" if others else ""
    return f"must have {WEIGHTS}, and has none{instead}"


def _damage(path: Path, error: Exception) -> str:
    """What is wrong with a file that cannot be opened."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        if file.read(len(_LFS)) == _LFS:
            return f"{path.name} is a pointer of Git LFS and no weights; must be fetched with git lfs pull"
    return f"{path.name} cannot be read ({one_line(error)}); fetch it again"
