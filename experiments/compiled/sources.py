"""Which part of a step an operation belongs to, by the names that the traced code has given it."""

import re

from experiments.compiled.costs import Operation

# Scopes of `distill_jax.training.step`, by name.
_SCOPES = {"augmentation": "augmentation", "batch": "batch", "teacher": "teacher", "optimizer": "optimizer"}
_CONVOLUTIONS = ("conv_general_dilated",)
_PRODUCTS = ("dot_general",)


def part(operation: Operation) -> str:
    """The part: 'stem', 'norms, backward', 'convolutions, kernel gradients', 'teacher', 'data movement' and so on.

    A fusion has the name of its last operation: what XLA has drawn into it counts there.
    """
    instruction = operation.instruction
    # Of what is mapped over models the names are within "vmap()".
    path = [re.sub(r"^(vmap\()+(.*?)\)*$", r"\2", name) for name in instruction.source.split("/") if name]
    if operation.collective is not None:
        return f"collective: {operation.collective}"
    for name in path:
        if name in _SCOPES:
            return _SCOPES[name]
    if not path or (instruction.opcode in ("copy", "copy-start") and not operation.flops):
        return "data movement"
    backward = any("transpose(jvp(" in name for name in path)
    forward = not backward and any("jvp(" in name for name in path)
    if not backward and not forward:
        return "loss, shuffling and the rest"
    if any(name.startswith("stem") for name in path):
        return f"stem, {'backward' if backward else 'forward'}"
    if operation.flops or path[-1] in (*_CONVOLUTIONS, *_PRODUCTS):
        products = "convolutions" if path[-1] in _CONVOLUTIONS or "conv" in instruction.target else "products"
        if not backward:
            return f"{products}, forward"
        return f"{products}, {'kernel' if operation.weights else 'input'} gradients"
    layer = next((name for name in reversed(path[:-1]) if re.search(r"norm|attention|embedding|head", name)), "")
    kind = "norms" if "norm" in layer else "attention" if "attention" in layer else "activations and sums"
    return f"{kind}, {'backward' if backward else 'forward'}"
