"""Hugging Face's folders of RoBERTa: `config.json` and `model.safetensors`, read and written without PyTorch.

Reading gives our parameters: all of a classifier; of a masked language model the encoder, and a head is drawn.
transformers' RobertaForSequenceClassification.from_pretrained loads the folders that are written here.
"""

import dataclasses
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from distill_jax import limits
from distill_jax.errors import InputError, one_line
from distill_jax.extras import needed
from distill_jax.files import partial, write_text
from distill_jax.models.roberta import Roberta, RobertaConfig

_WORDS = "embeddings.word_embeddings.weight"
_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
# Of each field of ours: transformers' name for it, and its value where config.json does not say.
FIELDS = {
    "layers": ("num_hidden_layers", 12),
    "units": ("hidden_size", 768),
    "heads": ("num_attention_heads", 12),
    "inner": ("intermediate_size", 3072),
    "vocabulary": ("vocab_size", 50265),
    "positions": ("max_position_embeddings", 512),
    "types": ("type_vocab_size", 2),
    "pad": ("pad_token_id", 1),
    "epsilon": ("layer_norm_eps", 1e-12),
    "dropout": ("hidden_dropout_prob", 0.1),
    "attention_dropout": ("attention_probs_dropout_prob", 0.1),
    "head_dropout": ("classifier_dropout", None),
    "initial_std": ("initializer_range", 0.02),
}
_MOST = {"layers": limits.LAYERS, "vocabulary": limits.WORDS, "pad": limits.WORDS}
_ONLY = {"model_type": "roberta", "hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False}
_MODULES = {
    "word": "roberta.embeddings.word_embeddings",
    "position": "roberta.embeddings.position_embeddings",
    "token_type": "roberta.embeddings.token_type_embeddings",
    "norm": "roberta.embeddings.LayerNorm",
    "head_dense": "classifier.dense",
    "head": "classifier.out_proj",
}
_MODULES_OF_A_LAYER = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "norm": "output.LayerNorm",
}

Params = dict[str, Any]


def tensor_name(path: tuple[str, ...]) -> str:
    """transformers' name for one of our parameters, of which a `kernel` is there transposed."""
    *modules, leaf = path
    kind = "bias" if leaf == "bias" else "weight"
    layer = re.fullmatch(r"layer_(\d+)", modules[0])
    if layer:
        return f"roberta.encoder.layer.{layer[1]}.{_MODULES_OF_A_LAYER[modules[1]]}.{kind}"
    return f"{_MODULES[modules[0]]}.{kind}"


def fields(config: RobertaConfig) -> dict[str, Any]:
    """The arguments of transformers' `RobertaConfig` for the same network, but for its labels."""
    return {theirs: getattr(config, ours) for ours, (theirs, _) in FIELDS.items()}


def read_config(folder: Path, field: str = "folder") -> RobertaConfig:
    """The sizes and all else of a folder's config.json, and transformers' defaults where it does not say.

    Args:
      folder: of a model.
      field: of a setting that named it, for the message.

    Raises:
      InputError: there is no such file, or it is of another architecture, or it cannot be right.
    """
    content = _read_json(folder, field)

    def refuse(name: str, value: Any, requirement: str) -> InputError:
        return InputError(field, folder, f"{_CONFIG} has the {name} {value!r}; must be {requirement}")

    for name, required in _ONLY.items():
        if content.get(name, required if name != "model_type" else None) != required:
            raise refuse(name, content.get(name), f"{required!r}, the only one there is here")
    values = {ours: content.get(theirs, default) for ours, (theirs, default) in FIELDS.items()}
    if values["head_dropout"] is None:
        values["head_dropout"] = values["dropout"]
    for config_field in dataclasses.fields(RobertaConfig):
        value, name = values[config_field.name], FIELDS[config_field.name][0]
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if config_field.type is int:
            least, most = 0 if config_field.name == "pad" else 1, _MOST.get(config_field.name, limits.UNITS)
            if not isinstance(value, int) or not number or not least <= value <= most:
                raise refuse(name, value, f"an integer in {least} to {most}")
        elif not number or not 0 <= value < (1 if "dropout" in config_field.name else float("inf")):
            raise refuse(name, value, "a share in [0, 1)" if "dropout" in config_field.name else "0 or more")
    config = RobertaConfig(**values)
    if config.units % config.heads:
        raise refuse("num_attention_heads", config.heads, f"a divisor of the hidden_size {config.units}")
    if config.longest < 1:
        raise refuse("max_position_embeddings", config.positions, f"above {config.pad + 1}, the padding's positions")
    return config


def read_model(folder: Path, field: str = "folder") -> Roberta:
    """The network whose config.json is in a folder, with as many classes as that has labels.

    Raises:
      InputError: as `read_config`.
    """
    config = read_config(folder, field)
    return Roberta(len(_read_json(folder, field).get("id2label", (0, 1))), config)


def read_params(folder: Path, config: RobertaConfig, num_classes: int, field: str = "folder") -> Params:
    """A folder's parameters, float32 host arrays; without 'head_dense' and 'head' where it has no classifier.

    Other tensors, such as a masked language model's `lm_head`, are not read.

    Args:
      folder: of a model.
      config: as `read_config` has it.
      num_classes: labels of the head K.
      field: of a setting that named the folder, for the message.

    Raises:
      InputError: the weights are absent or damaged, or a tensor is absent or of another shape.
    """
    path, safetensors = folder / _WEIGHTS, needed("safetensors", "text", field, folder)
    if not path.is_file():
        other = next((f.name for f in sorted(folder.glob("*.bin")) + sorted(folder.glob("*.index.json"))), None)
        instead = f" but {other}; save it again, as one file of safetensors" if other else ""
        raise InputError(field, folder, f"must have {_WEIGHTS}, and has none{instead}")
    tokens = jnp.zeros((1, 1), jnp.int32)
    model = Roberta(num_classes, config)
    shapes = jax.eval_shape(lambda key: model.init(key, tokens, train=False), jax.random.key(0))
    expected = flatten_dict(shapes["params"])
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            names = set(file.keys())
            if not any(name.startswith("classifier.") for name in names):
                expected = {p: leaf for p, leaf in expected.items() if not p[0].startswith("head")}
            saved_prefix = next((name.removesuffix(_WORDS) for name in sorted(names) if name.endswith(_WORDS)), "")
            if saved_prefix not in ("", "roberta."):
                raise InputError(
                    field,
                    folder,
                    f"the names in {_WEIGHTS} begin with {saved_prefix!r}, as those of a wrapper or other networks; "
                    "save the RoBERTa that is within",
                )
            # The encoder alone is saved without the prefix.
            prefix = "" if any(name.startswith("roberta.") for name in names) else "roberta."
            params = {}
            leaf: Any
            for parameter_path, leaf in expected.items():
                name = tensor_name(parameter_path).removeprefix(prefix)
                saved_shape = tuple(file.get_slice(name).get_shape()) if name in names else None
                if fault := _tensor_fault(parameter_path, name, saved_shape, leaf.shape, num_classes):
                    raise InputError(field, folder, fault)
                tensor = np.asarray(file.get_tensor(name), np.float32)
                params[parameter_path] = tensor.T if parameter_path[-1] == "kernel" else tensor
    except (OSError, safetensors.SafetensorError) as error:
        message = one_line(error)
        raise InputError(field, folder, f"{_WEIGHTS} cannot be read ({message}); fetch it again") from error
    return unflatten_dict(params)


def _tensor_fault(
    parameter_path: tuple[str, ...],
    name: str,
    saved_shape: tuple[int, ...] | None,
    expected_shape: tuple[int, ...],
    num_classes: int,
) -> str | None:
    """What is wrong with a tensor of a file, which has the shape of a parameter, of kernels transposed; else None."""
    if saved_shape is None:
        return f"{_WEIGHTS} must have the tensor {name}, and has not"
    if parameter_path[0] == "head" and saved_shape[0] != num_classes:
        return f"its head has {saved_shape[0]} labels and the data {num_classes}; must have as many, or no head"
    shape = expected_shape[::-1] if parameter_path[-1] == "kernel" else expected_shape
    if saved_shape != shape:
        return f"{_WEIGHTS} has {name} of shape {saved_shape}; must be {shape}, as {_CONFIG} says"
    return None


def load(folder: Path, num_classes: int, seed: int = 0, field: str = "folder") -> tuple[Roberta, dict[str, Params]]:
    """A folder's network and its variables; a head that it has not is drawn by `seed`.

    Raises:
      InputError: as `read_config` and `read_params`.
    """
    config = read_config(folder, field)
    model = Roberta(num_classes, config)
    params = read_params(folder, config, num_classes, field)
    if "head" not in params:
        tokens = jnp.zeros((1, 1), jnp.int32)

        def draw(key: jax.Array) -> Params:
            all_params = model.init(key, tokens, train=False)["params"]
            return {name: all_params[name] for name in ("head_dense", "head")}  # so that nothing else is computed

        params |= jax.tree.map(np.asarray, jax.jit(draw)(jax.random.key(seed)))
    return model, {"params": params}


def save(folder: Path, model: Roberta, params: Params, names: Sequence[str] | None = None) -> None:
    """Writes a network as transformers does, into a folder that is made where there is none.

    Args:
      folder: where to.
      model: the network.
      params: its parameters, of host or device.
      names: of its classes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for path, leaf in flatten_dict(params).items():
        tensor = np.asarray(leaf, np.float32)
        tensors[tensor_name(path)] = np.ascontiguousarray(tensor.T if path[-1] == "kernel" else tensor)
    partial_path = partial(folder / _WEIGHTS)
    writer = needed("safetensors.numpy", "text", str(folder / _WEIGHTS))
    writer.save_file(tensors, partial_path, metadata={"format": "pt"})  # without which transformers refuses it
    os.replace(partial_path, folder / _WEIGHTS)
    write_config(folder, model, names)


def write_config(folder: Path, model: Roberta, names: Sequence[str] | None = None) -> None:
    """Writes a network's config.json, all but its parameters, into a folder that is made where there is none."""
    names = [f"LABEL_{k}" for k in range(model.num_classes)] if names is None else names
    labels = {str(k): name for k, name in enumerate(names)}
    content = {"architectures": ["RobertaForSequenceClassification"]} | _ONLY
    content |= fields(model.config)
    content |= {"id2label": labels, "label2id": {name: int(k) for k, name in labels.items()}, "dtype": "float32"}
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / _CONFIG, json.dumps(content, indent=2) + "\n")


def _read_json(folder: Path, field: str) -> dict[str, Any]:
    expected = f"a folder with {_CONFIG} and {_WEIGHTS}, as transformers saves a model"
    if not folder.is_dir():
        state = "is no folder" if folder.exists() else "is not there"
        raise InputError(field, folder, f"{state}; must be {expected}")
    if not (folder / _CONFIG).is_file():
        raise InputError(field, folder, f"has no {_CONFIG}; must be {expected}")
    try:
        content = json.loads((folder / _CONFIG).read_text())
    except (OSError, ValueError, RecursionError) as error:
        message = one_line(error)
        raise InputError(field, folder, f"{_CONFIG} cannot be read ({message}); must be {expected}") from error
    if not isinstance(content, dict):
        raise InputError(field, folder, f"{_CONFIG} is no JSON object; must be {expected}")
    return content
