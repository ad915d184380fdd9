import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from distill_jax.errors import InputError
from distill_jax.models import (
    MLP,
    Linear,
    MobileNetV2,
    RandomFeatures,
    ResNet18,
    ResNet50,
    ResNetCIFAR,
    build_model,
    count_parameters,
    first_positions,
)
from distill_jax.models.channel import Channel, apart, at_once
from distill_jax.models.evaluation import evaluation, rounded_kernels
from distill_jax.models.layers import conv
from distill_jax.models.mobilenet import divisible_by_8
from distill_jax.models.resnet import ResidualUnit
from distill_jax.models.resnet_v1 import named, of_cifar
from distill_jax.setting import ModelSetting
from experiments.throughput.flops import flops_by_precision

SMALL = {
    "resnet-basic": (ResNetCIFAR(8, "basic", 4, 10), (8, 8, 3)),
    "resnet-v1": (of_cifar(8, 4, 10), (8, 8, 3)),
    "resnet-bottleneck": (ResNetCIFAR(11, "bottleneck", 4, 10), (8, 8, 3)),
    "mobilenet-v2": (MobileNetV2(10, 0.25, "cifar"), (8, 8, 3)),
    "mlp": (MLP(10, (16, 12)), (5, 4, 1)),
    "linear": (Linear(10), (20,)),
    "random-features": (RandomFeatures(10, 40), (20,)),
    "channel": (Channel(10), (20,)),
}


def shapes(model, input_shape=(32, 32, 3)):
    return jax.eval_shape(
        lambda key, x: model.init(key, x, train=False), jax.random.key(0), jnp.zeros((2, *input_shape))
    )


def init(model, input_shape, seed=0):
    return jax.jit(lambda key, x: model.init(key, x, train=False))(jax.random.key(seed), jnp.zeros((2, *input_shape)))


def inputs(shape, batch=8, seed=1):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(batch, *shape)), jnp.float32)


def flat(tree):
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def without_norms(params):
    return sum(math.prod(leaf.shape) for path, leaf in flat(params).items() if "norm" not in path)


@pytest.mark.parametrize(
    ("depth", "block", "published", "digits", "exact"),
    [
        # He et al. 2015, table 6 and He et al. 2016, table 4 count convolutions and the dense layer. The
        # exact counts, normalisation included, are those of the pytorchcv zoo for PreResNet on CIFAR-10,
        # where it has one.
        (20, "basic", 0.27, 2, 272_282),
        (32, "basic", 0.46, 2, None),
        (44, "basic", 0.66, 2, None),
        (56, "basic", 0.85, 2, 855_578),
        (110, "basic", 1.7, 1, 1_730_522),
        (164, "bottleneck", 1.7, 1, 1_703_258),
        (1001, "bottleneck", 10.2, 1, 10_327_706),
    ],
)
def test_resnet_cifar_parameters_are_the_published_ones(depth, block, published, digits, exact):
    params = shapes(ResNetCIFAR(depth, block, 16, 10))["params"]
    assert round(without_norms(params) / 1e6, digits) == published
    if exact:
        assert count_parameters(params) == exact


@pytest.mark.parametrize(("depth", "expected"), [(20, 593_732), (56, 1_686_468)])
def test_the_block_of_keras_has_its_parameters(depth, expected):
    # Of a CIFAR-100 network by Keras' example, without running statistics. With 10 classes its summary prints 574,090
    # and 1,673,738 with them: two for each scale.
    of_100, of_10 = (shapes(ResNetCIFAR(depth, "keras", 16, classes)) for classes in (100, 10))
    assert count_parameters(of_100["params"]) == expected
    both = {20: 574_090, 56: 1_673_738}[depth]
    assert count_parameters(of_10["params"]) + count_parameters(of_10["batch_stats"]) == both
    narrower = count_parameters(shapes(ResNetCIFAR(depth, "bottleneck", 16, 100))["params"])
    basic = count_parameters(shapes(ResNetCIFAR(depth, "basic", 16, 100))["params"])
    assert narrower < basic < expected / 1.9
    kernels = [leaf.shape for path, leaf in flat(of_100["params"]).items() if "unit1" in path and "kernel" in path]
    expected_kernels = []
    for channels, within, features in ((16, 16, 64), (64, 64, 128), (128, 128, 256)):
        expected_kernels += [(1, 1, channels, within), (3, 3, within, within), (1, 1, within, features)]
        expected_kernels.append((1, 1, channels, features))  # of the shortcut
    assert sorted(kernels) == sorted(expected_kernels)


@pytest.mark.parametrize("block", ["bottleneck", "keras"])
def test_a_unit_that_reduces_is_what_its_block_says(block, random_variables):
    unit, x = ResidualUnit(block, 4, 6, stride=2), inputs((8, 8, 3))
    variables = random_variables(unit, (8, 8, 3))
    params, stats = variables["params"], variables["batch_stats"]

    def activated(y, name):
        scale = params[name]["scale"] / jnp.sqrt(stats[name]["var"] + 1e-5)
        return jnp.maximum((y - stats[name]["mean"]) * scale + params[name]["bias"], 0)

    def convolved(y, name, stride):
        kernel, half = params[name]["kernel"], len(params[name]["kernel"]) // 2
        how = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "precision": "highest"}
        y = jax.lax.conv_general_dilated(y, kernel, (stride, stride), ((half, half),) * 2, **how)
        return y + params[name].get("bias", 0)

    first, second = (2, 1) if block == "keras" else (1, 2)
    begun = activated(x, "norm1")
    y = convolved(activated(convolved(begun, "conv1", first), "norm2"), "conv2", second)
    y = convolved(activated(y, "norm3"), "conv3", 1)
    expected = y + convolved(x if block == "keras" else begun, "shortcut", 2)
    assert ("bias" in params["conv1"]) == (block == "keras")
    np.testing.assert_allclose(unit.apply(variables, x, train=False), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("network", "version_1", "projections"),
    [
        (ResNet18, 11_689_512, (128, 256, 512)),
        (ResNet50, 25_557_032, (256, 512, 1024, 2048)),
    ],
)
def test_resnet_imagenet_parameters_are_the_published_ones(network, version_1, projections):
    # torchvision's counts are of version 1, which differs in one thing only: its projections are normalised.
    # (The norms of all other convolutions move from their outputs to their inputs, which telescopes.)
    params = shapes(network(1000, "imagenet"), (64, 64, 3))["params"]
    assert count_parameters(params) == version_1 - 2 * sum(projections)
    # The small stem replaces a 7x7 kernel by a 3x3 one.
    small = shapes(network(1000), (64, 64, 3))["params"]
    assert count_parameters(params) - count_parameters(small) == (49 - 9) * 3 * 64


@pytest.mark.parametrize(
    ("name", "expected"), [("resnet18-v1", 11_689_512), ("resnet34-v1", 21_797_672), ("resnet50-v1", 25_557_032)]
)
def test_version_1_has_the_parameters_that_torchvision_has(name, expected):
    assert count_parameters(shapes(named(name, 1000), (64, 64, 3))["params"]) == expected


@pytest.mark.parametrize(("depth", "expected"), [(20, 0.27), (32, 0.47), (44, 0.66), (56, 0.86)])
def test_version_1_for_cifar_has_the_parameters_that_pytorch_cifar_models_has(depth, expected):
    assert round(count_parameters(shapes(of_cifar(depth, 16, 10))["params"]) / 1e6, 2) == expected


@pytest.mark.parametrize("strides", ["imagenet", "cifar"])
def test_mobilenet_parameters_are_the_published_ones(strides):
    assert count_parameters(shapes(MobileNetV2(1000, strides=strides))["params"]) == 3_504_872


def test_mobilenet_channels_are_rounded_as_published():
    rounded = {11.2: 16, 8.4: 8, 12: 16, 24: 24, 33.6: 32, 22.4: 24, 44.8: 48, 4: 8}
    assert {channels: divisible_by_8(channels) for channels in rounded} == rounded
    narrow = shapes(MobileNetV2(10, 0.35))["params"]
    wide = shapes(MobileNetV2(10, 1.4))["params"]
    assert narrow["last_conv"]["kernel"].shape[-1] == 1280
    assert wide["last_conv"]["kernel"].shape[-1] == 1792


@pytest.mark.parametrize(
    ("model", "size", "layer", "expected"),
    [
        (MobileNetV2(10), 32, "last_conv", 1),
        (MobileNetV2(10), 64, "last_conv", 2),
        (MobileNetV2(10, strides="cifar"), 32, "last_conv", 4),
        (ResNetCIFAR(8, "basic", 16, 10), 32, "final_norm", 8),
        (ResNetCIFAR(11, "keras", 16, 10), 32, "final_norm", 8),
        (ResNet18(10), 64, "final_norm", 8),
        (ResNet50(10, "imagenet"), 64, "final_norm", 2),
        (ResNet50(10, "imagenet"), 224, "final_norm", 7),
        (named("resnet18-v1", 10), 224, "stage4_unit2", 7),
        (named("resnet18-v1", 10, "small"), 32, "stage4_unit2", 4),
        (of_cifar(8, 16, 10), 32, "stage3_unit1", 8),
    ],
)
def test_positions_at_the_end(model, size, layer, expected):
    def features(x):
        _, state = model.init_with_output(jax.random.key(0), x, train=False, capture_intermediates=True, mutable=True)
        return state["intermediates"][layer]["__call__"][0]

    assert jax.eval_shape(features, jnp.zeros((2, size, size, 3))).shape[1:3] == (expected, expected)


def test_dense_counts():
    assert count_parameters(shapes(MLP(10, (256,)), (784,))["params"]) == 785 * 256 + 257 * 10
    assert count_parameters(shapes(MLP(10, (30, 20)), (4, 4, 3))["params"]) == 49 * 30 + 31 * 20 + 21 * 10
    assert count_parameters(shapes(Linear(10), (784,))["params"]) == 7850
    assert count_parameters(shapes(RandomFeatures(10), (784,))["params"]) == 50_010
    assert count_parameters(shapes(Channel(10), (1000,))["params"]) == 1000


def test_convolutions_start_with_he_fan_out():
    for layer, channels, variance in (
        (conv(200, 3, name="c"), 50, 2 / 1800),
        (conv(100, 1, name="c"), 300, 2 / 100),
        (conv(2000, 3, groups=2000, name="c"), 2000, 2 / 9),
    ):
        kernel = layer.init(jax.random.key(0), jnp.zeros((1, 4, 4, channels)))["params"]["kernel"]
        assert np.mean(kernel) == pytest.approx(0, abs=0.05 * math.sqrt(variance))
        assert np.var(kernel) == pytest.approx(variance, rel=0.05)


def all_float32(tree):
    return all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("name", SMALL)
def test_bfloat16_keeps_float32_variables_and_close_logits(name, random_variables):
    model, shape = SMALL[name]
    low, x = model.clone(dtype=jnp.bfloat16), inputs(shape, batch=32)
    variables = random_variables(model, shape)
    logits, low_logits = (jax.jit(lambda v, m=m: m.apply(v, x, train=False))(variables) for m in (model, low))
    assert logits.shape == low_logits.shape == (32, 10)
    assert logits.dtype == low_logits.dtype == jnp.float32
    assert np.std(low_logits - logits) < 0.05 * np.std(logits)
    assert np.any(low_logits != logits) or name in ("linear", "channel")  # which are all float32 head

    def step(v):
        return low.apply(v, x, train=True, mutable=["batch_stats"])

    assert all_float32(shapes(low, shape))
    assert all_float32(jax.eval_shape(step, variables))


@pytest.mark.parametrize("name", SMALL)
def test_float32_products_are_computed_in_float32(name):
    # A CPU does so whatever is asked; GPUs and TPUs do not.
    model, shape = SMALL[name]
    program = jax.jit(lambda v, x: model.apply(v, x, train=False)).lower(shapes(model, shape), inputs(shape))
    products = [
        line
        for line in program.as_text().splitlines()
        if "stablehlo.convolution" in line or "stablehlo.dot_general" in line
    ]
    assert products
    assert all(line.count("HIGHEST") == 2 for line in products)


@pytest.mark.parametrize("name", SMALL)
def test_first_positions_are_those_of_the_first_convolution(name):
    model, shape = SMALL[name]
    setting = {
        "resnet-basic": ModelSetting("resnet-cifar", depth=8),
        "resnet-v1": ModelSetting("resnet-cifar-v1", depth=8),
        "resnet-bottleneck": ModelSetting("resnet-cifar", depth=11, block="bottleneck"),
        "mobilenet-v2": ModelSetting("mobilenet-v2", strides="cifar"),
    }.get(name, ModelSetting(name))
    traced = jax.make_jaxpr(lambda v, x: model.apply(v, x, train=False))(shapes(model, shape), inputs(shape))
    first = next((e for e in traced.eqns if e.primitive.name == "conv_general_dilated"), None)
    assert first_positions(setting, shape) == (0 if first is None else math.prod(first.outvars[0].aval.shape[1:3]))


def test_first_positions_of_a_stem_of_stride_2():
    assert first_positions(ModelSetting("mobilenet-v2"), (33, 32, 3)) == 17 * 16
    assert first_positions(ModelSetting("resnet18-v1"), (33, 32, 3)) == 17 * 16
    assert first_positions(ModelSetting("resnet18-v1", stem="small"), (33, 32, 3)) == 33 * 32


@pytest.mark.parametrize("around", ["default", "highest"])
@pytest.mark.parametrize("name", SMALL)
def test_what_teaches_and_is_dumped_takes_three_passes_on_tpus_alone(name, around):
    model, shape = SMALL[name]
    arguments = shapes(model, shape), inputs(shape)
    found = {}
    with jax.default_matmul_precision(around):
        for platform in ("cpu", "cuda", "tpu"):
            traced = jax.make_jaxpr(evaluation(model.clone(dtype=jnp.bfloat16), platform))(*arguments)
            found[platform] = flops_by_precision(traced)
        trained = jax.make_jaxpr(lambda v, x: model.apply(v, x, train=False))(*arguments)
    work = flops_by_precision(trained)
    assert set(work) == {"float32"}
    assert found == {"cpu": work, "cuda": work, "tpu": {"three passes": work["float32"]}}


@pytest.mark.parametrize("name", SMALL)
def test_kernels_rounded_before_a_bfloat16_teacher_teaches_change_nothing(name, random_variables):
    model, shape = SMALL[name]
    variables, x = random_variables(model, shape), inputs(shape)
    before = rounded_kernels(variables)
    said = jax.jit(evaluation(model.clone(dtype=jnp.bfloat16), "cpu", "bfloat16"))
    np.testing.assert_array_equal(said(variables, x), said(before, x))
    float32 = jax.jit(evaluation(model.clone(dtype=jnp.bfloat16), "cpu"))
    single = name in ("linear", "channel")
    assert np.array_equal(float32(variables, x), said(variables, x)) == single


@pytest.mark.parametrize("name", SMALL)
def test_mapped_over_members_equals_solo(name, random_variables):
    model, shape = SMALL[name]
    x = inputs(shape, batch=32)

    def step(variables):
        def loss(params):
            logits, updated = model.apply({**variables, "params": params}, x, train=True, mutable=["batch_stats"])
            return jnp.mean(jax.nn.logsumexp(logits, -1) - logits[:, 0]), (logits, updated)

        if name in ("resnet-bottleneck", "mobilenet-v2"):  # their gradients take long to compile
            return loss(variables["params"])
        return jax.value_and_grad(loss, has_aux=True)(variables["params"])

    members = [random_variables(model, shape, seed) for seed in range(2)]
    together = jax.jit(jax.vmap(step))(jax.tree.map(lambda *leaves: jnp.stack(leaves), *members))
    alone = jax.jit(step)
    for index, variables in enumerate(members):
        mapped = flat(jax.tree.map(lambda leaf, index=index: leaf[index], together))
        for path, expected in flat(alone(variables)).items():
            np.testing.assert_allclose(mapped[path], expected, rtol=1e-3, atol=1e-4, err_msg=path)


def test_batch_statistics_are_of_the_whole_batch_on_many_devices(random_variables):
    devices = jax.devices()
    if len(devices) < 2:
        pytest.skip("needs two devices")
    model, shape = SMALL["resnet-basic"]
    variables = random_variables(model, shape)
    x = inputs(shape, batch=4 * len(devices)) * jnp.linspace(0.1, 3, 4 * len(devices))[:, None, None, None]
    mesh = jax.make_mesh((len(devices),), ("batch",), axis_types=(AxisType.Auto,))
    run = jax.jit(lambda v, x: model.apply(v, x, train=True, mutable=["batch_stats"]))
    expected = flat(run(variables, x))
    sharded = jax.device_put(x, NamedSharding(mesh, PartitionSpec("batch")))
    for path, leaf in flat(run(variables, sharded)).items():
        np.testing.assert_allclose(leaf, expected[path], rtol=1e-4, atol=1e-5, err_msg=path)


def test_mlp_and_its_gradient_against_finite_differences(random_variables):
    model = MLP(3, (7, 5))
    params = random_variables(model, (4, 2, 1))["params"]
    x, weight = inputs((4, 2, 1), batch=6), np.random.default_rng(2).normal(size=(6, 3))

    def reference(params):  # in float64
        y = np.asarray(x, np.float64).reshape(6, 8)
        for name in ("hidden1", "hidden2"):
            y = np.maximum(y @ params[name]["kernel"] + params[name]["bias"], 0)
        return y @ params["head"]["weight"].T + params["head"]["bias"]

    wide = jax.tree.map(lambda leaf: np.array(leaf, np.float64), params)
    logits = model.apply({"params": params}, x, train=True)
    np.testing.assert_allclose(logits, reference(wide), rtol=1e-5, atol=1e-6)

    grads = jax.grad(lambda p: jnp.sum(model.apply({"params": p}, x, train=True) * weight))(params)
    for layer, leaves in wide.items():
        for name, leaf in leaves.items():
            numeric = np.empty_like(leaf)
            for index in np.ndindex(leaf.shape):
                kept, step = leaf[index], 1e-6
                leaf[index] = kept + step
                above = np.sum(reference(wide) * weight)
                leaf[index] = kept - step
                numeric[index] = (above - np.sum(reference(wide) * weight)) / (2 * step)
                leaf[index] = kept
            np.testing.assert_allclose(grads[layer][name], numeric, rtol=1e-4, atol=1e-5)


def test_random_features_are_fixed_saved_and_differ_by_seed():
    model, shape = RandomFeatures(10, 4000), (6, 5, 2)
    variables = init(model, shape)
    kernel = np.asarray(variables["constants"]["kernel"], np.float64)
    assert set(variables) == {"params", "constants"}
    assert kernel.shape == (60, 4000)
    assert set(variables["params"]) == {"head"}
    assert np.all(kernel != init(model, shape, seed=1)["constants"]["kernel"])
    assert np.std(kernel) == pytest.approx(1, rel=0.01)

    x = inputs(shape)
    features = np.maximum(np.asarray(x, np.float64).reshape(8, 60) @ kernel / math.sqrt(60), 0)
    features *= math.sqrt(2 / 4000)
    head = variables["params"]["head"]
    logits, updated = model.apply(variables, x, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(logits, features @ head["weight"].T + head["bias"], rtol=1e-4, atol=1e-5)
    assert not updated
    narrow = init(ResNetCIFAR(8, "basic", 4, 10), (8, 8, 3))["params"]["head"]["kernel"]
    np.testing.assert_array_equal(init(Linear(10), narrow.shape[:1])["params"]["head"]["weight"].T, narrow)
    length = np.sum(features**2, axis=1)
    np.testing.assert_allclose(length, np.mean(np.square(x), axis=(1, 2, 3)), rtol=0.1)


def test_a_channel_reaches_its_own_class_alone(random_variables):
    model, x = Channel(3), inputs((3, 4))
    variables = random_variables(model, (3, 4))
    kernel = np.asarray(variables["params"]["kernel"])
    logits = np.asarray(model.apply(variables, x, train=True))
    np.testing.assert_allclose(logits, np.sum(np.asarray(x) * kernel, axis=2), rtol=1e-5, atol=1e-6)
    changed = np.asarray(model.apply(variables, x.at[:, 1].add(1.0), train=True))
    np.testing.assert_array_equal(changed[:, [0, 2]], logits[:, [0, 2]])
    assert np.var(init(Channel(10), (5000,))["params"]["kernel"]) == pytest.approx(1 / 500, rel=0.1)


@pytest.mark.parametrize(
    ("setting", "network"),
    [
        (ModelSetting("resnet-cifar", depth=20), ResNetCIFAR(20, "basic", 16, 7)),
        (
            ModelSetting("resnet-cifar", depth=11, block="bottleneck", width=8),
            ResNetCIFAR(11, "bottleneck", 8, 7),
        ),
        (ModelSetting("resnet-cifar", depth=11, block="keras"), ResNetCIFAR(11, "keras", 16, 7)),
        (ModelSetting("resnet18"), ResNet18(7)),
        (ModelSetting("resnet50"), ResNet50(7)),
        (ModelSetting("mobilenet-v2", multiplier=0.5, strides="cifar"), MobileNetV2(7, 0.5, "cifar")),
        (ModelSetting("mlp", hidden=(3, 4)), MLP(7, (3, 4))),
        (ModelSetting("linear"), Linear(7)),
        (ModelSetting("random-features", features=9), RandomFeatures(7, 9)),
    ],
)
def test_build_model(setting, network):
    built = build_model(setting, 7, (32, 32, 3))
    assert shapes(built) == shapes(network)
    assert build_model(setting, 7, (32, 32, 3), precision="bfloat16").dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (ModelSetting("resnet-cifar", depth=57), r"teacher.depth 57: .* 6n\+2; .* 56 and 62"),
        (ModelSetting("resnet-cifar", depth=2), r"teacher.depth 2: .* 8 and 14"),
        (ModelSetting("resnet-cifar", depth=-9), r"teacher.depth -9: .* 8 and 14"),
        (ModelSetting("resnet-cifar", depth=100, block="bottleneck"), r"depth 100: .* 9n\+2; .* 92 and 101"),
        (ModelSetting("resnet-cifar", depth=21, block="keras"), r"depth 21: with keras blocks .* 20 and 29"),
        (ModelSetting("resnet-cifar", width=0), r"teacher.width 0: "),
        (ModelSetting("mobilenet-v2", multiplier=0), r"teacher.multiplier 0: "),
        (ModelSetting("mobilenet-v2", multiplier=math.nan), r"teacher.multiplier nan: "),
        (ModelSetting("mlp", hidden=(5, 0)), r"teacher.hidden 5 0: "),
        (ModelSetting("random-features", features=-1), r"teacher.features -1: "),
        (ModelSetting("vgg"), r"teacher.name vgg: must be one of resnet-cifar, .*, channel"),
    ],
)
def test_wrong_settings_are_named(setting, message):
    with pytest.raises(InputError, match=message) as caught:
        build_model(setting, 10, (32, 32, 3), role="teacher")
    assert "\n" not in str(caught.value)


def test_channels_are_as_many_as_classes():
    assert shapes(build_model(ModelSetting("channel"), 6, (32, 32, 3))) == shapes(Channel(6))
    with pytest.raises(InputError, match=r"student.name channel: needs as many values for each of the 7 .* 3072"):
        build_model(ModelSetting("channel"), 7, (32, 32, 3), role="student")


@pytest.mark.parametrize("name", ["resnet-cifar", "resnet18", "resnet50", "mobilenet-v2"])
def test_convolutions_need_images(name):
    with pytest.raises(InputError, match=rf"student.name {name}: needs images .*\(64,\)"):
        build_model(ModelSetting(name), 10, (64,), role="student")


def test_products_of_channels_apart_are_the_one_product():
    keys = jax.random.split(jax.random.key(0), 3)
    x, kernel, weight = (jax.random.normal(k, s) for k, s in zip(keys, ((7, 3, 5), (3, 5), (7, 3)), strict=True))
    outcomes = [
        jax.value_and_grad(lambda x, k, f=f: (weight * f(x, k)).sum(), (0, 1))(x, kernel) for f in (apart, at_once)
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), *outcomes)
