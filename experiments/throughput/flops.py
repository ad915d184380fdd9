"""The arithmetic of a function, counted from its jaxpr: products of convolutions and of matrices, exactly.

XLA's own count (`compiled.cost_analysis()`) will not do, as a look at it shows (JAX 0.10.2, CPU; a matrix product of
256 x 256 and CIFAR ResNet-20 as the examples): it is right for a program without loops (2 x 256^3 for the product;
for ResNet-20's gradient 29.1 GFLOP at batch 128, where this module counts 31.3: XLA leaves out the products with a
convolution's zero padding, which published numbers include), but the body of a loop is counted once, however often
it runs. (For the library calls that a GPU makes of convolutions and products we have not looked.) What is counted here
does not depend on the backend, on loops or on what XLA fuses or repeats.
"""

import collections
import math
from typing import Any

import jax
import jax.numpy as jnp


def flops(jaxpr: Any) -> int:
    """All of `flops_by_precision`."""
    return sum(flops_by_precision(jaxpr).values())


def flops_by_precision(jaxpr: Any) -> dict[str, int]:
    """Floating-point operations of the products in a jaxpr, two for each multiplication and its addition.

    Everything else (normalisation, activation, the optimizer) is left out: it is a few operations an element. A loop
    counts as often as it runs; one whose length is not known, once; of a branch, the dearest side, but of one by
    platform the default, since others may compute more than is asked for. What is mapped over devices counts for all of
    them, and is taken to be mapped over the whole mesh, as `placement.over_devices` does.

    Args:
      jaxpr: as `jax.make_jaxpr(f)(*args)` or `jax.jit(f).trace(*args).jaxpr` give it.

    Returns:
      By what the products ask for: 'bfloat16', 'float32', or 'three passes' of bfloat16 for factors of float32, which
      is JAX's Precision.HIGH.
    """
    total: collections.Counter[str] = collections.Counter()
    for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        name = equation.primitive.name
        if name == "conv_general_dilated":
            total[_precision(equation)] += _convolution(equation)
        elif name == "dot_general":
            total[_precision(equation)] += _product(equation)
        else:
            inner_counts = [flops_by_precision(inner) for value in equation.params.values() for inner in _jaxprs(value)]
            if name == "cond" and equation.params.get("branches_platforms"):
                inner_counts = inner_counts[-1:]  # where `platform_dependent` has the default
            elif name == "cond":
                inner_counts = [max(inner_counts, default={}, key=lambda counted: sum(counted.values()))]
            times = _times(name, equation.params)
            for counted in inner_counts:
                total.update({precision: count * times for precision, count in counted.items()})
    return dict(total)


def _precision(equation: Any) -> str:
    if equation.invars[0].aval.dtype == jnp.bfloat16:
        return "bfloat16"
    precision = equation.params["precision"]
    return "three passes" if precision and precision[0] == jax.lax.Precision.HIGH else "float32"


def _times(name: str, params: dict[str, Any]) -> int:
    """How often what a primitive holds is computed."""
    if name == "scan":
        return params["length"]
    return params["mesh"].size if name == "shard_map" else 1


def _jaxprs(value: Any) -> list[Any]:
    """The jaxprs among the values of a parameter: of calls, loops and branches."""
    values = value if isinstance(value, (tuple, list)) else [value]
    return [v for v in values if hasattr(v, "eqns") or hasattr(v, "jaxpr")]


def _convolution(equation: Any) -> int:
    kernel = equation.invars[1].aval.shape
    spec = equation.params["dimension_numbers"].rhs_spec  # places of (features out, features in, positions ...)
    terms = math.prod(kernel[axis] for axis in spec[1:])
    # A dilated input, as the gradient of a stride makes it, is zeros but for one position in so many.
    terms /= math.prod(equation.params["lhs_dilation"])
    return round(2 * math.prod(equation.outvars[0].aval.shape) * terms)


def _product(equation: Any) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(shape[axis] for axis in contracted)
