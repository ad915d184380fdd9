"""Networks of one's own, named as 'module:Class': Flax modules, of Linen or NNX, or functions that give one.

Its contract::

    # small.py
    import flax.linen as nn
    import jax.numpy as jnp

    class Small(nn.Module):
        num_classes: int             # always given
        dtype: jnp.dtype = jnp.float32  # given if it is a field: of activations, by `train.precision`
        width: int = 32              # settings of its own, by `student.settings` width=64

        @nn.compact
        def __call__(self, x, train: bool):
            x = nn.relu(nn.Dense(self.width, dtype=self.dtype)(x.reshape(len(x), -1)))
            return nn.Dense(self.num_classes)(x)   # float32 logits [B, K]

    distill-jax digits --student.name small:Small

x is [B, H, W, C] or [B, D], normalised, or tokens, int [B, L]. Parameters are the collection 'params'; 'batch_stats'
are updated in training; other collections stay as they are drawn. In training there is the random stream 'dropout'. A
class attribute `kind`, 'dense' or 'convolutional' (the default), says which measured defaults of the machine suit it.
"""

import inspect
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from distill_jax.errors import InputError, one_line
from distill_jax.own_code import imported

KINDS = ("dense", "convolutional")


def own_kind(name: str) -> Literal["dense", "convolutional"]:
    """The kind of machine's defaults for a network of one's own.

    Raises:
      InputError: there is no such network, or no such kind.
    """
    kind = getattr(imported(name, "network"), "kind", "convolutional")
    if kind not in KINDS:
        raise InputError("network", name, f"has the kind {kind!r}; must be of {', '.join(KINDS)}")
    return kind


def build_own(
    name: str,
    settings: Mapping[str, Any],
    num_classes: int,
    input_shape: tuple[int, ...],
    *,
    dtype: Any,
    norm_examples: int | None,
    texts: bool,
    role: str,
) -> nn.Module:
    """The network of a name, whose contract is checked on shapes alone.

    Args:
      settings: of its own.
      num_classes: K.
      input_shape: of one example.
      dtype: of activations.
      norm_examples: of which batch normalisation takes statistics together, if it has a field for this.
      texts: whether inputs are tokens.
      role: whose network it is, for a message.

    Raises:
      InputError: it does not keep the contract; one line says where.
    """
    from flax import nnx  # only now: a third of a second for what few studies have
    from flax.nnx import bridge

    field = f"{role}.name"
    factory = imported(name, field)
    if not callable(factory):
        raise InputError(field, name, f"is a {type(factory).__name__}; must be a class of a Flax module, or a function")
    is_nnx = inspect.isclass(factory) and issubclass(factory, nnx.Module)
    # What makes objects of NNX's classes takes any arguments.
    parameters = dict(inspect.signature(factory.__init__ if is_nnx else factory).parameters)
    _check_known(settings, parameters, name, role)
    arguments = {"num_classes": num_classes, **settings}
    if "dtype" in parameters:
        arguments["dtype"] = dtype
    elif dtype != jnp.float32:
        raise InputError("train.precision", dtype.name, f"must be float32, since {name} has no field dtype")
    if norm_examples is not None:
        if "norm_examples" not in parameters:
            raise InputError("train.norm_examples", norm_examples, f"must be left out, since {name} has no such field")
        arguments["norm_examples"] = norm_examples
    try:
        if is_nnx:
            nnx_class: Any = factory
            model: Any = bridge.ToLinen(nnx_class, kwargs=arguments)
        else:
            model = factory(**arguments)
    except TypeError as error:
        raise InputError(field, name, f"cannot be built ({one_line(error)}); must take num_classes") from error
    if not isinstance(model, nn.Module):
        raise InputError(field, name, f"gives a {type(model).__name__}; must be a Flax module")
    x = jax.ShapeDtypeStruct((2, *input_shape), jnp.int32 if texts else dtype)
    for train in (False, True):
        _check(model, x, train, num_classes, (field, name))
    return model


def _check_known(
    settings: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter], name: str, role: str
) -> None:
    """Checks that a network has the settings that it is given."""
    any_name = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if unknown := [key for key in settings if key not in parameters and not any_name]:
        given = ("self", "num_classes", "dtype", "parent", "name", "rngs")
        accepted = ", ".join(key for key in parameters if key not in given)
        raise InputError(f"{role}.settings", unknown[0], f"is none of {name}; there are {accepted or 'none'}")


def _check(
    model: nn.Module, x: jax.ShapeDtypeStruct, train: bool, num_classes: int, field_and_name: tuple[str, str]
) -> None:
    """Checks that a network gives logits of inputs, and changes no collection but batch_stats."""

    def called(x: jax.Array) -> Any:
        keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
        variables = model.init(keys, x, train=False)
        return model.apply(variables, x, train=train, mutable=["batch_stats"], rngs={"dropout": keys["dropout"]})

    try:
        logits, _ = jax.eval_shape(called, x)
    except Exception as error:  # of whatever type the network's own code has it
        message = one_line(error)[:300]
        raise InputError(
            *field_and_name, f"cannot be called as (x {list(x.shape)}, train={train}): {message}"
        ) from error
    shape, dtype = getattr(logits, "shape", None), getattr(logits, "dtype", None)
    if shape != (2, num_classes) or dtype != jnp.float32:
        output = f"{dtype} {list(shape)}" if shape is not None else type(logits).__name__
        raise InputError(
            *field_and_name, f"gives {output} of inputs {list(x.shape)}; must be float32 [2, {num_classes}]"
        )
