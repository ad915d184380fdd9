"""A network's outputs: logits and, where asked, those of its layers as named features."""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.struct
import flax.traverse_util
import jax
from flax import linen as nn

from distill_jax.errors import InputError

_INTERMEDIATES = "intermediates"  # Flax's collection for layers' outputs


@flax.struct.dataclass
class Outputs:
    """A network's outputs on a batch.

    >>> jax.tree.map(np.shape, Outputs(np.zeros((2, 10)), {"middle": np.zeros((2, 256))}))
    Outputs(logits=(2, 10), features={'middle': (2, 256)})

    Attributes:
      logits: float32 [B, K].
      features: by the names that `objective.student_features` and `objective.teacher_features` give them, [B, ...] in
        the network's precision; empty where no loss asks for any.
    """

    logits: jax.Array
    features: Mapping[str, jax.Array] = flax.struct.field(default_factory=dict)


def outputs(
    model: nn.Module,
    variables: Any,
    x: jax.Array,
    layers: Mapping[str, str],
    *,
    train: bool,
    mutable: Sequence[str] = (),
    **options: Any,
) -> tuple[Outputs, Any]:
    """A network's outputs on inputs, and the collections of `mutable` after it.

    >>> model, x = MLP(2, hidden=(4,)), jnp.zeros((3, 5))
    >>> variables = jax.eval_shape(lambda: model.init(jax.random.key(0), x, train=False))
    >>> shapes, _ = jax.eval_shape(lambda v: outputs(model, v, x, {"middle": "hidden1"}, train=False), variables)
    >>> shapes.logits.shape, shapes.features["middle"].shape
    ((3, 2), (3, 4))

    Args:
      layers: of each feature, its layer's path, as 'stage1/conv2'.
      options: given to `model.apply`.
    """
    if not layers:
        logits, updated = model.apply(variables, x, train=train, mutable=list(mutable), **options)
        return Outputs(logits), updated
    wanted = set(layers.values())

    def is_wanted(module: nn.Module, method: str) -> bool:
        return method == "__call__" and "/".join(module.path) in wanted

    logits, updated = model.apply(
        variables, x, train=train, mutable=[*mutable, _INTERMEDIATES], capture_intermediates=is_wanted, **options
    )
    intermediates = updated.pop(_INTERMEDIATES)
    return Outputs(logits, {name: _output(intermediates, path) for name, path in layers.items()}), updated


def _output(intermediates: Any, path: str) -> Any:
    """The output of the layer of a path, in Flax's collection of layers' outputs."""
    for part in path.split("/"):
        intermediates = intermediates[part]
    return intermediates["__call__"][0]


def layers_of(model: nn.Module, inputs: jax.ShapeDtypeStruct) -> dict[str, tuple[int, ...]]:
    """The layers whose outputs a loss may compare, in the order in which they end, with the shape for one example.

    They are those with parameters.

    >>> layers_of(MLP(10), jax.ShapeDtypeStruct((2, 64), "float32"))
    {'hidden1': (256,), 'head': (10,)}
    """
    layers: dict[str, tuple[int, ...]] = {}

    def record(module: nn.Module, method: str) -> bool:
        if method == "__call__" and module.path:
            order.append("/".join(module.path))
        return method == "__call__"

    order: list[str] = []
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), inputs)
    order.clear()
    _, collections = jax.eval_shape(
        lambda v, x: model.apply(v, x, train=False, mutable=[_INTERMEDIATES], capture_intermediates=record),
        variables,
        inputs,
    )
    trained = flax.traverse_util.flatten_dict(variables["params"], sep="/")
    for path in order:
        output = _output(collections[_INTERMEDIATES], path)
        if (
            any(name.startswith(f"{path}/") for name in trained)
            and getattr(output, "shape", ())[:1] == inputs.shape[:1]
        ):
            layers[path] = output.shape[1:]
    return layers


def chosen_layers(
    model: nn.Module, inputs: jax.ShapeDtypeStruct, named: Mapping[str, str], field: str
) -> dict[str, str]:
    """The layers that are named, or where none is the middle one before the last.

    >>> inputs = jax.ShapeDtypeStruct((2, 64), "float32")
    >>> chosen_layers(MLP(10, hidden=(8, 8, 8)), inputs, {}, "objective.student_features")
    {'middle': 'hidden2'}

    Raises:
      InputError: a layer is not there.
    """
    layers = layers_of(model, inputs)
    for name, path in named.items():
        if path not in layers:
            raise InputError(field, f"{name}={path}", f"is no layer of the network; must be of {', '.join(layers)}")
    if named:
        return dict(named)
    outer = [path for path in layers if "/" not in path][:-1]
    if not outer:
        raise InputError(field, None, "must name a layer, since the network has none before its last")
    return {"middle": outer[len(outer) // 2]}
