"""A trained network by itself: the Flax module, its variables by name, what it is given, where it is from."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from distill_jax.data.augment import normalise
from distill_jax.errors import InputError
from distill_jax.export.inputs import Inputs
from distill_jax.models import build_model, huggingface
from distill_jax.models.evaluation import evaluation
from distill_jax.setting import ModelSetting


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """A trained network.

    Attributes:
      model: the Flax module.
      variables: all that `model.apply` takes, host arrays.
      setting: the network's name and fields.
      precision: of its training, 'float32' or 'bfloat16'; it is evaluated as `models.evaluation` has it, in float32.
      inputs: what it is given.
      origin: study, model, seed and step, as JSON values.
      folder: of one of texts, where its sizes are said as Hugging Face says it; else None.
      tokenizer: of one of texts, the folder of its tokenizer, where that is kept.
    """

    model: nn.Module
    variables: Any
    setting: ModelSetting
    precision: str
    inputs: Inputs
    origin: Mapping[str, Any]
    folder: Path | None = None
    tokenizer: Path | None = None

    def logits(self, platform: str = "cpu") -> Callable[[Any, jax.Array], jax.Array]:
        """The function (variables, raw inputs [B, ...]) -> float32 logits [B, K], as in the study's dumps.

        Args:
          platform: for which it is compiled, as of `evaluation`.
        """
        evaluate, inputs = evaluation(self.model, platform), self.inputs
        mean, std = (None if a is None else np.asarray(a, np.float32) for a in (inputs.mean, inputs.std))
        return lambda variables, x: evaluate(variables, normalise(x, mean, std))


def model_of(
    setting: ModelSetting, precision: str, inputs: Inputs, folder: Path | None, role: str, field: str
) -> nn.Module:
    """The Flax module of a network.

    Args:
      folder: of one of texts, with its sizes, which may be those of a pretrained network that is no longer there.
      role: whose it is, for a message.
      field: that names the folder, for a message.

    Raises:
      InputError: it cannot be built.
    """
    if folder is not None:
        return huggingface.read_model(folder, field)
    sizes = inputs.num_classes, inputs.shape
    return build_model(setting, *sizes, precision=precision, role=role, vocabulary=inputs.vocabulary)


def named(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by their paths.

    >>> named({"params": {"head": {"bias": 1, "kernel": 2}}})
    {'params/head/bias': 1, 'params/head/kernel': 2}
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def variables_of(model: nn.Module, inputs: Inputs, arrays: Mapping[str, Any], source: Path) -> Any:
    """A model's variables of arrays by name, as `named` has them.

    Args:
      source: where the arrays are from, for the message.

    Raises:
      InputError: they are not this model's.
    """
    x = jnp.zeros((2, *inputs.shape), jnp.int32 if inputs.vocabulary else jnp.float32)
    like = jax.eval_shape(lambda key: model.init(key, x, train=False), jax.random.key(0))
    expected = named(like)
    for name in sorted(expected.keys() | arrays.keys()):
        shapes = [tuple(of[name].shape) if name in of else "none" for of in (expected, arrays)]
        if shapes[0] != shapes[1]:
            fault = f"has for {name} the shape {shapes[1]}, and the network {shapes[0]}; must be of this network"
            raise InputError(source, None, fault)
    return jax.tree.unflatten(jax.tree.structure(like), [np.asarray(arrays[name]) for name in expected])
