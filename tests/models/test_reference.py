"""Our networks against plain PyTorch ones with the same weights: logits, running statistics and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill_jax.models import MobileNetV2, ResNetCIFAR
from distill_jax.models.mobilenet import InvertedResidual
from distill_jax.models.resnet import ResNet

torch = pytest.importorskip("torch", reason="the reference networks need PyTorch")
from experiments.throughput import pytorch_networks as twins  # noqa: E402 (it needs PyTorch)
from experiments.throughput.pytorch_networks import leaves, state_of, to_torch  # noqa: E402


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("model", "reference", "size", "gradients"),
    [
        (ResNetCIFAR(14, "basic", 8, 10), lambda: twins.ResNet((2, 2, 2), False, 8, False, 10), 16, True),
        (
            ResNetCIFAR(20, "bottleneck", 4, 10),
            lambda: twins.ResNet((2, 2, 2), True, 4, False, 10),
            16,
            True,
        ),
        (
            ResNet(10, (1, 1, 1, 1), "bottleneck", 8, "imagenet"),
            lambda: twins.ResNet((1, 1, 1, 1), True, 8, True, 10),
            64,
            True,
        ),
        (MobileNetV2(10), lambda: twins.MobileNetV2(False, 10), 64, False),
        (MobileNetV2(10, strides="cifar"), lambda: twins.MobileNetV2(True, 10), 16, False),
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
    before = state_of(variables)
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
        if isinstance(module, torch.nn.BatchNorm2d):
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
        twins.InvertedResidual(channels, features, expansion, stride),
    )
    state = {name: to_torch(last, value) for name, last, value in leaves(variables["params"])}
    twin.load_state_dict(state, strict=False)
    compare_gradients(model, variables, x, twin)
