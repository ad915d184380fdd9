"""Appendix C.5's experiment: the count of signs, a population's seeds, and the command from its options to its file."""

import dataclasses
import json
import re
from pathlib import Path

import command
import jax
import numpy as np
import pytest

from distill_jax.errors import InputError
from experiments.channel import signs
from experiments.channel.__main__ import main
from experiments.channel.population import outcomes
from experiments.channel.setting import Setting
from experiments.channel.summary import lines, markdown
from theory import channel

ROOT = Path(__file__).parents[1]
TINY = Setting(seeds=5, dim=8, train_examples=64, test_examples=50, batch_size=16, epochs=2)
ARGUMENTS = ["--seeds", "3", "--dim", "8", "--train-examples", "64", "--test-examples", "50", "--batch-size", "16"]


def readings():
    for draw in ("repetition", "distinct"):
        for draw_from in ("others", "all"):
            for truncate_similar in (True, False):
                yield {"draw": draw, "draw_from": draw_from, "truncate_similar": truncate_similar}


@pytest.mark.parametrize("reading", list(readings()), ids=lambda r: "-".join(map(str, r.values())))
def test_derived_shares_are_those_of_sampled_data(reading):
    n = 8000
    setting = Setting(classes=6, dim=5, alpha=0.1, train_examples=n, class_vectors="unit", **reading)
    means = channel.unit_means(jax.random.key(1), 6, 5)
    options = {"repetition": setting.draw == "repetition", "with_target": setting.draw_from == "all"}
    truncate = {"truncate_similar": setting.truncate_similar}
    data = channel.sample_c5(jax.random.key(2), means, n=n, alpha=setting.alpha, **options, **truncate)
    own = np.einsum("nkd,kd->nk", np.asarray(channel.features(data, 6)), np.asarray(means))[None]
    label = np.asarray(data.y)[None]
    found = signs.count(dataclasses.replace(setting, target_above=0.0), label, own, np.zeros((1, n, 6)))
    expected, sd = signs.one_hot_share(setting)
    assert abs(found["one-hot", "counted"][0] - expected) < 4 * sd
    assert found["one-hot", "right"][0] == found["one-hot", "counted"][0]
    for absent in signs.ABSENT:
        assert found[0.0, 1.0, absent][0] == pytest.approx(signs.letter_share(setting, absent), abs=0.01)
    # The spread over points is the one derived.
    wrong = (np.eye(6, dtype=bool)[label] != (own > 0)).sum(-1)
    assert wrong.std() / 6 / np.sqrt(n) == pytest.approx(sd, rel=0.05, abs=1e-9)


def test_the_chance_of_a_positive_channel_under_normal_vectors():
    setting = Setting(dim=5, alpha=0.1, truncate_similar=False)
    rng = np.random.default_rng(0)
    mu, z = rng.normal(size=(2, 200_000, 5))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    own = np.sum((0.1 * mu + 0.9 * z) * mu, axis=1)
    assert signs.positive(setting) == pytest.approx((own > 0).mean(), abs=0.005)


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


def test_the_command_writes_numbers_beside_the_paper_s_and_figures(tmp_path, capsys):
    file, folder = tmp_path / "channel.json", tmp_path / "figures"
    main([*ARGUMENTS, "--epochs", "2", "--temperature", "3", "--json", str(file), "--figures", str(folder)])
    said = json.loads(file.read_text())
    paper = {"one_hot_sign_share": 0.7322, "distillation_sign_share": 0.9777, "paired_gain": 0.007}
    models = {f"{what}_{model}" for what in ("test_accuracy", "cos") for model in ("teacher", "control", "student")}
    for name in {*paper, *models, "paired_gain_over_control", "hard_gap_student_minus_control_train"}:
        assert set(said[name]) == {"mean", "low", "high", "n", "paper"}
        assert said[name]["low"] <= said[name]["mean"] <= said[name]["high"]
        assert said[name]["n"] == 3
        assert said[name]["paper"] == paper.get(name)
    assert len(said["readings"]) == 8 * 2 * 3
    assert len(said["by_epoch"]) == 3
    assert said["setting"]["temperature"] == 3
    assert "device" in said["environment"]
    names = {f"{name}.{suffix}" for name in ("channel", "channel_scatter") for suffix in ("png", "svg")}
    assert {path.name for path in folder.iterdir()} == names
    assert "distillation_sign_share" in capsys.readouterr().out
    assert lines(said).count("\n") == 11


def test_other_readings_are_other_data(tmp_path):
    choices = ["--draw", "distinct", "--truncate-similar", "False", "--class-vectors", "unit", "--separable", "True"]
    main([*ARGUMENTS, "--seeds", "1", "--epochs", "1", *choices, "--json", str(tmp_path / "one.json")])
    said = json.loads((tmp_path / "one.json").read_text())
    assert said["paired_gain"]["low"] is None  # one seed has no interval
    assert said["one_hot_sign_share"]["mean"] > 0.72


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--seeds", "0"], ["--seeds 0", "1 or more"]),
        (["--similar", "10", "--draw", "distinct"], ["--similar 10", "[1, 9]"]),
        (["--alpha", "1"], ["--alpha 1.0", "[0, 1)"]),
        (["--temperature", "0"], ["--temperature 0.0", "positive"]),
        (["--batch-size", "513"], ["--batch-size 513", "512"]),
        (["--draw", "twice"], ["--draw", "repetition"]),
        (["--target-abov", "0"], ["did you mean --target-above"]),
        (["--json", "/nowhere/channel.json"], ["--json /nowhere/channel.json", "folder"]),
        (["--json", "channel.txt"], ["--json channel.txt", ".json"]),
        (["--figures", "/nowhere/figures"], ["--figures /nowhere/figures", "folder"]),
    ],
)
def test_wrong_input_is_one_line(arguments, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        main(arguments)
    assert len(str(caught.value).splitlines()) == 1
    for part in parts:
        assert part in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_wrong_input_ends_with_status_2():
    err = command.run(["--dim", "2"], status=2, module="experiments.channel")
    assert err == "error: --dim 2: must be 3 or more\n"


def test_the_readme_s_table_is_that_of_the_file():
    block = re.search("<!-- channel: (.*) -->\n(.*?)<!-- end -->", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block[2] == markdown(ROOT / block[1])
