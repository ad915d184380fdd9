"""Writes tests/models/resnet_v1_fixture: small ResNets-v1 of PyTorch with what it makes of a batch.

    python -m tests.models.make_resnet_v1_fixture

It lets ours be held to PyTorch's where there is none. Needs PyTorch (the extra `bench`).
"""

from pathlib import Path

import numpy as np

from distill_jax.models.resnet_v1 import ResNetV1
from experiments.image_parity import make_batch, randomise, torch_results, written

FOLDER = Path(__file__).with_name("resnet_v1_fixture")
CLASSES = 5
# Of each network ours, and the side of its images.
NETWORKS = {
    "small": (ResNetV1(CLASSES, (1, 2, 1), bottleneck=False, width=3, stem="small"), 8),
    "bottleneck": (ResNetV1(CLASSES, (2, 1), bottleneck=True, width=3, stem="imagenet"), 27),
}


def main() -> None:
    from safetensors.torch import save_file

    FOLDER.mkdir(exist_ok=True)
    for name, (model, side) in NETWORKS.items():
        network = written(model.stage_sizes, model.width, CLASSES, model.bottleneck, model.stem)
        randomise(network)
        save_file(network.state_dict(), FOLDER / f"{name}.safetensors")
        x, label = make_batch(6, side, classes=CLASSES)
        results = torch_results(network, x, label)
        single = {key: value.astype(np.float32) for key, value in results.items()}
        np.savez_compressed(FOLDER / f"{name}.npz", x=x, label=label, **single)


if __name__ == "__main__":
    main()
