"""Writes the folders *_fixture beside it: small networks of transformers' with what PyTorch makes of a batch.

    python -m tests.models.make_text_fixtures [KIND ...]

They let our networks for texts be held to PyTorch's where there is none. Needs PyTorch (the extra `bench`).
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from distill_jax.models.roberta import RobertaConfig
from experiments.text_parity import make_batch, reference_results, write_reference

CONFIGS = {
    "roberta": RobertaConfig(2, 16, 2, 24, vocabulary=30, positions=18, epsilon=1e-3),
    "bert": RobertaConfig.sized(2, 16, "bert", heads=2, inner=24, vocabulary=30, positions=16, separator=3),
    "distilbert": RobertaConfig.sized(2, 16, "distilbert", heads=2, inner=24, vocabulary=30, positions=16),
}


def main(kinds: Sequence[str]) -> None:
    for kind in kinds or CONFIGS:
        folder = Path(__file__).with_name(f"{kind}_fixture")
        network = write_reference(CONFIGS[kind], folder)
        batch = make_batch(CONFIGS[kind], texts=8)
        given = {"tokens": batch.tokens, "length": batch.length, "label": batch.label}
        np.savez_compressed(folder / "pytorch.npz", **given, **reference_results(network, batch))


if __name__ == "__main__":
    main(sys.argv[1:])
