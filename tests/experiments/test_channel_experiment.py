"""Appendix C.5's experiment: the count of signs, a population's seeds, and the command from its options to its file."""

import dataclasses
import json
from typing import get_args, get_type_hints

import command
import jax
import numpy as np
import pytest

from distill_jax.errors import InputError
from distill_jax.randomness import Role
from experiments.channel import reading_table, readings, signs, sweep
from experiments.channel.__main__ import PROG, main
from experiments.channel.population import draw, outcomes
from experiments.channel.setting import Setting, SweepSetting, validate
from experiments.channel.summary import lines, rows
from experiments.comparison import control_row, gaps, of_tenths, supported, with_paper
from theory import channel

RESULTS = command.ROOT / "experiments" / "results"
TINY = Setting(seeds=5, dim=3, train_examples=64, test_examples=50, batch_size=16, epochs=2)
ARGUMENTS = [f"--{name}={value}" for name, value in (("seeds", 5), ("dim", 3), ("train-examples", 64))]
ARGUMENTS += [f"--{name}={value}" for name, value in (("test-examples", 50), ("batch-size", 16), ("epochs", 2))]
SHARES = ("one_hot_sign_share", "distillation_sign_share")


@pytest.mark.parametrize("chosen", ["repetition", "distinct"])
@pytest.mark.parametrize("draw_from", ["others", "all"])
@pytest.mark.parametrize("truncate_similar", [True, False])
def test_derived_shares_are_those_of_drawn_classes(chosen, draw_from, truncate_similar):
    n, vectors = 50_000, "unit"
    setting = Setting(classes=6, dim=5, alpha=0.1, train_examples=n, draw=chosen, draw_from=draw_from)
    setting = dataclasses.replace(setting, truncate_similar=truncate_similar, class_vectors=vectors)
    rng = np.random.default_rng(0)
    others = np.arange(0 if draw_from == "all" else 1, 6)  # the target is class 0
    z = rng.choice(others, (n, 3)) if chosen == "repetition" else rng.permuted(np.tile(others, (n, 1)), axis=1)[:, :3]
    own = np.zeros((1, n, 6))
    negative = rng.uniform(size=(n, 3)) > signs.positive(setting)
    for place in range(3):
        own[0, np.arange(n), z[:, place]] = np.where(negative[:, place], -1.0, 1.0)
    own[..., 0] = 1.0
    found = signs.count(dataclasses.replace(setting, target_above=0.0), np.zeros((1, n), int), own, np.zeros_like(own))
    expected, sd = signs.one_hot_share(setting)
    assert abs(found["one-hot", "counted"][0] - expected) <= 4 * sd + 1e-12
    assert found["one-hot", "right"][0] == found["one-hot", "counted"][0]
    for absent in signs.ABSENT:
        assert found[0.0, 1.0, absent][0] == pytest.approx(signs.letter_share(setting, absent), abs=0.005)
    wrong = (own[0, :, 1:] > 0).sum(-1)
    assert wrong.std() / 6 / np.sqrt(n) == pytest.approx(sd, rel=0.02, abs=1e-12)


def test_the_data_s_random_numbers_are_no_model_s(monkeypatch):
    keys = []
    for name in ("normal_means", "sample_c5"):
        of_key = getattr(channel, name)
        monkeypatch.setattr(channel, name, lambda key, *a, of=of_key, **k: (keys.append(key), of(key, *a, **k))[1])
    with jax.enable_x64(True):
        draw(TINY)(7)
    seed = jax.random.key(7)
    models = [jax.random.fold_in(seed, role) for role in Role if role != Role.DATA]
    numbers = [tuple(jax.random.key_data(key).tolist()) for key in [*keys, *models]]
    assert len(keys) == 2
    assert len(set(numbers)) == len(numbers)


def test_the_chance_of_a_positive_channel_under_normal_vectors():
    setting = Setting(dim=5, alpha=0.1, truncate_similar=False)
    rng = np.random.default_rng(0)
    mu, z = rng.normal(size=(2, 200_000, 5))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    own = np.sum((0.1 * mu + 0.9 * z) * mu, axis=1)
    assert signs.positive(setting) == pytest.approx((own > 0).mean(), abs=0.005)


@pytest.mark.parametrize("classes", range(2, 12))
def test_as_many_similar_classes_on_each_point_do_not_vary(classes):
    setting = Setting(classes=classes, similar=1, draw="distinct", draw_from="others", truncate_similar=True)
    assert signs.similar_channels(setting) == (pytest.approx(1), 0.0)
    assert signs.one_hot_share(setting) == (pytest.approx(1 - 1 / classes), 0.0)


def test_two_readings_of_the_data_give_the_paper_s_share_of_one_hot_signs():
    near = [row for row in signs.draws(Setting()) if row["distance"] is not None and abs(row["distance"]) < 2]
    assert [(row["draw"], row["draw_from"], row["truncate_similar"]) for row in near] == [
        ("repetition", "others", True),
        ("distinct", "all", True),
    ]
    assert near[0]["predicted"] == pytest.approx(1 - 0.9 * (1 - (8 / 9) ** 3))
    assert near[1]["predicted"] == pytest.approx(0.73)


def test_the_count_by_hand():
    own = np.array([[[2.0, 0.0, 0.5, -0.1]]])
    target = np.array([[[0.7, 0.1, 0.05, 0.15]]])  # above 0.08: right, wrong without a gradient, wrong, wrong
    shares = {absent: signs.share(target, own, 0.08, absent)[0] for absent in signs.ABSENT}
    assert shares == {"right": 0.5, "counted": 0.25, "left-out": pytest.approx(1 / 3)}


def test_the_update_s_sign_is_that_of_the_gradient_of_an_untrained_student():
    setting = Setting(classes=4, temperature=3.0, target_above=None, target_temperature=None)
    rng = np.random.default_rng(0)
    own, teacher = rng.normal(size=(1, 200, 4)), rng.normal(size=(1, 200, 4))
    target = jax.nn.softmax(teacher / 3.0)

    def loss(logits):
        return -(target * jax.nn.log_softmax(logits / 3.0)).sum()

    raised = -np.asarray(jax.grad(loss)(np.zeros(own.shape, np.float32))) > 0
    found = signs.count(setting, np.zeros((1, 200), int), own, teacher)
    assert signs.chosen(setting) == signs.of_update(setting)
    assert found[signs.chosen(setting)][0] == pytest.approx((raised == (own > 0)).mean(), abs=1e-12)
    # In a sweep over temperatures the count follows the one that is trained with.
    assert signs.chosen(dataclasses.replace(setting, temperature=2.0)) == (0.25, 2.0, "right")


def test_a_seed_of_a_population_is_the_seed_alone():
    (together,) = outcomes(TINY, range(5))
    (alone,) = outcomes(TINY, range(3, 4))
    for name, many, one in zip(together._fields, together, alone, strict=True):
        assert len(many) == 5
        np.testing.assert_allclose(many[3:4], one, atol=1e-5, err_msg=name)
    assert not np.allclose(together.own[0], together.own[1])
    assert together.accuracy.shape == (5, 3, 2, 9)
    # Control and student start as one; the teacher does not.
    assert (together.accuracy[:, 1, :, 0] == together.accuracy[:, 2, :, 0]).all()
    assert (together.accuracy[:, 0, 1, 0] != together.accuracy[:, 1, 1, 0]).any()
    # The second teacher is another draw of the teacher, and no one's other self.
    assert all(not np.allclose(together.selector, together.logits[:, model], atol=0.01) for model in range(3))
    # The signs are those of data of the very reading: 1 and up to 3 positive channels, as many as are drawn.
    positive = (together.own > 0).sum(-1)
    assert set(np.unique(positive)) == {2, 3, 4}
    assert (positive == (together.own != 0).sum(-1)).all()
    assert (np.take_along_axis(together.own, together.label[..., None], -1) > 0).all()


def test_a_control_that_is_another_draw_of_the_teacher_has_no_gap_where_a_second_teacher_chooses():
    rng = np.random.default_rng(0)
    seeds, models, points, classes = 200, 4, 60, 5
    truth = 2 * rng.normal(size=(seeds, 1, points, classes))
    logits = truth + rng.normal(size=(seeds, models, points, classes))
    logits[:, 2] -= 0.4 * (truth[:, 0] == truth[:, 0].max(-1, keepdims=True))  # the student deviates everywhere
    label = truth[:, 0].argmax(-1)
    found = of_tenths(
        gaps(logits[:, :3], logits[:, 3], label, label, "train")
        | gaps(logits[:, :3], logits[:, 3], label, label, "test")
    )
    numbers = {name: with_paper(of_seeds) for name, of_seeds in found.items()}
    assert control_row(numbers)[-1] == "so"
    assert supported(numbers["hard_gap_control_train_as_in_paper"], -1) == "supported"  # the class is their guess
    assert supported(numbers["easy_gap_control_test_as_in_paper"], -1) == "supported"
    assert supported(numbers["easy_gap_student_test"], -1) == "supported"
    off = {name: value | {"mean": 0.3, "low": 0.2, "high": 0.4} for name, value in numbers.items()}
    assert control_row(off)[-1] == "off 0"


def test_the_command_writes_numbers_beside_the_paper_s_and_figures(tmp_path, capsys):
    file, folder = tmp_path / "channel.json", tmp_path / "figures"
    main([*ARGUMENTS, "--target-above", "0.03", "--json", str(file), "--figures", str(folder)])
    said = json.loads(file.read_text())
    paper = {"one_hot_sign_share": 0.7322, "distillation_sign_share": 0.9777, "paired_gain": 0.007}
    paper["update_sign_share"] = 0.9777
    models = {f"{what}_{model}" for what in ("test_accuracy", "cos") for model in ("teacher", "control", "student")}
    for name in {*paper, *models, "paired_gain_over_control", "hard_gap_student_minus_control_train"}:
        assert set(said[name]) == {"mean", "low", "high", "n", "paper"}
        assert said[name]["low"] <= said[name]["mean"] <= said[name]["high"]
        assert said[name]["n"] == 5
        assert said[name]["paper"] == paper.get(name)
    assert len(said["counts"]) == 9 * 2 * 3
    [chosen] = [row for row in said["counts"] if row["chosen"]]
    assert chosen["distillation"]["mean"] == said["distillation_sign_share"]["mean"]
    everywhere = said["student_cos_higher_in_all_classes"]
    assert 0 <= everywhere["low"] <= everywhere["mean"] <= said["student_cos_higher_share"]["mean"]
    assert len(said["by_epoch"]) == 3
    assert said["setting"]["target_above"] == 0.03
    assert "device" in said["environment"]
    names = {f"{name}.{suffix}" for name in ("channel", "channel_scatter") for suffix in ("png", "svg")}
    assert {path.name for path in folder.iterdir()} == names
    assert said["reading"] == {"name": "printed", "departures": readings.READINGS["printed"].departures, "changed": {}}
    shown = " ".join(capsys.readouterr().out.split())
    assert "distillation_sign_share" in shown
    assert "Reading printed: the formulas as printed" in shown
    assert lines(said).count("\n") == 2 + 14
    for share, verdicts in ((0.7, ["reproduced", "most seeds"]), (0.1, ["one seed in 10"]), (0.0, ["no seed"])):
        claims = rows(said | {"student_cos_higher_in_all_classes": everywhere | {"mean": share}})
        found = [claim.verdict for claim in claims if claim.paper in ("consistently", "the one shown")]
        assert found[-len(verdicts) :] == verdicts


def test_every_reading_is_a_choice_and_departs_from_the_default_in_values_that_can_be():
    choices = get_args(get_type_hints(Setting)["reading"])
    assert choices == (*readings.READINGS, "all")
    assert readings.parse(PROG, []) == Setting()
    for name, reading in readings.READINGS.items():
        setting = readings.parse(PROG, ["--reading", name])
        assert setting == dataclasses.replace(Setting(), reading=name, **reading.fields)
        validate(setting)
        assert readings.described(setting) == {"name": name, "departures": reading.departures, "changed": {}}
    assert len({str(sorted(reading.fields.items())) for reading in readings.READINGS.values()}) == len(
        readings.READINGS
    )


@pytest.mark.parametrize("swapped", [False, True])
def test_options_win_over_the_reading_even_where_they_are_the_default(swapped):
    reading, options = ["--reading", "margin"], ["--alpha", "0.01", "--dim", "50", "--target-above", "0.2"]
    setting = readings.parse(PROG, options + reading if swapped else reading + options)
    assert (setting.alpha, setting.dim, setting.target_above) == (0.01, 50, 0.2)
    assert (setting.reading, setting.separable, setting.truncate) == ("margin", True, "z")
    described = readings.described(setting)
    assert described["changed"] == {"target_above": 0.2, "alpha": 0.01}
    assert reading_table.statement(described).endswith("; changed by --target-above 0.2; --alpha 0.01.")


def test_a_pair_s_target_and_temperature_may_be_left_to_the_setting():
    setting = readings.parse(PROG, ["--reading", "margin", "--classes", "20", "--temperature", "2"])
    assert setting.counted == (0.05, 2.0)


def test_the_table_of_readings_has_the_numbers_of_each_alone_and_goes_on_where_it_stopped(
    tmp_path, capsys, monkeypatch
):
    file, alone = tmp_path / "all.json", tmp_path / "margin.json"
    monkeypatch.setattr(readings, "READINGS", {name: readings.READINGS[name] for name in ("printed", "margin")})
    stopping, calls = command.stopping_at_the_second(reading_table.measure)
    monkeypatch.setattr(reading_table, "measure", stopping)
    arguments = [*ARGUMENTS, "--reading", "all", "--json", str(file)]
    with pytest.raises(KeyboardInterrupt):
        main(arguments)
    assert [one["reading"]["name"] for one in json.loads(file.read_text())["readings"]] == ["printed"]
    main(arguments)
    assert [setting.reading for (setting,) in calls] == ["printed", "margin", "margin"]
    shown = " ".join(capsys.readouterr().out.split())
    main([*ARGUMENTS, "--reading", "margin", "--json", str(alone)])
    said, one = json.loads(file.read_text()), json.loads(alone.read_text())
    assert [row["reading"]["name"] for row in said["readings"]] == list(readings.READINGS)
    assert {k: v for k, v in said["readings"][-1].items() if k != "seconds"} == {
        k: v for k, v in one.items() if k not in ("seconds", "environment")
    }
    for reading in readings.READINGS.values():
        assert reading.departures in shown
    head, *body = reading_table.cells(said)
    assert head[2:] == list(readings.READINGS)
    assert {len(row) for row in body} == {len(head)}
    for row, claim in zip(body, rows(one), strict=True):
        met = claim.verdict in ("reproduced", "supported", "so")
        assert row == [claim.what, claim.paper, row[2], f"{'✓ ' if met else ''}{claim.here}"]
    with pytest.raises(InputError, match=r"--json .*: was made with --alpha 0.01, not 0.02"):
        main([*arguments, "--alpha", "0.02"])
    # An option that is the default of one reading still changes another.
    with pytest.raises(InputError, match=r"--json .*: was made with --changed"):
        main([*arguments, "--alpha", "0.01"])


def test_a_sweep_is_every_combination_and_its_map_has_a_cell_for_each(tmp_path):
    swept = dataclasses.replace(TINY, sweep=SweepSetting(temperature=(5.0, 1.0), similar=(3,), alpha=(0.01, 0.1)))
    cells = sweep.grid(swept)
    assert len(cells) == 4
    assert cells[1] == {"temperature": 5.0, "similar": 3, "alpha": 0.1}
    assert sweep.grid(TINY) == []
    value = {"mean": 0.001, "low": 0.0, "high": 0.002, "n": 3}
    measured = dict.fromkeys((*SHARES, "paired_gain_over_control", "test_accuracy_teacher"), value)
    measures = [cell | {"margin": 0.1} | measured for cell in cells]
    picture = sweep.figure(measures, list(cells[0]))
    assert [len(axis.texts) for axis in picture.axes] == [2] * 2 * 4
    picture = sweep.figure(measures[:2], ["temperature", "alpha"])
    assert [axis.texts[0].get_text() for axis in picture.axes] == [
        "+0.10\n±0.10",
        "0.1",
        "0.1",
        "0.1",
    ]
    assert picture.axes[0].get_xticklabels()[0].get_text() == "0.01\n0.10"
    sweep.figure([{"epochs": 3, **measures[0]}], ["epochs"]).savefig(tmp_path / "one.png")


def test_a_cell_of_a_map_has_the_numbers_of_a_run_of_its_setting(tmp_path):
    swept, alone = tmp_path / "map.json", tmp_path / "alone.json"
    reading = [*ARGUMENTS, "--reading", "margin"]
    main([*reading, "--sweep.similar-scale", "0.5", "--sweep.alpha", "0.05", "0.1", "--json", str(swept)])
    main([*reading, "--similar-scale", "0.5", "--alpha", "0.1", "--json", str(alone)])
    said, one = json.loads(swept.read_text()), json.loads(alone.read_text())
    assert [(cell["similar_scale"], cell["alpha"]) for cell in said["sweep"]] == [(0.5, 0.05), (0.5, 0.1)]
    cell = said["sweep"][1]
    assert cell["margin"] == pytest.approx(0.1 * np.sqrt(2) * 2 / np.sqrt(np.pi))  # the mean length in 3 dimensions
    compared = set(cell) - {"similar_scale", "alpha", "margin"}
    assert compared >= {*SHARES, "test_accuracy_teacher", "paired_gain", "student_cos_higher_share"}
    for name in compared:
        for end in ("mean", "low", "high", "n"):
            assert cell[name][end] == pytest.approx(one[name][end], abs=1e-9), name
    assert said["reading"]["name"] == one["reading"]["name"] == "margin"
    assert sweep.lines(said).splitlines()[0] == "| similar scale ↓, alpha → | 0.05 | 0.1 |"


def test_a_sweep_goes_on_where_it_stopped(tmp_path, monkeypatch):
    file = tmp_path / "map.json"
    stopping, calls = command.stopping_at_the_second(sweep.measure)
    monkeypatch.setattr(sweep, "measure", stopping)
    arguments = [*ARGUMENTS, "--sweep.similar", "1", "3", "--json", str(file), "--figures", str(tmp_path)]
    with pytest.raises(KeyboardInterrupt):
        main(arguments)
    assert len(json.loads(file.read_text())["sweep"]) == 1
    main(arguments)
    assert [cell for _, cell in calls] == [{"similar": 1}, {"similar": 3}, {"similar": 3}]
    cells = json.loads(file.read_text())["sweep"]
    assert [cell["similar"] for cell in cells] == [1, 3]
    assert all(cell["paired_gain_over_control"]["n"] == 5 for cell in cells)
    # A narrower sweep takes none of a wider one's cells, which are at other values of what it does not sweep.
    wider = [{"similar": 1, "alpha": 0.1, **{k: v for k, v in cells[0].items() if k != "similar"}}]
    said = json.loads(file.read_text())
    file.write_text(json.dumps(said | {"sweep": wider}))
    main(arguments)
    assert [cell for _, cell in calls[3:]] == [{"similar": 1}, {"similar": 3}]
    swept = [{"similar": 1, "alpha": alpha, **cells[0]} for alpha in (0.5, 0.1)]
    gain = {"mean": 0.001, "low": -0.0005, "high": 0.0025, "n": 3}
    swept[0] |= {"paired_gain_over_control": gain}
    swept[1] |= {"paired_gain_over_control": gain | {"low": 0.0005}}
    table = sweep.lines({"sweep": swept}).splitlines()
    assert table[0] == "| similar ↓, alpha → | 0.1 | 0.5 |"
    accuracy, one_hot, distilled = (100 * cells[0][name]["mean"] for name in ("test_accuracy_teacher", *SHARES))
    rest = f"; {accuracy:.1f}; {one_hot:.1f} → {distilled:.1f} |"
    assert table[2] == f"| 1 | **+0.10 [+0.05, +0.25]**{rest} +0.10 [\N{MINUS SIGN}0.05, +0.25]{rest}"
    assert {path.name for path in tmp_path.iterdir()} == {"map.json", "channel-similar.png", "channel-similar.svg"}
    with pytest.raises(InputError, match=r"--json .*: was made with --temperature 5.0, not 2.0"):
        main([*arguments, "--temperature", "2"])
    file.write_text("[]")
    with pytest.raises(InputError, match=r"--json .*: is there and is no result of this command"):
        main(arguments)


def test_a_teacher_may_train_longer_than_its_students():
    (longer,) = outcomes(dataclasses.replace(TINY, teacher_epochs=6), range(2))
    (alike,) = outcomes(dataclasses.replace(TINY, epochs=6), range(2))
    # Every third of its steps is shown, and it ends as one whose students train as long.
    np.testing.assert_allclose(longer.accuracy[:, 0], alike.accuracy[:, 0, :, ::3], atol=1e-6)
    np.testing.assert_allclose(longer.logits[:, 0], alike.logits[:, 0], atol=1e-5)
    np.testing.assert_allclose(longer.accuracy[:, 1], alike.accuracy[:, 1, :, :9], atol=1e-6)


def test_what_the_text_leaves_open_reaches_the_data(monkeypatch):
    asked, sample = {}, channel.sample_c5
    monkeypatch.setattr(
        channel, "sample_c5", lambda *args, **options: asked.update(options) or sample(*args, **options)
    )
    choices = {"draw": "distinct", "draw_from": "all", "truncate_similar": False, "separable": True, "similar": 2}
    choices |= {"truncate": "z", "similar_scale": 0.5}
    setting = dataclasses.replace(TINY, class_vectors="unit", **choices)
    with jax.enable_x64(True):
        drawn = jax.eval_shape(draw(setting), jax.ShapeDtypeStruct((), "int32"))
    assert drawn.test_x.shape == (50, 10, 3)
    assert {leaf.dtype.name for leaf in drawn} == {"float32", "int32"}
    assert asked.pop("n") == 64 + 50
    expected = {"repetition": False, "with_target": True, "truncate_similar": False, "separable": True}
    assert asked == expected | {"similar": 2, "alpha": 0.01, "truncate_z": True, "similar_scale": 0.5}


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--seeds", "0"], ["--seeds 0", "1 or more"]),
        (["--similar", "10", "--draw", "distinct"], ["--similar 10", "[1, 9]"]),
        (["--alpha", "1"], ["--alpha 1.0", "[0, 1)"]),
        (["--temperature", "0"], ["--temperature 0.0", "positive"]),
        (["--similar-scale", "0"], ["--similar-scale 0.0", "positive"]),
        (["--reading", "printd"], ["--reading", "printd", "'margin'"]),
        (["--reading", "margin", "--alpha", "2"], ["--alpha 2.0", "[0, 1)"]),
        (["--reading", "all", "--figures", "figures"], ["--reading all", "--figures", "one reading"]),
        (["--reading", "all", "--sweep.alpha", "0.1"], ["--reading all", "--sweep", "one reading"]),
        (["--batch-size", "513"], ["--batch-size 513", "512"]),
        (["--draw", "twice"], ["--draw", "repetition"]),
        (["--target-abov", "0"], ["did you mean --target-above"]),
        (["--teacher-epochs", "0"], ["--teacher-epochs 0", "1 or more"]),
        (["--sweep.epochs", "4", "0"], ["--sweep", "epochs 0", "1 or more"]),
        (["--json", "/nowhere/channel.json"], ["--json /nowhere/channel.json", "folder"]),
        (["--json", "channel.txt"], ["--json channel.txt", ".json"]),
        (["--figures", "/nowhere/figures"], ["--figures /nowhere/figures", "folder"]),
    ],
)
def test_wrong_input_is_one_line(arguments, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command.refused(main, arguments, parts, tmp_path)


def test_wrong_input_ends_with_status_2():
    err = command.run(["--dim", "2"], status=2, module="experiments.channel")
    assert err == "error: --dim 2: must be 3 or more\n"


def test_a_reading_is_alone_what_it_is_among_all():
    among = json.loads((RESULTS / "channel-readings.json").read_text())["readings"]
    for name in ("channel.json", "channel-margin.json"):
        alone = json.loads((RESULTS / name).read_text())
        [one] = [one for one in among if one["reading"] == alone["reading"]]
        for what in ("one_hot_sign_share", "distillation_sign_share", "paired_gain", "cos_student"):
            apart = abs(one[what]["mean"] - alone[what]["mean"])  # of fewer seeds
            assert apart < 2 * (one[what]["high"] - one[what]["mean"]), (name, what)


def test_the_margin_reading_has_the_paper_s_numbers():
    said = json.loads((RESULTS / "channel-margin.json").read_text())
    assert said["one_hot_sign_share"]["n"] == 500
    assert said["one_hot_sign_share"]["mean"] == pytest.approx(0.7322, abs=0.0005)
    assert said["distillation_sign_share"]["mean"] == pytest.approx(0.9777, abs=0.003)
    assert 0.005 <= said["paired_gain"]["low"] <= said["paired_gain"]["high"] <= 0.01
    assert said["test_accuracy_teacher"]["low"] > 0.9
