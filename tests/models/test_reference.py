"""Our networks against plain PyTorch ones with the same weights: logits, running statistics and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill_jax.models import MobileNetV2, ResNetCIFAR
from distill_jax.models.mobilenet import InvertedResidual
from distill_jax.models.resnet import ResNet

torch = pytest.importorskip("torch", reason="the reference networks need PyTorch")
nn, F = torch.nn, torch.nn.functional


def torch_conv(inputs, outputs, kernel, stride=1, groups=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


class TorchUnit(nn.Module):
    def __init__(self, channels, width, bottleneck, stride, activated):
        super().__init__()
        outputs = 4 * width if bottleneck else width
        self.norm1 = None if activated else nn.BatchNorm2d(channels)
        self.conv1 = torch_conv(channels, width, 1) if bottleneck else torch_conv(channels, width, 3, stride)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv2 = torch_conv(width, width, 3, stride if bottleneck else 1)
        self.norm3 = nn.BatchNorm2d(width) if bottleneck else None
        self.conv3 = torch_conv(width, outputs, 1) if bottleneck else None
        changes = channels != outputs or stride != 1
        self.shortcut = torch_conv(channels, outputs, 1, stride) if changes else None

    def forward(self, x):
        first = x if self.norm1 is None else F.relu(self.norm1(x))
        y = self.conv2(F.relu(self.norm2(self.conv1(first))))
        if self.conv3 is not None:
            y = self.conv3(F.relu(self.norm3(y)))
        return y + (x if self.shortcut is None else self.shortcut(first))


class TorchResNet(nn.Module):
    def __init__(self, sizes, bottleneck, width, imagenet, classes):
        super().__init__()
        self.imagenet = imagenet
        self.stem_conv = torch_conv(3, width, 7, 2) if imagenet else torch_conv(3, width, 3)
        self.stem_norm = nn.BatchNorm2d(width)
        self.units, channels = [], width
        for stage, size in enumerate(sizes):
            for unit in range(size):
                stride = 2 if stage and not unit else 1
                module = TorchUnit(channels, width << stage, bottleneck, stride, stage == unit == 0)
                channels = (width << stage) * (4 if bottleneck else 1)
                self.units.append(f"stage{stage + 1}_unit{unit + 1}")
                self.add_module(self.units[-1], module)
        self.final_norm = nn.BatchNorm2d(channels)
        self.head = nn.Linear(channels, classes)

    def forward(self, x):
        x = F.relu(self.stem_norm(self.stem_conv(x)))
        if self.imagenet:
            x = F.max_pool2d(x, 3, 2, 1)
        for name in self.units:
            x = getattr(self, name)(x)
        return self.head(F.adaptive_avg_pool2d(F.relu(self.final_norm(x)), 1).flatten(1))


class TorchInverted(nn.Module):
    def __init__(self, channels, outputs, expansion, stride):
        super().__init__()
        within = expansion * channels
        self.residual = stride == 1 and channels == outputs
        if expansion > 1:
            self.expand_conv, self.expand_norm = torch_conv(channels, within, 1), nn.BatchNorm2d(within)
        self.depthwise_conv = torch_conv(within, within, 3, stride, groups=within)
        self.depthwise_norm = nn.BatchNorm2d(within)
        self.project_conv, self.project_norm = torch_conv(within, outputs, 1), nn.BatchNorm2d(outputs)

    def forward(self, x):
        y = F.relu6(self.expand_norm(self.expand_conv(x))) if hasattr(self, "expand_conv") else x
        y = F.relu6(self.depthwise_norm(self.depthwise_conv(y)))
        y = self.project_norm(self.project_conv(y))
        return x + y if self.residual else y


class TorchMobileNetV2(nn.Module):
    """Width multiplier 1."""

    def __init__(self, cifar, classes):
        super().__init__()
        self.stem_conv, self.stem_norm = torch_conv(3, 32, 3, 1 if cifar else 2), nn.BatchNorm2d(32)
        self.units, channels = [], 32
        table = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2]]
        table.append([6, 320, 1, 1])
        if cifar:
            table[1][3] = 1
        for stage, (expansion, outputs, count, stride) in enumerate(table):
            for unit in range(count):
                self.units.append(f"stage{stage + 1}_unit{unit + 1}")
                module = TorchInverted(channels, outputs, expansion, 1 if unit else stride)
                self.add_module(self.units[-1], module)
                channels = outputs
        self.last_conv, self.last_norm = torch_conv(320, 1280, 1), nn.BatchNorm2d(1280)
        self.head = nn.Linear(1280, classes)

    def forward(self, x):
        x = F.relu6(self.stem_norm(self.stem_conv(x)))
        for name in self.units:
            x = getattr(self, name)(x)
        return self.head(F.relu6(self.last_norm(self.last_conv(x))).mean((2, 3)))


def to_torch(name, value):
    """A parameter in PyTorch's layout; a gradient likewise."""
    value = np.asarray(value)
    if name == "kernel":
        value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
    return torch.from_numpy(value.copy())


TORCH_NAME = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def leaves(tree):
    """(PyTorch's name, our last name, value) of every leaf."""
    for path, value in jax.tree_util.tree_leaves_with_path(tree):
        *modules, last = [entry.key for entry in path]
        yield ".".join([*modules, TORCH_NAME[last]]), last, value


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("model", "reference", "size", "gradients"),
    [
        (ResNetCIFAR(14, "basic", 8, 10), lambda: TorchResNet((2, 2, 2), False, 8, False, 10), 16, True),
        (ResNetCIFAR(20, "bottleneck", 4, 10), lambda: TorchResNet((2, 2, 2), True, 4, False, 10), 16, True),
        (
            ResNet(10, (1, 1, 1, 1), "bottleneck", 8, "imagenet"),
            lambda: TorchResNet((1, 1, 1, 1), True, 8, True, 10),
            64,
            True,
        ),
        (MobileNetV2(10), lambda: TorchMobileNetV2(False, 10), 64, False),
        (MobileNetV2(10, strides="cifar"), lambda: TorchMobileNetV2(True, 10), 16, False),
    ],
    ids=[
        "resnet-basic",
        "resnet-bottleneck",
        "resnet-imagenet-stem",
        "mobilenet-imagenet",
        "mobilenet-cifar",
    ],
)
def test_same_weights_give_the_same_results(model, reference, size, gradients, random_variables):
    x = np.random.default_rng(1).normal(size=(16, size, size, 3)).astype(np.float32)
    variables = random_variables(model, x.shape[1:])
    twin = reference()
    before = {
        name: to_torch(last, value) for collection in variables.values() for name, last, value in leaves(collection)
    }
    missing, unexpected = twin.load_state_dict(before, strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)

    # Evaluation
    x_torch = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    twin.eval()
    with torch.no_grad():
        expected = twin(x_torch).numpy()
    logits = jax.jit(lambda v: model.apply(v, x, train=False))(variables)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4 * np.std(expected))

    # Training: logits and running statistics
    count = {}  # values that each norm averages over
    for name, module in twin.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(
                lambda _, args, __, name=name: count.update({name: args[0].numel() // args[0].shape[1]})
            )
    twin.train()
    with torch.no_grad():
        expected = twin(x_torch).numpy()
    after = twin.state_dict()
    logits, updated = jax.jit(lambda v: model.apply(v, x, train=True, mutable=["batch_stats"]))(variables)
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-3 * np.std(expected))
    for name, last, value in leaves(updated["batch_stats"]):
        expected = after[name].numpy()
        if last == "var":  # PyTorch keeps the unbiased estimate
            n, kept = count[name.removesuffix(".running_var")], 0.9 * before[name].numpy()
            expected = kept + (expected - kept) * (n - 1) / n
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5, err_msg=name)
    if gradients:
        compare_gradients(model, variables, x, twin)


def compare_gradients(model, variables, x, twin):
    """In float64, since in float32 rounding moves activations over the corner of a ReLU."""
    twin.double()
    x_torch = torch.from_numpy(x.transpose(0, 3, 1, 2).astype(np.float64)).requires_grad_()
    output = twin(x_torch)
    weight = np.random.default_rng(2).normal(size=output.shape)
    (output * torch.from_numpy(weight)).sum().backward()
    expected = {name: parameter.grad.numpy() for name, parameter in twin.named_parameters()}
    expected["x"] = x_torch.grad.numpy().transpose(0, 2, 3, 1)
    if weight.ndim == 4:
        weight = weight.transpose(0, 2, 3, 1)
    with jax.enable_x64(True):
        wide = model.clone(dtype=jnp.float64)
        params, x = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), (variables["params"], x))

        def loss(params, x):
            y, _ = wide.apply({**variables, "params": params}, x, train=True, mutable=["batch_stats"])
            return jnp.sum(y * weight)

        grads, x_grad = jax.jit(jax.grad(loss, argnums=(0, 1)))(params, x)
    ours = {name: to_torch(last, value).numpy() for name, last, value in leaves(grads)}
    ours["x"] = np.asarray(x_grad)
    assert ours.keys() == expected.keys()
    for name, value in ours.items():
        error = np.linalg.norm(value - expected[name]) / np.linalg.norm(expected[name])
        assert error < 1e-5, (name, error)


@pytest.mark.parametrize(
    ("channels", "features", "expansion", "stride"),
    [(8, 8, 6, 1), (8, 12, 6, 2), (8, 8, 1, 1), (8, 12, 1, 1)],
)
def test_gradients_of_an_inverted_residual(channels, features, expansion, stride, random_variables):
    model = InvertedResidual(features, expansion, stride)
    x = np.random.default_rng(0).normal(size=(4, 8, 8, channels)).astype(np.float32)
    variables, twin = (
        random_variables(model, x.shape[1:]),
        TorchInverted(channels, features, expansion, stride),
    )
    state = {name: to_torch(last, value) for name, last, value in leaves(variables["params"])}
    twin.load_state_dict(state, strict=False)
    compare_gradients(model, variables, x, twin)
