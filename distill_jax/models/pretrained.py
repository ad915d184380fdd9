"""A setting's RoBERTa, BERT or DistilBERT: from a folder with its weights, or from scratch for a data set's tokens."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flax import linen as nn

from distill_jax import limits
from distill_jax.data.dataset import Vocabulary
from distill_jax.errors import InputError, require
from distill_jax.models import huggingface
from distill_jax.models.roberta import Kind, Roberta, RobertaConfig
from distill_jax.models.transformers_names import NAMES
from distill_jax.paths import local
from distill_jax.setting import TEXT_NETWORKS, ModelSetting, RobertaSetting


def build_roberta(
    network: ModelSetting, num_classes: int, length: int, vocabulary: Vocabulary, dtype: Any, role: str
) -> Roberta:
    """The network of a setting; the kind of a pretrained one is what its folder says.

    Args:
      network: which.
      num_classes: number of logits K.
      length: tokens of a text.
      vocabulary: of the data.
      dtype: of activations and products.
      role: whose network it is, teacher or student, to be named in an error.

    Raises:
      InputError: it cannot be right, or it does not fit the data.
    """
    setting, group = network.roberta, f"{role}.roberta"
    for name in ("dropout", "attention_dropout"):
        value = getattr(setting, name)
        require(0 <= value < 1, f"{group}.{name}", value, "a share in [0, 1)")
    if setting.attention == "cudnn":
        fits = dtype.name == "bfloat16" and length % 2 == 0 and not setting.attention_dropout
        with_it = f"`train.precision` bfloat16, an even `data.length` and `{group}.attention_dropout` 0"
        require(fits, f"{group}.attention", "cudnn", f"xla, or given with {with_it}")
    if setting.pretrained is not None:
        config = _of_folder(setting.pretrained, network.name, vocabulary, role)
    else:
        config = _from_scratch(setting, network.name, vocabulary, group)
    if length > config.longest:
        raise InputError("data.length", length, f"must be at most {config.longest}, the positions that {group} has")
    separator = vocabulary.separator if config.kind == "bert" else None
    dropout_rates = {"dropout": setting.dropout, "head_dropout": setting.dropout}
    dropout_rates["attention_dropout"] = setting.attention_dropout
    config = dataclasses.replace(config, separator=separator, **dropout_rates)
    return Roberta(num_classes, config, dtype, setting.attention, setting.remat)


def _from_scratch(setting: RobertaSetting, name: str, vocabulary: Vocabulary, group: str) -> RobertaConfig:
    require(1 <= setting.layers <= limits.LAYERS, f"{group}.layers", setting.layers, f"in 1 to {limits.LAYERS}")
    units = setting.units
    require(
        1 <= units <= limits.UNITS and (units < 64 or units % 64 == 0),
        f"{group}.units",
        units,
        f"a multiple of 64, or less, up to {limits.UNITS}",
    )
    kind: Kind = next(kind for kind in NAMES if kind == name)
    return RobertaConfig.sized(setting.layers, units, kind, vocabulary=vocabulary.size, pad=vocabulary.pad)


def _of_folder(typed: Path, name: str, vocabulary: Vocabulary, role: str) -> RobertaConfig:
    """The configuration of a pretrained network, which has the data's tokens."""
    field = f"{role}.roberta.pretrained"
    folder = local(field, typed)
    config = huggingface.read_config(folder, field)
    # `roberta` is what presets say, whatever is pretrained; the others somebody has typed.
    if name not in ("roberta", config.kind):
        raise InputError(f"{role}.name", name, f"must be {config.kind}, which `{field}` {folder} has")
    if config.vocabulary < vocabulary.size or config.pad != vocabulary.pad:
        raise InputError(
            field,
            folder,
            f"has {config.vocabulary} tokens with padding {config.pad}, and `data.tokenizer` "
            f"{vocabulary.size} with {vocabulary.pad}; must be the tokenizer it was trained with",
        )
    return config


def read(setting: ModelSetting, model: nn.Module, role: str, names: Sequence[str] | None = None) -> huggingface.Params:
    """The pretrained parameters that a network begins with, host arrays; none where nothing is pretrained.

    Args:
      names: of the data's classes. A head whose folder gives its classes the same ones, in whatever case and order, is
        put into this order; another is as it stands.

    Raises:
      InputError: they cannot be read, or do not fit the network.
    """
    if setting.name not in TEXT_NETWORKS or setting.roberta.pretrained is None:
        return {}
    folder = local(f"{role}.roberta.pretrained", setting.roberta.pretrained)
    params = huggingface.read_params(folder, model.config, model.num_classes, f"{role}.roberta.pretrained")
    theirs = [name.casefold() for name in huggingface.class_names(folder)]
    ours = [name.casefold() for name in names or ()]
    if "head" in params and len(set(theirs)) == len(theirs) and sorted(theirs) == sorted(ours):
        order = [theirs.index(name) for name in ours]
        params["head"] = {name: leaf[..., order] for name, leaf in params["head"].items()}
    return params
