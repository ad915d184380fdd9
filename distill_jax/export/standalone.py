"""A network's arrays by name, and of a dense network its logits, with numpy and safetensors alone.

    from load import arrays, config, logits

It is the file load.py of a folder that distill-jax export has written.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

_FOLDER = Path(__file__).parent


def config():
    """What the network is, what it is given, where it is from."""
    return json.loads((_FOLDER / "config.json").read_text("utf-8"))


def arrays():
    """All variables by name, such as 'params/hidden1/kernel'."""
    return load_file(_FOLDER / "model.safetensors")


def logits(x):
    """Float32 logits [B, K] of raw inputs [B, ...], of the networks mlp and linear."""
    network, inputs, named = config()["network"], config()["inputs"], arrays()
    if network["name"] not in ("mlp", "linear"):
        raise ValueError(f"{network['name']} is not computed here; use distill_jax.load_exported, or export stablehlo")
    x = (np.asarray(x, np.float32) - np.float32(inputs["mean"])) / np.float32(inputs["std"])
    x = x.reshape(len(x), -1)
    for number in range(1, 1 + sum(name.endswith("/kernel") for name in named)):
        layer = f"params/hidden{number}"
        x = np.maximum(x @ named[f"{layer}/kernel"] + named[f"{layer}/bias"], 0)
    return x @ named["params/head/weight"].T + named["params/head/bias"]
