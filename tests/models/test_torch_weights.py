"""ResNets-v1 with PyTorch's weights: the numbers that PyTorch has, and what is no such file refused in one line."""

import json
import pickle
import re
import struct

import numpy as np
import pytest

from distill_jax.errors import InputError
from distill_jax.models import torch_weights
from distill_jax.setting import GivenTeacherSetting
from experiments.image_parity import CASES, compare, differences, our_results
from tests.models.make_resnet_v1_fixture import CLASSES, FOLDER, NETWORKS

safetensors = pytest.importorskip("safetensors.numpy")
MODEL, _ = NETWORKS["small"]
WHOLE = FOLDER / "small.safetensors"


def read(path, model=MODEL, classes=CLASSES, channels=3):
    return torch_weights.read(path, model, classes, channels, "given.weights")


def changed(path, remove=(), **arrays):
    tensors = safetensors.load_file(WHOLE)
    safetensors.save_file({n: a for n, a in (tensors | arrays).items() if n not in remove}, path)
    return path


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_and_gradients_are_pytorch_s(name):
    model, _ = NETWORKS[name]
    with np.load(FOLDER / f"{name}.npz") as file:
        theirs = {key: file[key] for key in file.files}
    x, label = theirs.pop("x"), theirs.pop("label")
    found = differences(our_results(model, read(FOLDER / f"{name}.safetensors", model), x, label), theirs)
    assert found["logit_difference"] < 2e-6 * found["logit"]
    assert found["gradient_difference"] < 2e-6 * found["gradient"]


@pytest.mark.parametrize(
    "name",
    [name if case.torchvision is None else pytest.param(name, marks=pytest.mark.slow) for name, case in CASES.items()],
)
def test_the_networks_of_others_themselves_say_the_same(name):
    pytest.importorskip("torch", reason="the networks of others need PyTorch")
    if CASES[name].torchvision is not None:
        pytest.importorskip("torchvision")
    found = compare(CASES[name], images=4)
    assert found["logit_relative"] < 1e-5
    assert found["gradient_relative"] < 1e-5


def test_other_names_for_the_same_tensors_are_understood(tmp_path):
    words = {"downsample": "shortcut", "fc.": "linear."}
    tensors = {}
    for name, value in safetensors.load_file(WHOLE).items():
        tensors["module." + re.sub("downsample|^fc\\.", lambda m: words[m[0]], name)] = value
    safetensors.save_file(tensors, tmp_path / "a.safetensors")
    ours, again = read(WHOLE), read(tmp_path / "a.safetensors")
    np.testing.assert_equal(again, ours)


def test_every_tensor_must_be_of_the_network_and_fit(tmp_path):
    path, value = tmp_path / "a.safetensors", np.ones(3, np.float32)
    weights = safetensors.load_file(WHOLE)
    cases = [
        ({"remove": ["bn1.bias"]}, r"lacks bn1\.bias; must be of the network that is named beside it"),
        ({"remove": ["bn1.bias", "bn1.weight"]}, r"lacks bn1\.\w+ and 1 more; must be"),
        ({"conv1.bias": value}, r"has besides conv1\.bias; must be of the network"),
        ({"module.bn1.bias": value}, r"has both bn1\.bias and module\.bn1\.bias; must have one"),
        ({"conv1.weight": weights["conv1.weight"][:, :1].copy()}, r"conv1\.weight has the shape \(3, 1, 3, 3\); must"),
        (
            {"fc.weight": np.array(1, np.float32)},
            r"must be of 5 classes, as the data, and not of the shape \(\)",
        ),
        ({"bn1.weight": np.full(3, np.nan, np.float32)}, r"bn1\.weight must be finite"),
        ({"bn1.running_var": -value}, r"bn1\.running_var must be finite, and a variance not negative"),
    ]
    for change, message in cases:
        remove = change.pop("remove", ())
        with pytest.raises(InputError, match=message):
            read(changed(path, remove, **change))
    with pytest.raises(
        InputError, match=r"must be of 7 classes, as the data, and not of the shape \(5, 12\); train its last layer"
    ):
        read(WHOLE, MODEL.clone(num_classes=7), classes=7)
    with pytest.raises(InputError, match=r"conv1\.weight has the shape \(3, 3, 3, 3\); must be \(3, 1, 3, 3\)"):
        read(WHOLE, channels=1)


def test_half_precision_is_read_as_float32(tmp_path):
    tensors = {n: a.astype(np.float16) if a.dtype == np.float32 else a for n, a in safetensors.load_file(WHOLE).items()}
    safetensors.save_file(tensors, tmp_path / "a.safetensors")
    kernel = read(tmp_path / "a.safetensors")["params"]["stem_conv"]["kernel"]
    assert kernel.dtype == np.float32
    np.testing.assert_allclose(kernel, read(WHOLE)["params"]["stem_conv"]["kernel"], rtol=1e-3)


def test_pickles_are_refused_unread_with_what_converts_them(tmp_path):
    class Harm:
        def __reduce__(self):
            return (tmp_path / "harmed").touch, ()

    for name in ("a.pth", "a.safetensors"):
        (tmp_path / name).write_bytes(pickle.dumps(Harm()))
        with pytest.raises(
            InputError, match=r"is a pickle, which may run code; must be .*torch\.load\('a\.\w+', 'cpu'"
        ):
            read(tmp_path / name)
    assert not (tmp_path / "harmed").exists()


def test_what_cannot_be_read_is_said(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(InputError, match="does not exist; must be a file of safetensors"):
        read(path)
    with pytest.raises(InputError, match="is no file; must be a file of safetensors"):
        read(tmp_path)
    header = json.dumps({"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}).encode()
    for content in (b"", b"nothing", WHOLE.read_bytes()[:5000], struct.pack("<Q", len(header)) + header):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"cannot be read .*; save or fetch it again"):
            read(path)


def test_a_header_of_any_length_is_no_pickle(tmp_path):
    path, first = tmp_path / "a.safetensors", b""
    for length in range(32):  # until the first byte, which is of the header's length, is that of a pickle
        safetensors.save_file(safetensors.load_file(WHOLE), path, {"note": "x" * 8 * length})
        if (first := path.read_bytes()[:1]) == b"\x80":
            break
    assert first == b"\x80"
    np.testing.assert_equal(read(path), read(WHOLE))


def test_normalisation_is_by_network_and_data_or_as_it_is_set():
    def numbers(network="resnet-cifar-v1", classes=10, channels=3, **given):
        return torch_weights.normalisation(GivenTeacherSetting(**given), network, classes, channels)

    assert numbers()[0] == (0.4914, 0.4822, 0.4465)
    assert numbers(classes=100)[1] == (0.2673, 0.2564, 0.2761)
    assert numbers("resnet50-v1", 100) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert numbers(mean=(0.5,)) == ((0.5, 0.5, 0.5), (0.2023, 0.1994, 0.2010))
    for given, message in (
        ({"mean": (120.0, 120.0, 120.0)}, r"given.mean 120\.0 .*: must be of pixels in \[0, 1\]$"),
        ({"std": (0.0,)}, r"given.std 0\.0: must be of pixels in \[0, 1\], and positive"),
        ({"std": (0.1, 0.2)}, "given.std 0.1 0.2: must be one number, or 3, one for each channel"),
    ):
        with pytest.raises(InputError, match=message):
            numbers(**given)
    with pytest.raises(InputError, match=r"given.mean 0.4914 .* must be one number, or 1, one"):
        numbers(channels=1)
