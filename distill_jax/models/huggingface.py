"""Hugging Face's folders of RoBERTa, BERT and DistilBERT, `config.json` and safetensors: read and written.

No PyTorch is needed. Reading gives our parameters: all of a classifier; of a masked language model the encoder, and a
head is drawn. transformers' classes for classification load the folders that are written here.
"""

import dataclasses
import json
import os
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
from distill_jax.files import partial, read_json, write_text
from distill_jax.models.roberta import Kind, Roberta, RobertaConfig
from distill_jax.models.safetensors_files import WEIGHTS, Tensors, open_tensors
from distill_jax.models.transformers_names import NAMES, Names

_WORDS = "embeddings.word_embeddings.weight"
_CONFIG, _TOKENIZER = "config.json", "tokenizer_config.json"
_MOST = {"layers": limits.LAYERS, "vocabulary": limits.WORDS, "pad": limits.WORDS, "separator": limits.WORDS}
_FROM_ZERO = ("pad", "separator")
# Activations by transformers' names, of which some are the same function.
_ACTIVATIONS = {"gelu": "gelu", "gelu_python": "gelu", "gelu_new": "gelu_new", "gelu_pytorch_tanh": "gelu_new"}
_ACTIVATIONS |= {"relu": "relu"}
_HEAD = ("head_dense", "head")

Params = dict[str, Any]


def tensor_name(path: tuple[str, ...], kind: Kind = "roberta") -> str:
    """transformers' name for one of our parameters, of which a `kernel` is there transposed."""
    return NAMES[kind].tensor(path)


def fields(config: RobertaConfig) -> dict[str, Any]:
    """The arguments of transformers' configuration for the same network, but for its labels."""
    named = ((ours, theirs) for ours, (theirs, _) in NAMES[config.kind].fields.items())
    return {theirs: getattr(config, ours) for ours, theirs in named if getattr(config, ours) is not None}


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

    kind = content.get("model_type")
    if not isinstance(kind, str) or kind not in NAMES:
        raise refuse("model_type", kind, f"{', '.join(NAMES)}, the ones there are here")
    names = NAMES[kind]
    for name, required in names.only.items():
        if content.get(name, required) != required:
            raise refuse(name, content[name], f"{required!r}, the only one there is here")
    values = {ours: content.get(theirs, default) for ours, (theirs, default) in names.fields.items()}
    if values["head_dropout"] is None:
        values["head_dropout"] = values["dropout"]
    for config_field in dataclasses.fields(RobertaConfig):
        if config_field.name in values and (fault := _value_fault(config_field, values[config_field.name])):
            raise refuse(names.fields[config_field.name][0], values[config_field.name], fault)
    values["activation"] = _ACTIVATIONS[values["activation"]]
    # What a kind's config.json does not say is the same for all of it.
    usual = RobertaConfig.sized(values.pop("layers"), values.pop("units"), kind=kind)
    config = dataclasses.replace(usual, **values)
    if config.units % config.heads:
        raise refuse(
            names.fields["heads"][0], config.heads, f"a divisor of the {names.fields['units'][0]} {config.units}"
        )
    if config.longest < 1:
        raise refuse("max_position_embeddings", config.positions, f"above {config.pad + 1}, the padding's positions")
    return config


def _value_fault(config_field: dataclasses.Field[Any], value: Any) -> str | None:
    """What a value of a config.json must be and is not; None where it is."""
    name = config_field.name
    if name == "activation":
        known = isinstance(value, str) and value in _ACTIVATIONS
        return None if known else f"{', '.join(_ACTIVATIONS)}, the ones there are here"
    if name == "separator" and value is None:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if config_field.type is int or name == "separator":
        least, most = 0 if name in _FROM_ZERO else 1, _MOST.get(name, limits.UNITS)
        fits = is_number and isinstance(value, int) and least <= value <= most
        return None if fits else f"an integer in {least} to {most}"
    is_share = "dropout" in name
    fits = is_number and 0 <= value < (1 if is_share else float("inf"))
    return None if fits else "a share in [0, 1)" if is_share else "0 or more"


def read_model(folder: Path, field: str = "folder") -> Roberta:
    """The network whose config.json is in a folder, with as many classes as that has labels.

    Raises:
      InputError: as `read_config`.
    """
    config = read_config(folder, field)
    return Roberta(len(_read_json(folder, field).get("id2label", (0, 1))), config)


def class_names(folder: Path, field: str = "folder") -> list[str]:
    """What a folder's config.json calls its classes, by number; none where it does not say so of each.

    Raises:
      InputError: as `read_config`.
    """
    said = _read_json(folder, field).get("id2label")
    if not isinstance(said, dict) or said.keys() != {str(k) for k in range(len(said))}:
        return []
    return [str(said[str(k)]) for k in range(len(said))]


def read_params(folder: Path, config: RobertaConfig, num_classes: int, field: str = "folder") -> Params:
    """A folder's parameters, float32 host arrays; without 'head' where it has no classifier.

    Without a classifier 'head_dense' too is there alone where it is the encoder's, as BERT's pooler is, and saved.
    Other tensors, such as a masked language model's `lm_head`, are not read.

    Args:
      folder: of a model.
      config: as `read_config` has it.
      num_classes: labels of the head K.
      field: of a setting that named the folder, for the message.

    Raises:
      InputError: the weights are absent or damaged, or a tensor is absent or of another shape.
    """
    with open_tensors(folder, field) as tensors:
        names, tokens = NAMES[config.kind], jnp.zeros((1, 1), jnp.int32)
        model = Roberta(num_classes, config)
        shapes = jax.eval_shape(lambda key: model.init(key, tokens, train=False), jax.random.key(0))
        prefix = _absent_prefix(names, tensors, folder, field)
        absent = _absent_head(names, tensors, prefix)
        params = {}
        leaf: Any
        for path, leaf in flatten_dict(shapes["params"]).items():
            if path[0] in absent:
                continue
            name = _as_saved(names.tensor(path).removeprefix(prefix), tensors)
            if fault := _tensor_fault(path, name, tensors, leaf.shape, num_classes):
                raise InputError(field, folder, fault)
            tensor = tensors.tensor(name)
            params[path] = tensor.T if path[-1] == "kernel" else tensor
    return unflatten_dict(params)


def _absent_prefix(names: Names, tensors: Tensors, folder: Path, field: str) -> str:
    """The beginning of our names for tensors that theirs have not: that of the kind where an encoder is saved alone.

    Raises:
      InputError: they have another beginning.
    """
    saved_prefix = next((name.removesuffix(_WORDS) for name in sorted(tensors.names) if name.endswith(_WORDS)), "")
    if saved_prefix not in ("", names.prefix):
        raise InputError(
            field,
            folder,
            f"the names in {tensors.label} begin with {saved_prefix!r}, as those of a wrapper or other networks; "
            f"save the {names.called} that is within",
        )
    return "" if any(name.startswith(names.prefix) for name in tensors.names) else names.prefix


def _absent_head(names: Names, tensors: Tensors, prefix: str) -> tuple[str, ...]:
    """The modules of the head that are to be drawn: none if any of a classifier's own is there."""

    def has(module: str) -> bool:
        beginning = names.tensor((module, "bias")).removesuffix("bias").removeprefix(prefix)
        return any(name.startswith(beginning) for name in tensors.names)

    if any(has(module) for module in names.head):
        return ()
    return tuple(module for module in _HEAD if not has(module))


def _as_saved(name: str, tensors: Tensors) -> str:
    """A tensor's name as a folder has it: BERT's first ones call scale and shift of a normalisation gamma and beta."""
    old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    return old if name not in tensors.names and old in tensors.names else name


def _tensor_fault(
    path: tuple[str, ...], name: str, tensors: Tensors, expected_shape: tuple[int, ...], num_classes: int
) -> str | None:
    """What is wrong with a tensor of a file, which has the shape of a parameter, of kernels transposed; else None."""
    if name not in tensors.names:
        return f"{tensors.label} must have the tensor {name}, and has not"
    saved_shape = tensors.shape(name)
    if path[0] == "head" and saved_shape and saved_shape[0] != num_classes:
        return f"its head has {saved_shape[0]} labels and the data {num_classes}; must have as many, or no head"
    shape = expected_shape[::-1] if path[-1] == "kernel" else expected_shape
    if saved_shape != shape:
        return f"{tensors.label} has {name} of shape {saved_shape}; must be {shape}, as {_CONFIG} says"
    if not tensors.is_float(name):
        return f"{tensors.label} has {name} as {tensors.dtype(name)}; must be floating-point numbers of 16 bits or more"
    return None


def load(folder: Path, num_classes: int, seed: int = 0, field: str = "folder") -> tuple[Roberta, dict[str, Params]]:
    """A folder's network and its variables; a head that it has not is drawn by `seed`.

    Raises:
      InputError: as `read_config` and `read_params`.
    """
    config = read_config(folder, field)
    model = Roberta(num_classes, config)
    params = read_params(folder, config, num_classes, field)
    absent = [name for name in _HEAD if name not in params]
    if absent:
        tokens = jnp.zeros((1, 1), jnp.int32)

        def draw(key: jax.Array) -> Params:
            all_params = model.init(key, tokens, train=False)["params"]
            return {name: all_params[name] for name in absent}  # so that nothing else is computed

        params |= jax.tree.map(np.asarray, jax.jit(draw)(jax.random.key(seed)))
    return model, {"params": params}


def save(folder: Path, model: Roberta, params: Params, names: Sequence[str] | None = None) -> None:
    """Writes a network as transformers does, into a folder that is made where there is none.

    A tokenizer that lies there is told what this network is given, of which transformers asks the tokenizer alone.

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
        tensors[tensor_name(path, model.config.kind)] = np.ascontiguousarray(
            tensor.T if path[-1] == "kernel" else tensor
        )
    partial_path = partial(folder / WEIGHTS)
    writer = needed("safetensors.numpy", "text", str(folder / WEIGHTS))
    writer.save_file(tensors, partial_path, metadata={"format": "pt"})  # without which transformers refuses it
    os.replace(partial_path, folder / WEIGHTS)
    write_config(folder, model, names)
    if (folder / _TOKENIZER).is_file():
        _name_inputs(folder / _TOKENIZER, model.config)


def write_config(folder: Path, model: Roberta, names: Sequence[str] | None = None) -> None:
    """Writes a network's config.json, all but its parameters, into a folder that is made where there is none."""
    names = [f"LABEL_{k}" for k in range(model.num_classes)] if names is None else names
    labels = {str(k): name for k, name in enumerate(names)}
    kind, of_kind = model.config.kind, NAMES[model.config.kind]
    content: dict[str, Any] = {"architectures": [of_kind.architecture], "model_type": kind} | dict(of_kind.only)
    content |= fields(model.config)
    content |= {"id2label": labels, "label2id": {name: int(k) for k, name in labels.items()}, "dtype": "float32"}
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / _CONFIG, json.dumps(content, indent=2) + "\n")


def _name_inputs(path: Path, config: RobertaConfig) -> None:
    """Says in a tokenizer's settings what a network is given of it: types of tokens where it has been given types."""
    inputs = ["input_ids", "attention_mask"]
    if config.kind == "bert" and config.separator is not None:
        inputs.insert(1, "token_type_ids")
    content = read_json(path, dict[str, Any], "must be as transformers saves it") | {"model_input_names": inputs}
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _read_json(folder: Path, field: str) -> dict[str, Any]:
    expected = f"a folder with {_CONFIG} and {WEIGHTS}, as transformers saves a model"
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
