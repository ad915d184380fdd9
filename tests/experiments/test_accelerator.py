"""The first minutes on an accelerator: its checks can fail, its parts are bounded, its parcels are whole."""

import dataclasses
import json
import os
import time
import types
from pathlib import Path

import command
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill_jax import models
from distill_jax.dumps import dump_path, write_dumps
from distill_jax.errors import InputError, RunError
from distill_jax.machine import environment
from experiments.accelerator import __main__ as main
from experiments.accelerator import checks, child, losses, networks, parcel, parts, profile, resumed, speed, studies
from experiments.accelerator.part_results import BEGUN, PartResults
from experiments.accelerator.profile import seconds_by_instruction
from experiments.compiled.chips import CHIPS, of_device
from experiments.throughput.grid import rows

ENVIRONMENT = {"commit": "c", "device": "d", "devices": 1, "backend": "cpu", "versions": {}}


def test_every_kind_of_network_has_a_reference_of_every_step():
    names = {setting.name for setting in networks.NETWORKS.values()}
    others = {"resnet18-v1", "resnet34-v1"}  # of the blocks of resnet-cifar-v1
    assert names | others >= {*models.CONVOLUTIONAL, "mlp", "linear", "random-features", "channel", "roberta"}
    assert {setting.block for setting in networks.NETWORKS.values()} == {"basic", "bottleneck", "keras"}
    for network in networks.NETWORKS:
        for precision in networks.PRECISIONS:
            found = losses.reference(network, precision)
            assert found.shape == (networks.STEPS,)
            assert np.isfinite(found).all()
            assert (
                network == "mobilenet-v2" or found[-3:].mean() < found[:3].mean()
            )  # which learns too slowly for 20 steps


@pytest.mark.parametrize("precision", networks.PRECISIONS)
def test_the_reference_is_found_again_and_a_wrong_rate_is_not(monkeypatch, precision):
    losses._trainers.cache_clear()
    right = losses.reference("mlp", precision)
    assert losses.apart(losses.losses("mlp", precision)[0], right) <= checks.TOLERANCE[precision] / 10
    plain = losses.setting_of
    monkeypatch.setattr(losses, "setting_of", lambda *of: faster(plain(*of)))
    losses._trainers.cache_clear()
    assert losses.apart(losses.losses("mlp", precision)[0], right) > checks.TOLERANCE[precision]
    losses._trainers.cache_clear()


def faster(setting):
    rate = {"learning_rate": 1.5 * setting.optimizer.learning_rate}
    return dataclasses.replace(setting, optimizer=dataclasses.replace(setting.optimizer, **rate))


def test_checks_say_what_they_found(monkeypatch):
    asked, off = [], []

    def made_up(network, precision, members=losses.ONE, one_device=False, shards=None):
        asked.extend([(network, precision, len(members), one_device)] * (shards is None))
        right = losses.reference(network, precision)
        factor = {"resnet-basic": 1.1, "mlp": 1 + 1e-6 * (precision == "bfloat16")}[network]
        factor += 1e-9 * (shards is not None and one_device and network in off)
        return np.stack([factor * right] * len(members))

    monkeypatch.setattr(checks, "losses", made_up)
    monkeypatch.setattr(checks, "REHEARSED", ("mlp", "resnet-basic"))
    found = {name: check() for name, check in checks.checks(rehearsal=True)}
    assert found["losses/mlp/float32"]["passed"]
    assert not found["losses/resnet-basic/bfloat16"]["passed"]
    assert found["losses/resnet-basic/bfloat16"]["difference"] == pytest.approx(0.1)
    several = jax.device_count() > 1
    assert found["one device and all/mlp"]["passed"] == (True if several else None)
    in_shards = dict(checks.checks(rehearsal=True))["one device and all, in shards/mlp"]
    for off in [], ["mlp"]:
        assert in_shards()["passed"] == (not off if several else None)
    assert found["population and alone/mlp"]["members"] == 4
    assert found["attention/cudnn"]["passed"] is None
    assert asked.count(("mlp", "float32", 1, False)) == 1 + 4  # kept for all checks; and each of four members alone
    all_of_them = [name for name, _ in checks.checks(rehearsal=False)]
    for network in networks.NETWORKS:
        assert all(f"losses/{network}/{precision}" in all_of_them for precision in networks.PRECISIONS)


def test_a_first_loss_that_is_off_is_found_out_where_later_ones_may_be(monkeypatch):
    def made_up(network, precision):
        right = losses.reference(network, precision)[None].copy()
        right[0, wrong] *= 1 + 1e-3
        return right

    monkeypatch.setattr(checks, "losses", made_up)
    passed = {}
    for wrong in (0, 5):
        passed[wrong] = dict(checks.checks(rehearsal=False))["losses/mobilenet-v2/float32"]()["passed"]
    assert passed == {0: False, 5: True}


def test_bfloat16_that_is_float32_is_found_out(monkeypatch):
    monkeypatch.setattr(checks, "losses", lambda *_: losses.reference("mlp", "float32")[None])
    by_name = dict(checks.checks(rehearsal=True))
    assert not by_name["bfloat16 beside float32/mlp"]()["passed"]


def test_a_profile_names_the_instructions_of_the_program():
    a = jnp.ones((300, 300))
    program = jax.jit(lambda a: jnp.sin(a @ a) @ a).lower(a).compile()
    spent = seconds_by_instruction(lambda: jax.block_until_ready([program(a) for _ in range(3)]))
    known = [name for name in spent if f"%{name} =" in program.as_text()]
    assert any("dot" in name or "fusion" in name for name in known)
    assert all(0 < spent[name] < 60 for name in known)


def test_events_of_devices_are_named():
    def event(name, **stats):
        return types.SimpleNamespace(name=name, stats=list(stats.items()))

    of = profile._instruction
    assert of("/host:CPU", "python", event("f")) is None
    assert of("/host:CPU", "tf_XLAEigen/1", event("dot.3", hlo_op="dot.3")) == "dot.3"
    assert of("/device:GPU:0", "Stream #1(Compute)", event("void kernel<int>", hlo_op="fusion.2")) == "fusion.2"
    assert of("/device:GPU:0", "Stream #1(Compute)", event("memcpy")) == "memcpy"
    assert of("/device:TPU:0", "XLA Ops", event("%fusion.7 = bf16[2]{0} fusion(%a)")) == "fusion.7"
    assert of("/device:TPU:0", "XLA Modules", event("jit_f(123)")) is None


def test_a_profile_that_fails_costs_no_row(monkeypatch):
    def refused(run):
        raise RuntimeError("CUPTI: not permitted")

    monkeypatch.setattr(speed, "seconds_by_instruction", refused)
    row = speed.REHEARSED[1]
    _, program = speed.ours.prepare(row, Path())
    said = speed._compared(row, program, CHIPS[speed.STAND_IN], lambda: None)
    assert said["profile_failed"] == "RuntimeError: CUPTI: not permitted"
    assert said["predicted_seconds_a_step"] > 0
    assert {part["measured"] for part in said["parts"]} == {None}


def test_what_cannot_be_predicted_or_run_costs_no_other_row(monkeypatch, tmp_path):
    def unknown(*_):
        raise ValueError("no such instruction")

    prepare, rows = speed.ours.prepare, list(speed.REHEARSED)

    def prepared(row, folder):
        if row == rows[1]:
            raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return prepare(row, folder)

    monkeypatch.setattr(speed, "describe", unknown)
    monkeypatch.setattr(speed.ours, "prepare", prepared)
    kept, said = PartResults(tmp_path / "speed.json", ENVIRONMENT), []
    speed.measure_all(kept, ENVIRONMENT, None, True, said.append)
    measured, failed = (kept.pieces[row.name] for row in rows)
    assert measured["seconds_a_step"] > 0
    assert measured["prediction_failed"] == "ValueError: no such instruction"
    assert failed == {"passed": False, "why": "RuntimeError: RESOURCE_EXHAUSTED: out of memory"}
    assert sum("out of memory" in line for line in said) == 1


@pytest.mark.parametrize("part", ["same", "speed"])
def test_a_machine_without_an_accelerator_is_no_accelerator(part, tmp_path, capfd):
    options = parts.Options(out=tmp_path, parts=(part,), rehearse=False)
    with pytest.raises(SystemExit) as stop:
        parts.PARTS[part](options, "", time.monotonic() + 60)
    assert stop.value.code == 2
    assert "--rehearse False: must be given where JAX has no accelerator (it has" in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


def test_chips_by_the_names_that_jax_has_for_them():
    for kind, name in (
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("TPU v5 lite", "v5e"),
        ("TPU v5", "v5p"),
        ("TPU v6 lite", "v6e"),
        ("TPU v4", "v4"),
    ):
        assert of_device(kind) is CHIPS[name]
    assert of_device("cpu") is of_device("NVIDIA T4") is None
    parts_of_it = ("NVIDIA H100 PCIe", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "NVIDIA H100 NVL", "NVIDIA A100-SXM4-40GB")
    assert not any(map(of_device, (*parts_of_it, "TPU v5 lite pod of another kind")))


def test_rows_are_of_the_grid():
    names = {row.name for row in rows("accelerator")}
    assert {row.name for row in (*speed.ROWS, *speed.REHEARSED)} <= names


def test_what_has_ended_its_process_is_not_tried_again(tmp_path):
    path = tmp_path / "same.json"
    found = PartResults(path, ENVIRONMENT)
    assert found.begin("a")
    found.write("a", {"passed": True})
    assert found.begin("b")
    again = PartResults(path, ENVIRONMENT)
    assert not again.begin("a")
    assert not again.begin("b")
    assert again.begin("c")
    assert PartResults(path).pieces == {"a": {"passed": True}, "b": BEGUN, "c": BEGUN}
    assert PartResults(path).environment == ENVIRONMENT
    again.write("d", {"passed": None, "again": True})
    PartResults(path).forget()  # by the next command
    assert PartResults(path).pieces == {"a": {"passed": True}}
    assert PartResults(path).environment == ENVIRONMENT


def test_pieces_of_another_commit_are_refused(tmp_path):
    path = tmp_path / "same.json"
    PartResults(path, ENVIRONMENT).begin("a")
    with pytest.raises(InputError, match=r"--out .*same.json: was made with commit c, not d; choose another"):
        PartResults(path, ENVIRONMENT | {"commit": "d"})
    path.write_text("[]")
    with pytest.raises(InputError, match=r"same\.json is no result of this command"):
        PartResults(path)


def test_a_command_has_its_time_and_no_more():
    asleep = ("timeit", ["-n", "1", "-r", "1", "import time; time.sleep(30)"])
    started = time.monotonic()
    assert child.run(*asleep, until=started + 0.5, quiet=True) is None
    assert child.run("timeit", ["-n", "1", "-r", "1", "pass"], until=started + 30, quiet=True) == 0
    assert child.killed(*asleep, until=started + 30, when=lambda: True)
    assert not child.killed("timeit", ["-n", "1", "-r", "1", "pass"], until=started + 30, when=lambda: False)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("wrong", [0.0, 1e-7])
def test_a_resumed_run_that_differs_in_one_bit_is_found_out(monkeypatch, wrong):
    runs = []

    def run(module, arguments, until, quiet):
        workdir = Path(arguments[arguments.index("--workdir") + 1])
        runs.append(workdir.name)
        logits = np.ones((4, 3), np.float32)
        logits[2, 1] += wrong * (workdir.name == "killed")
        ids, label = np.arange(4), np.zeros(4, np.int32)
        write_dumps([(dump_path(workdir, "kd", 0, 5, "test"), logits, {"step": 5})], label, label, ids)
        return 0

    monkeypatch.setattr(child, "run", run)
    monkeypatch.setattr(child, "killed", lambda *_: True)
    found = resumed.killed_and_resumed(("digits",), time.monotonic() + 60)
    assert runs == ["whole", "killed"]
    assert (found["passed"], found["dumps"]) == (wrong == 0, 1)
    assert list(found["different"]) == (["kd/0/5/test"] if wrong else [])


@pytest.mark.parametrize(("status", "passed"), [(None, None), (1, False)])
def test_a_study_that_does_not_end_well_is_no_success(monkeypatch, status, passed):
    monkeypatch.setattr(child, "run", lambda *_, **__: status)
    assert resumed.killed_and_resumed(("digits",), time.monotonic() + 60)["passed"] is passed


def folder(root, name, size, rng):
    """A study of about so many bytes, with dumps that need not travel."""
    place = root / name
    for inside in ("runs/a/checkpoints/5/state", "dumps/kd/seed-0/step-5/test/data", "figures/a.png"):
        (place / inside).parent.mkdir(parents=True, exist_ok=True)
        (place / inside).write_bytes(rng.bytes(size))
    return place


def contents(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_parcel_brings_back_what_a_study_goes_on_from(tmp_path, monkeypatch):
    monkeypatch.setattr(parcel, "PART", 50_000)
    rng, work, out = np.random.default_rng(0), tmp_path / "work", tmp_path / "out"
    out.mkdir()
    first, second = folder(work, "self", 60_000, rng), folder(work, "noise", 70_000, rng)
    assert parcel.pack([first], out) == (["self"], [])
    assert parcel.pack([first, second, folder(work, "large", 300_000, rng)], out) == (["self", "noise"], ["large"])
    names = sorted(path.name for path in out.iterdir())
    assert len(names) <= parcel.PARTS
    assert all(name.endswith(f"of{len(names)}.tar") for name in names)
    assert all(path.stat().st_size <= 50_000 for path in out.iterdir())
    (tmp_path / "back").mkdir()
    assert parcel.unpack(out, tmp_path / "back") == ["noise", "self"]
    kept = {name: data for name, data in contents(work).items() if "/runs/" in name and not name.startswith("large")}
    assert contents(tmp_path / "back") == kept
    (out / names[0]).unlink()
    with pytest.raises(InputError, match="are not whole"):
        parcel.unpack(out, tmp_path / "back")
    assert parcel.unpack(tmp_path / "work", tmp_path / "back") == []


def test_a_parcel_that_was_begun_leaves_the_one_before(tmp_path, monkeypatch):
    rng, work, out = np.random.default_rng(0), tmp_path / "work", tmp_path / "out"
    (out / "x").mkdir(parents=True)
    parcel.pack([folder(work, "self", 1000, rng)], out)
    before = contents(out)
    plain, written = parcel.write_bytes, []

    def write_bytes(path, data):
        written.append(path)
        if len(written) == 2:
            raise KeyboardInterrupt
        plain(path, data)

    monkeypatch.setattr(parcel, "write_bytes", write_bytes)
    monkeypatch.setattr(parcel, "PART", 5000)
    with pytest.raises(KeyboardInterrupt):
        parcel.pack([folder(work, "noise", 4000, rng)], out)
    assert before.items() <= contents(out).items()
    assert parcel.unpack(out, tmp_path / "x") == ["self"]


def test_studies_go_on_in_turn_and_are_packed_when_their_time_is_over(tmp_path, monkeypatch):
    monkeypatch.setattr(studies, "_LEAST", 0.0)
    ran = []

    def run(module, arguments, until):
        ran.append(arguments)
        work = Path(arguments[arguments.index("--workdir") + 1])
        place = work / "runs" / "teacher"
        (place / "checkpoints" / "7").mkdir(parents=True, exist_ok=True)
        (place / "checkpoints" / "7" / "data").write_text("x")
        (place / "members.json").write_text("[]")
        return 0 if work.name == "self" else None

    monkeypatch.setattr(child, "run", run)
    (tmp_path / "work").mkdir()
    said = []
    found = PartResults(tmp_path / "studies.json", ENVIRONMENT)
    studies.go_on(found, tmp_path, tmp_path / "work", tmp_path, False, time.monotonic() + 60, said.append)
    assert [Path(of[of.index("--workdir") + 1]).name for of in ran] == ["self", "noise"]
    assert ran[1][:3] == ["cifar100-resnet56-self", "--label-noise", str(studies.NOISE)]
    assert (found.pieces["self"]["status"], found.pieces["noise"]["status"]) == (0, None)
    assert found.pieces["noise"]["populations"] == {"teacher": {"step": 7}}
    assert said[-1] == "packed: self, noise"
    (tmp_path / "later").mkdir()
    studies.go_on(found, tmp_path, tmp_path / "later", tmp_path, False, time.monotonic() + 60, said.append)
    assert "going on with noise, self" in said


@pytest.mark.parametrize("rehearsal", [False, True])
def test_the_studies_are_settings_that_there_are(rehearsal, tmp_path):
    from distill_jax.command.main import setting_from

    for name in studies.REHEARSED if rehearsal else studies.STUDIES:
        setting = setting_from(studies.words(name, tmp_path, tmp_path, rehearsal))
        assert (setting.data.data_dir, setting.run.workdir) == (None if rehearsal else tmp_path, tmp_path)
        assert setting.run.seeds == 1
        assert setting.train.snapshots == ()
    for arguments in (resumed.REHEARSED if rehearsal else resumed.STUDIES).values():
        data = () if "digits" in arguments else resumed._texts(tmp_path / "texts")
        assert setting_from([*arguments, *resumed._COMMON, *data]).run.seeds == 1


def ends_at_first(options, command):
    """A part whose process ends, without a word, in its second piece."""
    found = PartResults(options.out / "same.json", ENVIRONMENT)
    for name in ("a", "b", "c"):
        if found.begin(name):
            if name == "b":
                os._exit(9)
            found.write(name, {"passed": True})


def never_ends(options, command):
    time.sleep(60)


def wrong_input(options, command):
    raise InputError("--out", None, "is wrong")


def test_a_part_goes_on_after_what_has_ended_its_process(tmp_path, capfd):
    options = parts.Options(out=tmp_path, parts=("same",))
    parts._in_process(ends_at_first, options, "", time.monotonic() + 60)
    assert PartResults(tmp_path / "same.json").pieces == {"a": {"passed": True}, "b": BEGUN, "c": {"passed": True}}
    main._report(options)
    assert "same: 2 reported, ended before they were: b" in capfd.readouterr().out


def test_a_part_has_its_time_and_no_more(tmp_path, capfd):
    started = time.monotonic()
    parts._in_process(never_ends, parts.Options(out=tmp_path), "", started + 3)
    assert time.monotonic() - started < 20
    assert "its time is over" in capfd.readouterr().out
    with pytest.raises(SystemExit) as stop:
        parts._in_process(wrong_input, parts.Options(out=tmp_path), "", time.monotonic() + 60)
    assert stop.value.code == 2
    assert "error: --out: is wrong" in capfd.readouterr().err


def test_what_is_not_as_it_should_be_ends_in_an_error(tmp_path, capsys):
    found = PartResults(tmp_path / "same.json", ENVIRONMENT)
    found.write("losses/mlp/float32", {"passed": False})
    found.write("attention/cudnn", {"passed": None})
    with pytest.raises(RunError, match="2 of these"):
        main._report(parts.Options(out=tmp_path, parts=("same", "speed")))
    said = capsys.readouterr().out
    assert "same: 2 reported, NOT AS THEY SHOULD BE: losses/mlp/float32" in said
    assert "speed: 0 reported, NOT AS THEY SHOULD BE: nothing was found out" in said


def test_parts_end_in_order_and_leave_time_to_pack(tmp_path):
    ends = main._deadlines(parts.Options(minutes=10, out=tmp_path))
    assert ends["begin"] < ends["same"] < ends["resumed"] < ends["speed"] < ends["studies"]
    assert ends["studies"] - ends["begin"] == pytest.approx(600 - 20)
    alone = main._deadlines(parts.Options(minutes=10, out=tmp_path, parts=("speed",)))
    assert alone["speed"] - alone["begin"] == pytest.approx(580)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--out: must name a folder"),
        (["--out", "/dev/null/a", "--rehearse"], "--out /dev/null/a: must be a folder that can be written to"),
        (["--out", ".", "--minutes", "0"], "--minutes 0: must be more than 0"),
        (["--out", "."], "--data-dir: must name the folder of CIFAR-100, or --parts leave out studies"),
        (["--out", ".", "--data-dir", "nowhere"], "--data-dir nowhere: must be a folder that is there"),
        (["--reference", "nowhere/a.json"], "--reference nowhere/a.json: its folder is not there"),
    ],
)
def test_what_cannot_be_right_is_said(arguments, said):
    with pytest.raises(InputError, match=said):
        main.main(arguments)


def test_a_result_says_what_drives_its_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment.driver("PJRT C API\nTFRT TPU v5 lite") == "PJRT C API TFRT TPU v5 lite"
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 570.124.06\n")
    program.chmod(0o755)
    assert environment.driver("cuda 12090") == "cuda 12090, driver 570.124.06"
    program.write_text("#!/bin/sh\nexit 9\n")
    assert environment.driver("cuda 12090") == "cuda 12090"


@pytest.mark.slow
def test_the_whole_rehearsal(tmp_path):
    asked = ["--rehearse", "--minutes", "6", "--out", str(tmp_path)]
    done = command.start_python(["-m", "experiments.accelerator", *asked], devices=2)
    out, err = done.communicate()
    assert done.returncode == 0, err
    for part in ("same", "resumed", "speed", "studies"):
        pieces = json.loads((tmp_path / f"{part}.json").read_text())["found"]
        assert pieces
        assert BEGUN not in pieces.values()
    assert "as if for h100" in out
    assert len(list(tmp_path.iterdir())) <= 8
    assert all(path.stat().st_size <= 16 * 2**20 for path in tmp_path.iterdir())
