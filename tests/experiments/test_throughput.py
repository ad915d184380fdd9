"""The benchmark: what it counts, that both sides do the same work, and the command from its options to its file."""

import dataclasses
import json

import command
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_study import advance, dataset

from distill_jax.data.dataset import Dataset, Split, Vocabulary
from distill_jax.errors import InputError
from distill_jax.machine import backend
from distill_jax.machine.placement import on_host
from distill_jax.models import MobileNetV2, ResNet18, ResNet50, ResNetCIFAR, build_for
from distill_jax.models.outputs import Outputs
from distill_jax.setting import ModelSetting, OptimizerSetting, RobertaSetting, RunSetting
from distill_jax.training.losses import kd
from distill_jax.training.population import Member
from distill_jax.training.programs import Programs
from distill_jax.training.trainer import Trainer
from experiments.throughput import grid, measure, ours, picture, results
from experiments.throughput.__main__ import main
from experiments.throughput.data import synthetic
from experiments.throughput.flops import flops
from experiments.throughput.grid import NETWORKS, Network, Row
from experiments.throughput.roofline import Roofs
from experiments.throughput.rounds import Contender, ratios, take_turns
from experiments.throughput.table import markdown

MLP_ROW = "digits-mlp/one-hot/float32/128/p1"
STILL = RobertaSetting(layers=2, units=16, dropout=0.0, attention_dropout=0.0)
TEXTS = Network(
    ModelSetting("roberta", roberta=STILL),
    *((12,), 5, 20, 12, 20, 12, (20,)),
    optimizer=OptimizerSetting("adam", learning_rate=0.01),
    augment="none",
    vocabulary=Vocabulary(30, pad=1),
)


@pytest.fixture
def texts(monkeypatch):
    monkeypatch.setitem(NETWORKS, "texts", TEXTS)
    return synthetic("texts")


@pytest.fixture
def one_thread():
    torch = pytest.importorskip("torch", reason="the peer needs PyTorch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def variables_of(model, size):
    x = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    return jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), x), x


@pytest.mark.parametrize(
    ("model", "size", "millions"),
    [
        # Multiply-adds of one image. He et al. 2015 has 41 for ResNet-20 (0.04 G) and 1,800 for ResNet-18; the exact
        # numbers of the large networks are those torchvision publishes beside its weights, in G: 1.814, 4.089, 0.301.
        (ResNetCIFAR(20, "basic", 16, 10), 32, 40.8),
        (ResNet18(1000, "imagenet"), 224, 1814.1),
        (ResNet50(1000, "imagenet"), 224, 4089.2),
        (MobileNetV2(1000), 224, 300.8),
    ],
)
def test_forward_passes_have_the_published_flops(model, size, millions):
    counted = flops(jax.make_jaxpr(lambda v, x: model.apply(v, x, train=False))(*variables_of(model, size)))
    assert counted / 2e6 == pytest.approx(millions, rel=1e-3)


def test_gradients_take_twice_the_forward_pass_and_members_as_much_again():
    model = ResNetCIFAR(8, "basic", 16, 10)
    variables, x = variables_of(model, 32)

    def gradient(variables, x):
        def loss(params):
            return model.apply({**variables, "params": params}, x, train=True, mutable=["batch_stats"])[0].sum()

        return jax.grad(loss)(variables["params"])

    forward = flops(jax.make_jaxpr(lambda v, x: model.apply(v, x, train=False))(variables, x))
    first_layer = 2 * 32 * 32 * 16 * 27  # the gradient of the images is not asked for
    assert flops(jax.make_jaxpr(gradient)(variables, x)) == 3 * forward - first_layer
    of_three = jax.tree.map(lambda s: jax.ShapeDtypeStruct((3, *s.shape), s.dtype), variables)
    together = jax.make_jaxpr(jax.vmap(gradient, in_axes=(0, None)))(of_three, x)
    assert flops(together) == 3 * (3 * forward - first_layer)


def test_loops_count_as_often_as_they_run_and_branches_once():
    a = jnp.ones((8, 8))
    once = 2 * 8**3

    def product(a, _=None):
        return a @ a, None

    def branch(a):
        return jax.lax.cond(a[0, 0] > 0, lambda a: a @ a @ a, lambda a: a @ a, a)

    assert flops(jax.make_jaxpr(lambda a: jax.lax.scan(product, a, length=5)[0])(a)) == 5 * once
    assert flops(jax.jit(branch).trace(a).jaxpr) == 2 * once
    assert flops(jax.make_jaxpr(jax.vmap(lambda a: a @ a))(jnp.ones((3, 8, 8)))) == 3 * once


def by_hand(layers, units, tokens, classes):
    """FLOPs of a RoBERTa's forward pass: two for every use of a kernel's weight, and those of attention."""
    square = 2 * units**2  # of a token and a kernel; attention has four such kernels, and up and down are like eight
    layer = tokens * (12 * square + 4 * tokens * units)
    last = tokens * 2 * square + 10 * square + 4 * tokens * units  # keys and values of all, the rest of the first alone
    return (layers - 1) * layer + last + square + 2 * units * classes


@pytest.mark.parametrize(
    ("name", "layers", "units", "classes"),
    [("mnli-roberta-base", 12, 768, 3), ("mnli-roberta-small", 4, 512, 3), ("imdb-roberta-2x64", 2, 64, 2)],
)
def test_texts_have_the_flops_counted_by_hand(name, layers, units, classes):
    assert grid.forward_flops(name) == by_hand(layers, units, 128, classes)


def test_a_population_on_several_devices_has_the_flops_of_all(texts):
    assert jax.device_count() == 4
    programs = Programs(ours.setting_of(Row("texts", "one-hot", "float32", 20, 4)), texts, "student", (4, 1))
    traced = programs.jitted_steps(False, 1).trace(*programs.arguments_like(False, 1))
    assert flops(traced.jaxpr) == 4 * 20 * 3 * by_hand(2, 16, 12, 5)


def test_of_what_differs_by_platform_the_default_is_counted():
    x = jnp.ones((4, 4))
    for cuda in (lambda x: x, lambda x: x @ x @ x):
        traced = jax.make_jaxpr(lambda x, cuda=cuda: jax.lax.platform_dependent(x, cuda=cuda, default=lambda x: x @ x))(
            x
        )
        assert flops(traced) == 2 * 4**3


def test_texts_are_noise_without_padding():
    data = synthetic("imdb-roberta-2x64")
    assert (data.mean, data.std, data.vocabulary) == (None, None, Vocabulary(50_265, pad=1))
    assert (data.train.x.shape, data.train.x.dtype) == ((4000, 128), np.uint16)
    for split in (data.train, data.test):
        found = np.bincount(split.x.ravel(), minlength=50_265)
        assert found[1] == 0  # padding
        assert len(found) == 50_265
        assert np.abs(found - split.x.size / 50_264)[found > 0].max() < 8 * (split.x.size / 50_264) ** 0.5


def test_what_the_roofline_allows():
    roofs = Roofs(bandwidth=10.0, peak={"float32": 100.0, "bfloat16": 400.0})
    assert roofs.attainable("float32", 30.0, 6.0) == 50.0  # below the ridge: intensity 5 x bandwidth 10
    assert roofs.attainable("float32", 600.0, 6.0) == 100.0
    assert roofs.attainable("bfloat16", 600.0, 6.0) == 400.0
    program = ours.Program(
        steps=4, flops=120.0, bytes=24.0, xla_flops=0.0, memory=7.0, compiled=None, jaxpr=None, of=None
    )
    said = measure._of_the_roofline(Row("digits-mlp", "one-hot", "float32", 128, 1), program, 0.25, roofs)
    assert said["flops_per_s"] == 30.0
    assert said["roofline_fraction"] == pytest.approx(30 / 50)
    assert (said["flops_a_step"], said["bytes_a_step"], said["seconds_a_step"]) == (30.0, 6.0, 1.0)


def test_contenders_take_turns_and_are_compared_round_by_round():
    log = []
    contenders = [Contender(name, lambda n, name=name: log.append((name, n)), examples=2) for name in ("a", "b")]
    rates = take_turns(contenders, repeats=3, seconds=0.0)
    assert [name for name, _ in log] == ["a", "b"] * 4  # the first to see how long a call takes
    assert all(len(of_one) == 3 for of_one in rates.values())
    assert ratios([2.0, 9.0, 4.0], [1.0, 3.0, 4.0]) == {"ratio": 2.0, "ratio_low": 1.0, "ratio_high": 3.0}


def test_rows_have_names_of_their_own_and_a_cpu_leaves_out_the_long_ones():
    rows = list(grid.rows())
    assert len({row.name for row in rows}) == len(rows)
    assert {row.network for row in rows} == set(NETWORKS)
    assert grid.left_out(Row("cifar-resnet20", "one-hot", "float32", 128, 1)) is None
    assert "12,0" not in (why := grid.left_out(Row("tiny-resnet50", "kd", "float32", 1024, 16)))
    assert "too long on a CPU" in why
    assert all(grid.left_out(row) for row in rows if row.network == "mnli-roberta-base")
    assert not any(grid.left_out(row) for row in rows if row.network == "imdb-roberta-2x64" and row.population < 8)
    of_depthwise = [row for row in rows if row.network == "tiny-mobilenet-v2" and not grid.left_out(row)]
    assert {row.batch for row in of_depthwise} == {128, 256}  # slower than others of as many products
    of_features = [row for row in rows if row.network == "mnist-random-features"]  # computed once, but to evaluate
    assert {row.kind for row in of_features if grid.left_out(row)} == {"evaluate"}


def test_every_network_has_a_marker_of_its_own():
    assert set(picture._STYLES) == set(NETWORKS)
    assert len(set(picture._STYLES.values())) == len(NETWORKS)


@pytest.mark.parametrize(
    ("model", "shape", "optimizer", "kind"),
    [
        (ModelSetting("mlp", hidden=(16,)), (8, 8, 3), "sgd", "one-hot"),
        (ModelSetting("random-features", features=40), (8, 8, 3), "adam", "kd"),
        (ModelSetting("channel"), (20,), "adam", "kd"),
        (ModelSetting("resnet-cifar", depth=8, width=4), (8, 8, 3), "sgd", "kd"),
    ],
    ids=["mlp", "random-features", "channel", "resnet"],
)
def test_a_peer_s_steps_have_our_losses(model, shape, optimizer, kind, one_thread):
    from experiments.throughput.peer import Peer
    from experiments.throughput.pytorch_networks import state_of

    data = dataset(train=20, test=12)
    if len(shape) == 1:
        rng = np.random.default_rng(0)
        parts = [
            dataclasses.replace(part, x=rng.standard_normal((len(part.x), *shape), np.float32))
            for part in (data.train, data.test)
        ]
        data = Dataset("random", *parts, 5, np.zeros(shape, np.float32), np.ones(shape, np.float32))
    rule = OptimizerSetting(optimizer, learning_rate=0.01, weight_decay=1e-3 if optimizer == "sgd" else 0.0)
    network = Network(model, shape, 5, 20, 12, 20, 12, (20,), optimizer=rule, augment="none")
    # All examples are in every batch, so that the order in which they are drawn does not matter.
    base = ours.setting_of(Row("digits-mlp", kind, "float32", 20, 1))
    setting = dataclasses.replace(
        base,
        teacher=model,
        student=model,
        optimizer=rule,
        train=dataclasses.replace(base.train, batch_size=20),
        run=RunSetting(steps_per_dispatch=1, teacher_logits="in-step"),
    )
    trainer = Trainer(setting, data, "student")
    teacher, student = (
        jax.tree.map(on_host, trainer.initial_state([member]).variables)
        for member in (Member("teacher", 0), Member("one_hot", 0))
    )
    pupil = Member("kd" if kind == "kd" else "one_hot", 0)
    _, expected = advance(trainer, [pupil], teacher if kind == "kd" else None, steps=4)

    peer = Peer(network, data, "float32", 20, kind, compiled=False)
    for twin, variables in ((peer.student, student), (peer.teacher, teacher)):
        twin.load_state_dict(state_of(jax.tree.map(lambda leaf: leaf[0], variables)), strict=False)
    losses = [float(peer.step()) for _ in range(4)]
    assert peer.evaluate(8).shape == (12, 5)
    np.testing.assert_allclose(losses, expected[0], rtol=1e-4)
    assert losses[3] < losses[0]


def test_a_peer_of_texts_has_our_gradients(texts, one_thread):
    import torch

    from experiments.throughput.peer import Peer
    from experiments.throughput.pytorch_roberta import state_of

    model = build_for(texts, TEXTS.model, "float32", "--student")
    x, label = (jnp.asarray(a) for a in (texts.train.x, texts.train.label))

    @jax.jit
    def drawn(seed):  # with larger weights than at first, so that logits differ from text to text
        return jax.tree.map(lambda leaf: 10 * leaf, model.init(jax.random.key(seed), x, train=False))

    teacher, student = map(drawn, range(2))

    def loss(variables):
        both = (Outputs(model.apply(of, x, train=train)) for of, train in ((variables, True), (teacher, False)))
        return kd(*both, label, temperature=TEXTS.temperature, distillation_scale="T^2").mean()

    expected, gradients = jax.jit(jax.value_and_grad(loss))(student)
    peer = Peer(TEXTS, texts, "float32", 20, "kd", compiled=False)
    peer.student.load_state_dict(state_of(student))
    peer.teacher.load_state_dict(state_of(teacher))
    found, _ = peer.loss(torch.arange(20))
    found.backward()
    assert found.item() == pytest.approx(float(expected), rel=1e-5)
    gradients = state_of(gradients)
    largest = max(float(gradient.abs().max()) for gradient in gradients.values())
    assert largest > 0.1
    for name, parameter in peer.student.named_parameters():
        np.testing.assert_allclose(parameter.grad, gradients.pop(name), atol=1e-5 * largest, err_msg=name)
    assert not gradients


def test_a_peer_of_texts_drops_in_training_alone(texts, one_thread):
    import torch

    from experiments.throughput.peer import Peer

    for name in ("dropout", "attention_dropout"):
        setting = dataclasses.replace(STILL, **{name: 0.1})
        network = dataclasses.replace(TEXTS, model=ModelSetting("roberta", roberta=setting))
        peer = Peer(network, texts, "float32", 20, "kd", compiled=False)
        assert not torch.equal(peer.student(peer.x), peer.student(peer.x))
        assert torch.equal(peer.teacher(peer.x), peer.teacher(peer.x))
        np.testing.assert_array_equal(peer.evaluate(12), peer.evaluate(12))


def test_a_peer_crops_and_mirrors_as_ours_does():
    torch = pytest.importorskip("torch", reason="the peer needs PyTorch")
    from experiments.throughput.peer import Peer

    x = np.random.default_rng(0).integers(1, 256, (6, 16, 16, 3)).astype(np.uint8)
    label = np.zeros(6, np.int32)
    split = Split(x, label, label, np.arange(6))
    data = Dataset("random", split, split, 2, np.zeros(3, np.float32), np.ones(3, np.float32))
    network = Network(ModelSetting("mlp", hidden=()), (16, 16, 3), 2, 6, 6, 6, 6, (6,))
    peer = Peer(network, data, "float32", 6, "one-hot", compiled=False)
    seen = set()
    for _ in range(200):  # 1,200 draws of 50: that one is missed has a chance of 1 in a billion
        for image, raw in zip(peer._augmented(torch.arange(6)).numpy(), x, strict=True):
            padded = np.pad(raw, ((2, 2), (2, 2), (0, 0)))
            crops = {
                (up, left, flip): padded[up : up + 16, left : left + 16][:, :: -1 if flip else 1]
                for up in range(5)
                for left in range(5)
                for flip in (False, True)
            }
            [found] = [where for where, crop in crops.items() if np.array_equal(crop, image)]
            seen.add(found)
    assert len(seen) == 50


def test_a_dump_is_compared_with_np_save(tmp_path):
    row = Row("cifar-resnet20", "dump", "float32", 5000, 2)
    said = measure.measure(row, None, None, 2, 0.0, tmp_path, {"device": "this"})
    assert set(said["peers"]) == {"np.save", "np.save and fsync"}
    each = 5000 * (100 * 4 + 4 + 4 + 8)
    assert said["megabytes_per_s"] == pytest.approx(said["examples_per_s"] * each / 5000 / 1e6)
    assert said["ratio"] == said["peers"][said["peer"]]["ratio"]


def test_rows_that_fill_up_a_batch_are_no_work(monkeypatch, tmp_path):
    row = Row("digits-mlp", "evaluate", "float32", 360, 2)
    counted = []
    for most in (720, 200):  # 360 examples of each of 2 members: one call, and four of 100
        small = dataclasses.replace(backend.defaults("dense"), evaluation_batch=most)
        monkeypatch.setattr(backend, "defaults", lambda *_, small=small: small)
        counted.append(ours.prepare(row, tmp_path)[1])
    assert counted[0].flops == counted[1].flops == 2 * 360 * grid.forward_flops("digits-mlp")
    assert counted[1].xla_flops == pytest.approx(counted[0].xla_flops, rel=0.1)


def test_the_command_measures_writes_and_goes_on(tmp_path):
    file, figure = tmp_path / "r.json", tmp_path / "r.png"
    options = ["--no-peer", "--repeats", "1", "--json", file]
    command.run(["--rows", MLP_ROW, *options], devices=1, module="experiments.throughput")
    [first] = json.loads(file.read_text())
    assert first["row"] == MLP_ROW
    assert (first["dtype"], first["batch"], first["population"], first["peer"]) == ("float32", 128, 1, None)
    assert first["examples_per_s_low"] <= first["examples_per_s"] <= first["examples_per_s_high"]
    assert first["flops_a_step"] == 2 * 128 * (2 * 64 * 256 + 3 * 256 * 10)
    assert 0.3 < first["xla_flops_a_step"] / first["flops_a_step"] < 3  # the loop's body once, as is assumed
    assert first["roofline_fraction"] > 0
    assert first["environment"]["command"].startswith(f"python -m experiments.throughput --rows {MLP_ROW}")

    more = ["--rows", "digits-mlp/one-hot/float32/128/p[12]", *options, "--figure", figure]
    command.run(more, devices=1, module="experiments.throughput")
    kept, second = json.loads(file.read_text())
    assert kept == first
    assert second["population"] == 2
    assert second["flops_a_step"] == 2 * first["flops_a_step"]
    assert second["bytes_a_step"] == pytest.approx(2 * first["bytes_a_step"])  # though one loop trains both
    assert figure.read_bytes().startswith(b"\x89PNG")

    here = first["environment"] | {"command": "another, which does not matter"}
    assert len(results.begin(file, here)) == 2
    with pytest.raises(InputError, match=rf"--json {file}: was made with device .*, not Another; choose another"):
        results.begin(file, here | {"device": "Another"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "vgg/*"], r"--rows vgg/\*: fits no row"),
        (["--repeats", "0"], "--repeats 0: must be 1 or more"),
        (["--repeats", "many"], "--repeats"),
        (["--seconds", "0"], "--seconds 0: must be more than 0"),
        (["--seconds", "inf"], "--seconds inf: must be a finite number"),
        (["--json", "nowhere/r.json"], "--json nowhere/r.json: its folder is not there"),
        (["--json", "r.txt"], r"--json r.txt: must end in \.json"),
        (["--figure", "r.pdf"], r"--figure r.pdf: must end in \.png"),
        (["--dump-dir", "nowhere"], "--dump-dir nowhere: must be a folder"),
        (["--table", "nowhere.json"], "--table nowhere.json: cannot be read"),
        (["--table", "a.json", "b.json", "--figure", "f.png"], "--table: 2 files; with --figure it must be one"),
        (["--quik"], "did you mean --quick"),
    ],
)
def test_bad_input_is_one_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        main(arguments)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_file_of_something_else_is_refused(tmp_path):
    for number, text in enumerate(("{", '{"rows": []}', "[1]", '[{"row": "a"}]')):
        (file := tmp_path / f"{number}.json").write_text(text)
        with pytest.raises(InputError, match="is not a file of throughput results"):
            results.read(file)


def test_tables_and_pictures_of_rows(tmp_path, capsys):
    environment = {"backend": "cpu", "device": "Some CPU"}
    base = {"dtype": "float32", "device": "Some CPU", "environment": environment, "network": "channel"}
    base |= {"kind": "kd", "peer": "pytorch eager", "attainable_flops": 2e9, "flops_per_s": 1e9, "flops_a_step": 1e6}
    base |= {"bytes_a_step": 1e6, "device_flops": 1e11, "device_bandwidth": 1e10}
    rows = [
        base
        | {"row": f"p{p}", "batch": b, "population": p, "examples_per_s": 1e4 * p, "ratio": p / 2}
        | {"roofline_fraction": 0.5}
        for p in (1, 4)
        for b in (128, 1024)
    ]
    left_out = base | {"row": "long", "examples_per_s": None, "batch": 1, "population": 1, "attainable_flops": None}
    (file := tmp_path / "some-cpu.json").write_text(json.dumps([*rows, left_out]))
    assert markdown([file]).splitlines()[2] == (
        "| Some CPU | channel, kd, float32, batch 128 | 10,000 | 50% | 0.50 (eager) "
        "| 40,000 (P = 4) | 50% | 2.00 (eager) |"
    )
    assert markdown([]) == "No results are committed yet.\n"
    main(["--table", str(file), "--figure", str(tmp_path / "some.png")])
    assert capsys.readouterr().out == markdown([file])
    assert (tmp_path / "some.png").read_bytes().startswith(b"\x89PNG")
