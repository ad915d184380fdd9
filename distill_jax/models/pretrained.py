"""A setting's RoBERTa: from a Hugging Face folder with its weights, or from scratch for a data set's tokens."""

import dataclasses
from typing import Any

from flax import linen as nn

from distill_jax import limits
from distill_jax.data.dataset import Vocabulary
from distill_jax.errors import InputError, require
from distill_jax.models import huggingface
from distill_jax.models.roberta import Roberta, RobertaConfig
from distill_jax.paths import local
from distill_jax.setting import ModelSetting, RobertaSetting


def build_roberta(
    setting: RobertaSetting, num_classes: int, length: int, vocabulary: Vocabulary, dtype: Any, group: str
) -> Roberta:
    """The network of a setting.

    Args:
      setting: which.
      num_classes: number of logits K.
      length: tokens of a text.
      vocabulary: of the data.
      dtype: of activations and products.
      group: of a setting that this one is, to be named in an error.

    Raises:
      InputError: it cannot be right, or it does not fit the data.
    """
    for name in ("dropout", "attention_dropout"):
        value = getattr(setting, name)
        require(0 <= value < 1, f"{group}.{name}", value, "a share in [0, 1)")
    if setting.attention == "cudnn":
        fits = dtype.name == "bfloat16" and length % 2 == 0 and not setting.attention_dropout
        with_it = f"`train.precision` bfloat16, an even `data.length` and `{group}.attention_dropout` 0"
        require(fits, f"{group}.attention", "cudnn", f"xla, or given with {with_it}")
    if setting.pretrained is None:
        require(1 <= setting.layers <= limits.LAYERS, f"{group}.layers", setting.layers, f"in 1 to {limits.LAYERS}")
        units = setting.units
        require(
            1 <= units <= limits.UNITS and (units < 64 or units % 64 == 0),
            f"{group}.units",
            units,
            f"a multiple of 64, or less, up to {limits.UNITS}",
        )
        config = RobertaConfig.sized(setting.layers, units, vocabulary=vocabulary.size, pad=vocabulary.pad)
    else:
        folder = local(f"{group}.pretrained", setting.pretrained)
        config = huggingface.read_config(folder, f"{group}.pretrained")
        model_vocabulary = Vocabulary(config.vocabulary, config.pad)
        if model_vocabulary.size < vocabulary.size or model_vocabulary.pad != vocabulary.pad:
            raise InputError(
                f"{group}.pretrained",
                folder,
                f"has {model_vocabulary.size} tokens with padding {model_vocabulary.pad}, and `data.tokenizer` "
                f"{vocabulary.size} with {vocabulary.pad}; must be the tokenizer it was trained with",
            )
    if length > config.longest:
        raise InputError("data.length", length, f"must be at most {config.longest}, the positions that {group} has")
    dropout_rates = {"dropout": setting.dropout, "head_dropout": setting.dropout}
    config = dataclasses.replace(config, attention_dropout=setting.attention_dropout, **dropout_rates)
    return Roberta(num_classes, config, dtype, setting.attention, setting.remat)


def read(setting: ModelSetting, model: nn.Module, role: str) -> huggingface.Params:
    """The pretrained parameters that a network begins with, host arrays; none where nothing is pretrained.

    Raises:
      InputError: they cannot be read, or do not fit the network.
    """
    if setting.name != "roberta" or setting.roberta.pretrained is None:
        return {}
    folder = local(f"{role}.roberta.pretrained", setting.roberta.pretrained)
    return huggingface.read_params(folder, model.config, model.num_classes, f"{role}.roberta.pretrained")
