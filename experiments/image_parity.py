"""Our ResNet-v1 against PyTorch's with the same weights: logits, gradients of the loss, running statistics.

    python -m experiments.image_parity [--json FILE]

ResNet-18 and -50 are torchvision's own, at 224 pixels; for CIFAR there is a ResNet-20 and a -56 written here as
pytorch-cifar-models has them, at 32. Weights are random, also scales, biases and running statistics, whose usual values
would hide mistakes, and go from one to the other through a file of safetensors. Gradients are of the mean cross-entropy
in training, with the batch's statistics, and in float64: in float32 rounding moves activations over the corner of a
ReLU in either. Needs PyTorch and torchvision (the extra `bench`).
"""

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from distill_jax.command import command_line
from distill_jax.errors import InputError
from distill_jax.models import build_model, torch_weights
from distill_jax.setting import ModelSetting
from experiments.markdown_table import markdown_table
from experiments.parity import differences

PROG = "python -m experiments.image_parity"
CLASSES = 10


@dataclasses.dataclass(frozen=True)
class Case:
    """A network of ours, the size of its images, and torchvision's name for it where it is torchvision's."""

    model: ModelSetting
    side: int
    torchvision: str | None = None


CASES = {
    "resnet18-v1": Case(ModelSetting("resnet18-v1"), 224, "resnet18"),
    "resnet50-v1": Case(ModelSetting("resnet50-v1"), 224, "resnet50"),
    "resnet-cifar-v1, depth 20": Case(ModelSetting("resnet-cifar-v1", depth=20), 32),
    "resnet-cifar-v1, depth 56": Case(ModelSetting("resnet-cifar-v1", depth=56), 32),
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """Compares our ResNet-v1 with PyTorch's, with the same weights."""

    images: int = 8
    """Images of a batch."""
    seed: int = 0
    """Of weights, images and labels."""
    json: Path | None = None
    """Write the numbers to this file too."""


def torch_network(case: Case) -> Any:
    """PyTorch's network: torchvision's, or the one written here."""
    if case.torchvision is not None:
        import torchvision

        return getattr(torchvision.models, case.torchvision)(weights=None, num_classes=CLASSES)
    return written(((case.model.depth - 2) // 6,) * 3, case.model.width, CLASSES)


def written(sizes: Sequence[int], width: int, classes: int, bottleneck: bool = False, stem: str = "small") -> Any:
    """A ResNet-v1 in PyTorch with stages of `sizes` units, its modules named as torchvision names them.

    With the small stem and three stages it is what pytorch-cifar-models has.
    """
    import torch
    from torch import nn
    from torch.nn import functional as F

    def conv(channels: int, features: int, kernel: int, stride: int = 1) -> nn.Conv2d:
        return nn.Conv2d(channels, features, kernel, stride, kernel // 2, bias=False)

    class Unit(nn.Module):
        def __init__(self, channels: int, within: int, stride: int):
            super().__init__()
            features = 4 * within if bottleneck else within
            plan = [(1, 1), (3, stride), (1, 1)] if bottleneck else [(3, stride), (3, 1)]
            self.layers = len(plan)
            for number, (kernel, step) in enumerate(plan, 1):
                out, inputs = features if number == len(plan) else within, channels if number == 1 else within
                self.add_module(f"conv{number}", conv(inputs, out, kernel, step))
                self.add_module(f"bn{number}", nn.BatchNorm2d(out))
            shortcut = nn.Sequential(conv(channels, features, 1, stride), nn.BatchNorm2d(features))
            self.downsample = shortcut if stride != 1 or channels != features else None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x
            for number in range(1, self.layers + 1):
                y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
                y = F.relu(y) if number < self.layers else y
            return F.relu(y + (x if self.downsample is None else self.downsample(x)))

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = conv(3, width, 7, 2) if stem == "imagenet" else conv(3, width, 3)
            self.bn1, channels = nn.BatchNorm2d(width), width
            for stage, size in enumerate(sizes):
                units = []
                for unit in range(size):
                    units.append(Unit(channels, width << stage, 2 if stage and not unit else 1))
                    channels = (width << stage) * (4 if bottleneck else 1)
                self.add_module(f"layer{stage + 1}", nn.Sequential(*units))
            self.fc = nn.Linear(channels, classes)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.relu(self.bn1(self.conv1(x)))
            x = F.max_pool2d(x, 3, 2, 1) if stem == "imagenet" else x
            for stage in range(len(sizes)):
                x = getattr(self, f"layer{stage + 1}")(x)
            return self.fc(x.mean((2, 3)))

    return Network()


def randomise(network: Any, seed: int = 0) -> None:
    """Draws all weights and running statistics of a network, none of which keeps a special value."""
    import torch

    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("num_batches_tracked"):
                continue
            if tensor.ndim > 1:
                value = rng.normal(0, np.prod(tensor.shape[1:]) ** -0.5, tensor.shape)
            elif name.endswith(("weight", "running_var")):
                value = rng.uniform(0.5, 1.5, tensor.shape)
            else:
                value = rng.normal(0, 0.1, tensor.shape)
            tensor.copy_(torch.from_numpy(np.asarray(value)))


def make_batch(images: int, side: int, seed: int = 0, classes: int = CLASSES) -> tuple[np.ndarray, np.ndarray]:
    """Normalised images float32 [B, side, side, 3] and labels int64 [B]."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(images, side, side, 3)).astype(np.float32), rng.integers(0, classes, images)


def torch_results(network: Any, x: np.ndarray, label: np.ndarray) -> dict[str, np.ndarray]:
    """PyTorch's 'logits' in evaluation, float32, and the loss's gradient in training, float64, by its names."""
    import torch

    images, labels = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))), torch.from_numpy(label)
    with torch.no_grad():
        logits = network.eval()(images).numpy()
    network.double().train().zero_grad()
    torch.nn.functional.cross_entropy(network(images.double()), labels).backward()
    grads = {name: parameter.grad.numpy() for name, parameter in network.named_parameters()}
    network.float()
    return {"logits": logits, **grads}


def our_results(model: Any, variables: Any, x: np.ndarray, label: np.ndarray) -> dict[str, np.ndarray]:
    """The same of our network with the same weights."""
    logits = np.asarray(jax.jit(lambda v: model.apply(v, x, train=False))(variables))
    with jax.enable_x64(True):
        wide = model.clone(dtype=jnp.float64)
        params, images = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), (variables["params"], x))

        def loss(params: Any) -> jax.Array:
            found, _ = wide.apply({**variables, "params": params}, images, train=True, mutable=["batch_stats"])
            return -jnp.take_along_axis(jax.nn.log_softmax(found), jnp.asarray(label)[:, None], axis=1).mean()

        grads = jax.tree.map(np.asarray, jax.jit(jax.grad(loss))(params))
    results = {"logits": logits}
    for path, leaf in flatten_dict(grads).items():
        results[torch_weights.tensor_name(("params", *path))] = torch_weights.as_tensor(path[-1], leaf)
    return results


def compare(case: Case, images: int, seed: int = 0) -> dict[str, float]:
    """`differences` of the two networks with the same random weights."""
    from safetensors.torch import save_file

    network, (x, label) = torch_network(case), make_batch(images, case.side, seed)
    randomise(network, seed)
    model = build_model(case.model, CLASSES, x.shape[1:])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "theirs.safetensors"
        save_file(network.state_dict(), path)
        variables = torch_weights.read(path, model, CLASSES, x.shape[-1], "weights")
    found = differences(our_results(model, variables, x, label), torch_results(network, x, label))
    return {
        "pixels": case.side,
        **found,
        "logit_relative": found["logit_difference"] / found["logit"],
        "gradient_relative": found["gradient_difference"] / found["gradient"],
    }


def lines(results: Mapping[str, Any]) -> str:
    """The table of a result file."""
    head = ["network", "pixels", "largest logit", "difference, of it", "largest gradient", "difference, of it"]
    columns = ("logit", "logit_relative", "gradient", "gradient_relative")
    cells = [
        [name, str(row["pixels"]), *(f"{row[column]:.2g}" for column in columns)]
        for name, row in results["rows"].items()
    ]
    return markdown_table(head, cells)


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    setting = command_line.parse(Setting(), PROG, arguments)
    if setting.images < 2:
        raise InputError("--images", setting.images, "must be 2 or more, of which batch statistics are taken")
    if setting.seed < 0:
        raise InputError("--seed", setting.seed, "must be 0 or more")
    command_line.check_writable("--json", setting.json, ".json")
    try:
        import torch
        import torchvision
    except ImportError as error:
        fault = "needs PyTorch and torchvision to compare with: pip install -e '.[bench]' torchvision"
        raise InputError(PROG, None, fault) from error
    from distill_jax.machine.environment import environment

    rows = {name: compare(case, setting.images, setting.seed) for name, case in CASES.items()}
    print(lines({"rows": rows}), end="")
    if setting.json is not None:
        run_environment = environment(f"{PROG} {' '.join(arguments)}".strip())
        run_environment["versions"] |= {"torch": torch.__version__, "torchvision": torchvision.__version__}
        command_line.write_json(setting.json, {"environment": run_environment, "rows": rows})


if __name__ == "__main__":
    command_line.run(main)
