"""Writes tests/models/roberta_fixture: a small network of transformers' with what PyTorch makes of a batch.

    python -m tests.models.make_roberta_fixture

It lets our RoBERTa be held to PyTorch's where there is none. Needs PyTorch (the extra `bench`).
"""

from pathlib import Path

import numpy as np

from distill_jax.models.roberta import RobertaConfig
from experiments.text_parity import make_batch, reference_results, write_reference

FOLDER = Path(__file__).with_name("roberta_fixture")
CONFIG = RobertaConfig(2, 16, 2, 24, vocabulary=30, positions=18, epsilon=1e-3)


def main() -> None:
    network = write_reference(CONFIG, FOLDER)
    batch = make_batch(CONFIG, texts=8)
    given = {"tokens": batch.tokens, "length": batch.length, "label": batch.label}
    np.savez_compressed(FOLDER / "pytorch.npz", **given, **reference_results(network, batch))


if __name__ == "__main__":
    main()
