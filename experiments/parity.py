"""How far two networks with the same weights are from each other: logits, and gradients by name."""

import numpy as np


def differences(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> dict[str, float]:
    """The largest logit and gradient there, and the largest differences from them.

    Args:
      ours, theirs: 'logits', and the gradient of each parameter by the same name.

    Raises:
      ValueError: the two have not the same parameters.
    """
    if ours.keys() != theirs.keys():
        raise ValueError(f"not in both: {sorted(ours.keys() ^ theirs.keys())}")
    difference = {name: ours[name].astype(np.float64) - theirs[name] for name in ours}
    grads = [name for name in ours if name != "logits"]
    return {
        "logit": float(np.abs(theirs["logits"]).max()),
        "logit_difference": float(np.abs(difference["logits"]).max()),
        "gradient": max(float(np.abs(theirs[name]).max()) for name in grads),
        "gradient_difference": max(float(np.abs(difference[name]).max()) for name in grads),
    }
