"""`experiments.compiled`: programs as text, what they cost, and one for a TPU where its compiler is installed."""

import importlib.util
import json
import subprocess
import sys

import command
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill_jax.errors import InputError
from distill_jax.setting import changed
from distill_jax.training.programs import Programs, Target, check_statistics, inputs_of
from experiments.compiled import populations, results, studies, table, targets
from experiments.compiled.chips import CHIPS
from experiments.compiled.costs import LAUNCH, Operation, operations
from experiments.compiled.hlo import parse
from experiments.compiled.prediction import Compiled, describe, describe_call, fingerprint
from experiments.compiled.rows import programs, shapes_alone
from experiments.compiled.sources import part
from experiments.paper import make
from experiments.paper.__main__ import main as paper_main
from experiments.paper.scale import PAPER
from experiments.paper.studies import studies as paper_studies
from experiments.throughput.flops import flops, flops_by_precision
from experiments.throughput.grid import NETWORKS

WITHOUT_LIBTPU = importlib.util.find_spec("libtpu") is None


def trained(x, kernel, weight):
    """Five steps of a convolution and a product, with gradients."""

    def loss(params):
        with jax.named_scope("teacher"):
            fixed = jnp.tanh(x @ jnp.ones((6, 6)))
        y = jax.lax.conv_general_dilated(x, params[0], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return ((y.mean((1, 2)) @ params[1] - fixed.mean((1, 2)) @ jnp.ones((6, 9))) ** 2).sum()

    def step(params, _):
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, jax.grad(loss)(params)), None

    return jax.lax.scan(step, (kernel, weight), None, length=5)[0]


@pytest.fixture(scope="module")
def program():
    shapes = [(4, 8, 8, 6), (3, 3, 6, 10), (10, 9)]
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    jitted = jax.jit(trained)
    return parse(jitted.lower(*arguments).compile().as_text()), flops(jitted.trace(*arguments).jaxpr)


def test_flops_of_a_program_s_text_are_those_of_its_jaxpr(program):
    module, right = program
    run = operations(module, CHIPS["h100"], frozenset(), 1)
    # XLA may compute once what no step changes, and the teacher here is one.
    teacher = 5 * 2 * 4 * 64 * 6 * 6
    assert right - teacher <= sum(o.times * o.flops for o in run) <= right
    assert {o.times for o in run if o.in_loop} == {5}
    assert any(o.weights for o in operations(module, CHIPS["h100"], frozenset({3 * 3 * 6 * 10}), 1))


def test_a_kernel_takes_a_launch_or_its_bytes_or_its_products(program):
    module, _ = program
    chip = CHIPS["h100"]
    for operation in operations(module, chip, frozenset(), 1):
        limits = {"launches": LAUNCH, "memory": operation.bytes / chip.bandwidth}
        limits["products"] = operation.flops / chip.peak["float32"]
        assert operation.seconds == max(limits.values()) == limits[operation.bound]


def test_parts_are_named_by_the_traced_code(program):
    module, _ = program
    run = operations(module, CHIPS["h100"], frozenset({3 * 3 * 6 * 10}), 1)
    found = {part(operation) for operation in run}
    assert {"convolutions, forward", "convolutions, kernel gradients"} <= found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("jit(f)/while/body/closed_call/teacher/ResNet/stage1_unit1/conv1/conv_general_dilated", "teacher"),
        ("jit(f)/while/body/vmap(teacher)/ResNet/stage1_unit1/conv1/conv_general_dilated", "teacher"),
        ("jit(f)/while/body/optimizer/sub", "optimizer"),
        ("jit(f)/while/body/vmap(jit(f))/vmap(optimizer)/sub", "optimizer"),
        ("jit(f)/while/body/vmap(transpose(jvp(ResNet)))/stage1_unit1/norm1/reduce_sum", "norms, backward"),
        ("jit(f)/while/body/jvp(ResNet)/stage1_unit1/norm1/reduce_sum", "norms, forward"),
        ("jit(f)/while/body/jvp(ResNet)/stem_norm/reduce_sum", "stem, forward"),
        (
            "jit(f)/while/body/transpose(jvp(ResNet))/stage1_unit1/conv1/conv_general_dilated",
            "convolutions, input gradients",
        ),
        ("jit(f)/while/body/jvp(Roberta)/layer_0/attention_out/add", "attention, forward"),
        ("jit(f)/while/body/jvp(ResNet)/add", "activations and sums, forward"),
        ("jit(f)/while/body/add", "loss, shuffling and the rest"),
        ("", "data movement"),
    ],
)
def test_parts_by_the_names_of_the_code(source, expected):
    line = f'  ROOT %a = f32[2] fusion(%b), kind=kLoop, metadata={{op_name="{source}"}}'
    module = parse(f"ENTRY %main (b: f32[2]) -> f32[2] {{\n{line}\n}}")
    (instruction,) = module.instructions.values()
    how = {"times": 1, "in_loop": True, "flops": 0.0, "bytes": 0.0, "seconds": 0.0, "bound": "memory", "weights": False}
    assert part(Operation(instruction, **how)) == expected


def test_what_is_moved_beside_the_computation_takes_bytes_and_no_time():
    moved = "f32[1000,1000]{1,0:T(8,128)S(1)}"
    lines = [
        "  %a = f32[1000,1000]{1,0} parameter(0)",
        f"  %b = (f32[1000,1000]{{1,0}}, {moved}, u32[]) copy-start(%a)",
        f"  ROOT %c = {moved} copy-done(%b)",
    ]
    module = parse("\n".join(["ENTRY %main (a: f32[1000,1000]) -> f32[1000,1000] {", *lines, "}"]))
    for chip in ("v5e", "h100"):
        (operation,) = operations(module, CHIPS[chip], frozenset(), 1)
        assert (operation.bytes, operation.seconds) == (4e6, 0.0)


def test_a_loop_whose_length_the_program_does_not_say_is_counted_and_said():
    def doubled(x):
        return jax.lax.while_loop(lambda x: x.sum() < 100.0, lambda x: x * 2, x)

    def of_known_length(x):
        return jax.lax.fori_loop(0, 3, lambda _, x: x @ x, x)

    for f, expected in ((doubled, 1), (of_known_length, 0)):
        text = jax.jit(f).lower(jax.ShapeDtypeStruct((64, 64), jnp.float32)).compile().as_text()
        assert parse(text).unknown_loops() == expected


def test_products_are_counted_in_the_peak_of_their_own_precision():
    a = jax.ShapeDtypeStruct((64, 64), jnp.float32), jax.ShapeDtypeStruct((64, 64), jnp.bfloat16)

    def mixed(exact, low):
        three = jnp.dot(exact, exact, precision="high")
        return (
            jnp.dot(exact, three, precision="highest"),
            low @ low,
            jax.lax.scan(lambda c, _: (c @ low, 0), low, length=4),
        )

    once = 2 * 64**3
    counted = flops_by_precision(jax.make_jaxpr(mixed)(*a))
    assert counted == {"three passes": once, "float32": once, "bfloat16": 5 * once}
    seconds = {}
    for dtype, extra in (("bf16", ""), ("f32", ""), ("f32", ", operand_precision={high,high}")):
        of = f"{dtype}[4096,4096]{{1,0}}"
        product = f"  ROOT %c = {of} dot(%a, %a), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}{extra}"
        module = parse("\n".join([f"ENTRY %main (a: {of}) -> {of} {{", f"  %a = {of} parameter(0)", product, "}"]))
        (operation,) = operations(module, CHIPS["v5e"], frozenset(), 1)
        assert operation.bound == "products"
        seconds[dtype + extra[:3]] = operation.seconds
    assert seconds["f32"] == pytest.approx(6 * seconds["bf16"])
    assert seconds["f32, o"] == pytest.approx(3 * seconds["bf16"])


def test_what_is_only_sliced_is_read_in_slices():
    def of_rows(x, start):
        return jax.lax.dynamic_slice(x, (start, 0), (8, 100)) * 2

    shapes = jax.ShapeDtypeStruct((10_000, 100), jnp.float32), jax.ShapeDtypeStruct((), jnp.int32)
    run = operations(parse(jax.jit(of_rows).lower(*shapes).compile().as_text()), CHIPS["h100"], frozenset(), 1)
    assert sum(o.bytes for o in run) < 10 * 8 * 100 * 4


def test_text_that_is_no_program_is_refused():
    with pytest.raises(ValueError, match="ENTRY"):
        parse("nothing")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("v9:1", "v4, v5e"),
        ("v5e:2x2x1", "slice such as 2x2 "),
        ("v5p:2x2", "slice such as 2x2x1 "),
        ("h100:9", "1 to 8"),
        ("h100:", ""),
    ],
)
def test_names_of_chips(name, said):
    if not said:
        assert targets.parse(name) == (CHIPS["h100"], "1")
        return
    with pytest.raises(InputError, match=f"--for {name}.*{said}"):
        targets.parse(name)


def test_chips_are_given_in_full():
    for chip in CHIPS.values():
        assert chip.source.startswith("https://")
        assert (chip.platform == "tpu") == bool(chip.slice_of) == bool(chip.flops_a_cycle) == (not chip.target)
        assert chip.peak["float32"] < chip.peak["bfloat16"]
    assert CHIPS["v5e"].clock == pytest.approx(1.5e9, rel=0.01)  # 197 TFLOP/s of 4 x 128 x 128 x 2 a cycle


@pytest.mark.parametrize("network", NETWORKS)
def test_data_of_shapes_alone_take_no_memory(network):
    data = shapes_alone(network)
    assert data.input_shape == NETWORKS[network].input_shape
    assert len(data.train.label) == NETWORKS[network].train
    assert data.train.x.strides == (0,) * data.train.x.ndim
    if data.vocabulary is not None:
        assert np.all(data.train.x[0] != data.vocabulary.pad)


def test_wrong_input_is_one_line(tmp_path):
    for arguments, said in {
        (): "--for: must name chips",
        ("--for", "v5e:1", "v5e:1"): "each once",
        ("--for", "v9"): "--for v9",
        ("--for", "v5e", "--jobs", "0"): "--jobs 0",
        ("--for", "v5e", "--rows", "no/*"): "--rows no/*: fits no program",
        ("--for", "v5e", "--json", str(tmp_path / "a.txt")): "must end in .json",
        ("--for", "v5e", "--figures", str(tmp_path / "none" / "none")): "its folder is not there",
    }.items():
        done = subprocess.run(
            [sys.executable, "-m", "experiments.compiled", *arguments], cwd=command.ROOT, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert said in done.stderr


def test_results_of_other_compilers_are_not_gone_on_with(tmp_path):
    path = tmp_path / "a.json"
    here = results.environment("x")
    row = {"chip": "v5e:1", "row": "a", "fits": True, "environment": here}
    results.write(path, [row])
    assert results.begin(path, here) == [row]
    with pytest.raises(InputError, match="versions"):
        results.begin(path, here | {"versions": here["versions"] | {"jax": "0.1"}})
    path.write_text(json.dumps([{"chip": "v5e:1"}]))
    with pytest.raises(InputError, match="not a file of predictions"):
        results.begin(path, here)


def made_up(path, seconds, but=None):
    """A file of predictions, of the same seconds a step for every program of the studies; one of them does not fit."""
    here = results.environment("x")
    rows = [
        {"chip": "h100", "row": name, "fits": name != but, "memory_gib": 20.5 if name == but else 3.0}
        | {"step_seconds_predicted": seconds, "environment": here}
        for name in studies.programs()
    ]
    results.write(path, rows)
    return rows


def test_a_study_s_hours_are_those_of_its_populations(tmp_path):
    without = "paper/tiny-imagenet/ResNet-50/bfloat16/128/3x1"
    made_up(tmp_path / "a.json", 0.01, but=without)
    found = studies.predicted(tmp_path, 3)
    # Three teachers at once, then the four students of a seed at once, or eight in two halves, three times.
    steps = 21_600
    hours = {name: of["h100"].hours for name, of in found.items()}
    assert hours["cifar10-resnet56-resnet20"] == pytest.approx(0.01 * steps * (1 + 3) / 3600, rel=0.01)
    assert hours["cifar100-resnet56-resnet56"] == pytest.approx(0.01 * steps * (1 + 6) / 3600, rel=0.01)
    assert hours["mnli-robertabase-robertasmall"] == pytest.approx(0.01 * 25_000 * 4 / 3600, rel=0.01)
    plans = paper_studies(PAPER)
    assert found.keys() == plans.keys()
    for name, plan in plans.items():
        lacking = any(part.program == without for part in studies.parts(plan))
        expected = (20.5, without) if lacking else (3.0, None)
        assert (found[name]["h100"].memory_gib, found[name]["h100"].too_large) == expected
        assert (hours[name] is None) == lacking
    assert None in hours.values()
    results.write(tmp_path / "a.json", [row for row in results.read(tmp_path / "a.json") if row["row"] != without])
    assert studies.predicted(tmp_path, 3).keys() == {name for name, of in hours.items() if of is not None}
    assert studies.predicted(tmp_path / "none", 3) == {}


def test_the_list_of_the_paper_s_studies_has_predictions(tmp_path, monkeypatch, capsys):
    (tmp_path / "compiled").mkdir()
    made_up(tmp_path / "compiled" / "a.json", 0.01, but="paper/tiny-imagenet/ResNet-50/bfloat16/128/3x1")
    monkeypatch.setattr(make, "RESULTS", tmp_path)
    paper_main(["--list", "--scale", "paper", "--workdir", str(tmp_path / "w")])
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("predicted, its training alone:") == len(paper_studies(PAPER))
    assert "on h100 (3.0 GiB of each device)" in said
    assert "does not fit on h100 (paper/tiny-imagenet/ResNet-50/bfloat16/128/3x1 needs 20.5 GiB: fewer" in said


def test_studies_that_differ_in_rates_and_labels_alone_have_the_same_programs():
    plans = paper_studies(PAPER)
    of_both = [
        studies.parts(plans[name]) for name in ("cifar100-noise-resnet56-resnet20", "cifar100-resnet56-resnet20")
    ]
    assert len({frozenset(part.program for part in parts) for parts in of_both}) == 1
    for name, program in studies.programs().items():
        assert program().name == name
    assert {part.program for plan in plans.values() for part in studies.parts(plan)} == set(studies.programs())


def test_a_page_has_what_was_before_beside_what_is(tmp_path):
    of = {"memory_gib": 1.0, "examples_per_second_predicted": 1e5, "outside_loop_share": 0.01, "share_of_peak": 0.1}
    rows = [of | row | {"bound_by": "memory"} for row in made_up(tmp_path / "x.json", 0.002)[:2]]
    results.write(tmp_path / "before.json", [rows[0] | {"kernels": 379.0}])
    results.write(tmp_path / "after.json", [rows[0] | {"kernels": 230.0}, rows[1] | {"cycles": 2e6}])
    said = table.markdown([tmp_path / "before.json", tmp_path / "after.json"]).splitlines()
    assert "| 379 → 230 |" in said[2]
    assert "| 2.000 |" in said[3]
    assert said[0].count("|") == said[2].count("|") == said[3].count("|")


IN_SHARDS = "digits-mlp/one-hot/bfloat16/128/p1/shards4"


def on_cpus(count):
    return Target(jax.devices()[:count], "cuda", 2**34)


def test_a_row_in_shards_is_the_row_without_but_for_its_shards():
    found = [name for name in programs() if "/shards" in name]
    assert IN_SHARDS in found
    for name in found:
        program, whole = programs()[name](), programs()[name.removesuffix("/shards4")]()
        assert (program.name, program.kind, program.role) == (name, whole.kind, whole.role)
        assert program.setting == changed(whole.setting, train={"batch_shards": 4})
        network = Programs(program.setting, program.dataset, "student", target=on_cpus(1)).model
        check_statistics(program.setting.train, {"student": network}, inputs_of(program.dataset))
    program = programs()["cifar-resnet20/kd-norms-of-32/bfloat16/128/p1/shards4"]()
    assert (program.kind, program.setting.train.norm_examples) == ("train", 32)


@pytest.mark.parametrize(
    ("devices", "times"),
    [
        (1, {"gradient": 4, "sum": 3, "update": 1}),
        (2, {"gradient": 2, "sum": 1, "exchange": 1, "update": 1}),
        (4, {"gradient": 1, "exchange": 1, "update": 1}),
    ],
)
def test_a_step_in_shards_takes_what_its_programs_take_as_often_as_they_are_called(devices, times):
    traced = programs()[IN_SHARDS]().traced(on_cpus(devices))
    assert {call.name: call.times for call in traced.calls} == times
    compiled, chip = [Compiled.of(call) for call in traced.calls], CHIPS["h100"]
    found, run = describe(compiled, traced.of, chip, traced.steps, 128, traced.beside)
    parts = [describe_call(call, traced.of, chip) for call in compiled]
    assert found["step_seconds_predicted"] == pytest.approx(sum(p["times"] * p["seconds"] for p in parts))
    assert found["kernels"] == sum(o.times for o in run)
    said = table.line(found | {"chip": "h100", "row": IN_SHARDS, "calls": parts})
    assert f", {times['gradient']} x gradient " in said
    memory = max(p["memory_gib"] for p in parts) * 2**30 + traced.beside
    assert (found["devices"], found["memory_gib"] * 2**30) == (devices, pytest.approx(memory))
    # All shards together have the products of the whole batch.
    (whole,) = programs()[IN_SHARDS.removesuffix("/shards4")]().traced(on_cpus(1)).calls
    steps = whole.traced[0].jaxpr
    assert found["gflop"] * devices == pytest.approx(flops(steps) / 100 / 1e9)
    # CPUs are all of a kind: what each of them runs is one program.
    assert all(len(set(part["programs"])) == 1 for part in parts)


def test_programs_are_told_apart_by_what_they_compute_alone():
    def f(x):
        return x + x

    text = jax.jit(f).lower(jax.ShapeDtypeStruct((8,), jnp.float32)).compile().as_text()
    for here, elsewhere in {"jit(f)/add": "jit(f)/optimizer/add", __file__: "/elsewhere.py"}.items():
        assert here in text
        assert fingerprint(text.replace(here, elsewhere)) == fingerprint(text)
    assert fingerprint(text.replace("add(", "multiply(")) != fingerprint(text)


@pytest.mark.skipif(WITHOUT_LIBTPU, reason="needs libtpu, of the extra compile")
def test_one_program_for_a_tpu(tmp_path):
    path = tmp_path / "compiled.json"
    name = "channel/kd/bfloat16/128/p1"
    asked = [sys.executable, "-m", "experiments.compiled", "--for", "v5e:1", "--rows", name, "--json", str(path)]
    done = subprocess.run(asked, cwd=command.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(path.read_text())
    assert (row["chip"], row["row"], row["fits"], row["collectives"]) == ("v5e:1", name, True, {})
    assert row["cycles"] > 1000
    assert row["step_seconds_predicted"] == pytest.approx(row["cycles"] / CHIPS["v5e"].clock, rel=0.2)
    assert 0 < row["share_of_peak"] <= row["share_of_roofline"] <= 1
    assert 0 <= row["outside_loop_share"] < 0.2
    assert sum(share for share in row["bounds"].values()) == pytest.approx(1)
    assert name in table.line(row)
    again = subprocess.run(asked, cwd=command.ROOT, capture_output=True, text=True)
    assert "1 of 1 were there already" in again.stdout


@pytest.mark.skipif(WITHOUT_LIBTPU, reason="needs libtpu, of the extra compile")
def test_shards_are_computed_by_the_same_program_on_one_chip_and_on_four(tmp_path):
    path = tmp_path / "compiled.json"
    asked = ["--for", "v5e:1", "v5e:2x2", "--rows", IN_SHARDS, "--jobs", "1", "--json", str(path)]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.compiled", *asked], cwd=command.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    programs_of = [{call["what"]: set(call["programs"]) for call in row["calls"]} for row in results.read(path)]
    assert [set(found) for found in programs_of] == [{"gradient", "sum", "update"}, {"gradient", "exchange", "update"}]
    for what in ("gradient", "update"):
        assert len(programs_of[0][what] | programs_of[1][what]) == 1
    # What is gathered by a sum is whole numbers: -0.0 + 0.0 is 0.0.
    code = "from experiments.compiled import targets; targets.prepare(); from experiments.compiled import rows\n"
    code += f"calls = rows.programs()[{IN_SHARDS!r}]().traced(targets.target('v5e:2x2')).calls\n"
    code += "print(next(call for call in calls if call.devices > 1).traced[0].lower().compile().as_text())"
    done = subprocess.run([sys.executable, "-c", code], cwd=command.ROOT, capture_output=True, text=True)
    summed = [i for i in parse(done.stdout).instructions.values() if i.opcode.startswith("all-reduce")]
    assert {array.dtype for i in summed for array in i.arrays} <= {"s32"}


def test_every_program_of_the_grid_has_a_name():
    assert "cifar-resnet56/kd/bfloat16/1024/p1" in programs()
    assert not any("/dump/" in name for name in programs())


@pytest.mark.parametrize("path", sorted((make.RESULTS / "compiled").glob("*.json")), ids=lambda path: path.name)
def test_every_kept_file_can_be_shown_and_gone_on_with(path):
    rows = results.read(path)
    assert table.table(rows).row_count == len(rows)


def test_members_are_compared_with_one_alone(tmp_path):
    path = tmp_path / "file.json"
    environment = {"versions": {}}
    # Seconds and examples of a call; an evaluation of 16 takes fewer of each.
    sizes = {"a/p1": (2.0, 8), "a/p4": (4.0, 32), "a/p16": (8.0, 128), "b/p1": (1.0, 10), "b/p2": (3.0, 20)}
    sizes |= {"alone/p1": (1.0, 1), "a/p1/shards4": (9.0, 8), "e/p1": (2.0, 4000), "e/p16": (2.5, 4096)}
    rows = [
        {"chip": "v5e:1", "row": row, "fits": True, "step_seconds_predicted": seconds, "environment": environment}
        | {"examples_per_second_predicted": examples / seconds}
        for row, (seconds, examples) in sizes.items()
    ]
    lacking = {"chip": "v5e:1", "row": "b/p4", "fits": False, "environment": environment}
    path.write_text(json.dumps([*rows, lacking]))
    first, second, evaluated = populations.lines(path).splitlines()[2:]
    assert first.split(" | ")[1:] == ["a", "2e+03", "", "0.50", "0.25 |"]
    assert second.split(" | ")[1:] == ["b", "1e+03", "1.50", "", " |"]
    assert evaluated.split(" | ")[1:] == ["e", "2e+03", "", "", "1.22 |"]
