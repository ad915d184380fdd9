"""Networks as programs with their numbers in them: raw inputs [B, ...] -> float32 logits [B, K], for any B.

StableHLO is run by JAX alone; ONNX by what runs ONNX. Both are tried on random inputs before they are kept.
"""

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export
from jax.extend import core

from distill_jax.errors import InputError, one_line
from distill_jax.export.network import Network
from distill_jax.extras import needed

PLATFORMS = ("cpu", "cuda", "tpu")
STABLEHLO, ONNX = "model.stablehlo", "model.onnx"
_NEAR = {"stablehlo": 1e-6, "onnx": 1e-4}  # of the largest logit: the same sums in another order


def write_stablehlo(folder: Path, network: Network) -> None:
    """Writes the program that `jax.export.deserialize` reads.

    Raises:
      InputError: an extra is not installed, or the network cannot be written so.
    """
    needed("flatbuffers", "export", "format", "stablehlo")
    function, inputs = _function(network), _symbolic(network)
    try:
        exported = _first(function, lambda f: export.export(jax.jit(f), platforms=PLATFORMS)(inputs))
        data = bytes(exported.serialize())
    except Exception as error:  # of whatever type the network's own code has it
        raise _refusal("stablehlo", network, one_line(error)) from error
    read = export.deserialize(bytearray(data))
    _compare("stablehlo", network, function, lambda x: np.asarray(read.call(x)))
    (folder / STABLEHLO).write_bytes(data)


def write_onnx(folder: Path, network: Network) -> None:
    """Writes the graph that onnxruntime runs, from `inputs` to `logits`.

    Raises:
      InputError: an extra is not installed, or the network cannot be written so.
    """
    converter = needed("jax2onnx", "onnx", "format", "onnx")
    runtime = needed("onnxruntime", "onnx", "format", "onnx")
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)  # which warns of shapes that it leaves out
    function, inputs = _function(network), _symbolic(network)
    try:
        with _without_platforms():
            traced = _first(function, lambda f: jax.make_jaxpr(f)(inputs))
        # Traced before, since the converter has layers of its own in Flax's place.
        run = core.jaxpr_as_fun(traced)
        proto = converter.to_onnx(lambda x: run(x)[0], [inputs], input_names=["inputs"], output_names=["logits"])
        data = proto.SerializeToString()
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        session = runtime.InferenceSession(data, options)
    except Exception as error:
        raise _refusal("onnx", network, one_line(error)) from error
    _compare("onnx", network, function, lambda x: session.run(None, {"inputs": x})[0])
    (folder / ONNX).write_bytes(data)


def _function(network: Network) -> Callable[[Any], jax.Array]:
    return functools.partial(network.logits(), jax.tree.map(jax.numpy.asarray, network.variables))


def _symbolic(network: Network) -> jax.ShapeDtypeStruct:
    """Inputs of any number."""
    batch = export.symbolic_shape("B")
    return jax.ShapeDtypeStruct((*batch, *network.inputs.shape), network.inputs.dtype)


def _first(function: Callable[[Any], jax.Array], use: Callable[[Any], Any]) -> Any:
    """`use` of a function, or where its code needs a number of examples, as len(x), of the same for each example."""
    try:
        return use(function)
    except Exception:  # of a type for each thing that cannot be asked of an unknown number
        return use(jax.vmap(lambda one: function(one[None])[0]))


@contextlib.contextmanager
def _without_platforms() -> Iterator[None]:
    """Within it what is chosen by platform is what no platform asks for: ONNX knows none of JAX's."""
    before = jax.lax.platform_dependent
    jax.lax.platform_dependent = lambda *args, default, **_: default(*args)
    try:
        yield
    finally:
        jax.lax.platform_dependent = before


def _compare(
    form: str, network: Network, function: Callable[[Any], jax.Array], read: Callable[[np.ndarray], np.ndarray]
) -> None:
    """Checks that what was written gives the network's logits, of batches of other sizes than it was made with."""
    for examples in (1, 5):
        x = network.inputs.random(examples)
        expected = np.asarray(jax.jit(function)(x))
        try:
            found = read(x)
        except Exception as error:
            raise _refusal(form, network, one_line(error)) from error
        off = float(np.abs(found - expected).max()) / max(float(np.abs(expected).max()), 1e-30)
        if found.shape != expected.shape or not off <= _NEAR[form]:
            raise _refusal(form, network, f"its logits are off by {off:.1g} of the largest")


def _refusal(form: str, network: Network, reason: str) -> InputError:
    other = "safetensors or stablehlo" if form == "onnx" else "safetensors"
    return InputError("format", form, f"cannot hold {network.setting.name} ({reason[:200]}); must be {other}")
