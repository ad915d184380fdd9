"""Appendix C.4: directions, trajectories, definitions of bias, the theory's closed form, and the command."""

import dataclasses
import json

import command
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.comparison import STUDENT, TEACHER
from experiments.eigenspace.__main__ import main
from experiments.eigenspace.bias import area, biases, exaggerations, level, time
from experiments.eigenspace.data import draw, load
from experiments.eigenspace.directions import along, eigendirections
from experiments.eigenspace.population import outcomes
from experiments.eigenspace.setting import Setting, filled
from experiments.eigenspace.summary import lines, summarise, trajectories, values
from theory import eigenspace

TINY = {
    "dataset": "digits",
    "train_examples": 32,
    "test_examples": 40,
    "features": 60,
    "hidden": 12,
    "pairs": 3,
    "top": 4,
    "bottom": (6, 12),
    "batch_size": 8,
}
OPTIONS = [
    *("--dataset", "digits", "--train-examples", "32", "--test-examples", "40"),
    *("--pairs", "3", "--top", "4", "--bottom", "6", "12", "--batch-size", "8", "--epochs", "3", "--seeds", "3"),
]


def setting(**changes):
    return filled(dataclasses.replace(Setting(), **{**TINY, "epochs": 4, **changes}))


def found(chosen, seeds=2):
    parts = list(outcomes(chosen, load(chosen), range(seeds)))
    assert len(parts) == 1
    return parts[0]


@pytest.mark.parametrize("centred", [False, True])
def test_directions_are_the_right_singular_vectors(centred):
    x = np.random.default_rng(0).normal(size=(6, 20))
    value, direction = eigendirections(jnp.asarray(x, jnp.float32), centred)
    expected, right = np.linalg.svd(x - x.mean(0) * centred)[1:]
    known = 6 - centred  # centred data have one direction fewer than points
    np.testing.assert_allclose(value[:known], expected[:known] ** 2, rtol=1e-4)
    np.testing.assert_allclose(np.abs(np.sum(direction[:known] * right[:known], -1)), 1, atol=1e-4)
    np.testing.assert_array_equal(direction[known:], 0)


def test_weights_along_directions():
    rng = np.random.default_rng(1)
    v, w = (rng.normal(size=size).astype(np.float32) for size in ((3, 5), (2, 5, 4)))
    expected = [[of_one.T @ direction for direction in v] for of_one in w]
    np.testing.assert_allclose(along(jnp.asarray(v), jnp.asarray(w)), expected, atol=1e-5)


def flow(eigenvalue, t):
    return 1 - np.exp(-eigenvalue * t)


def test_area_of_the_theory_s_curve():
    # Trained to the end along both, w = 1 - (1 - u)^r with r the ratio of eigenvalues, whose area is r / (1 + r).
    t = np.linspace(0, 60, 200_001)
    for ratio in (0.25, 1.0, 2.0):
        assert area(flow(1.0, t), flow(ratio, t)) == pytest.approx(0.5 - ratio / (1 + ratio), abs=1e-4)
    step = np.array([0.0, 1.0, 1.0])  # X first, then Y
    assert area(step, step[[0, 0, 2]]) == 0.5


def test_bias_does_not_depend_on_scale_ends_or_speed():
    t = np.linspace(0, 3, 4001)
    top, bottom = flow(1.0, t), flow(0.3, t)
    expected = biases(top, bottom)
    for other in (biases(7 * top - 2, 0.1 * bottom + 5), biases(flow(1.0, t**2 / 3), flow(0.3, t**2 / 3))):
        assert other["area"] == pytest.approx(expected["area"], abs=1e-5)
        assert other["level"] == expected["level"]
    # Times are a ratio, which a power of time multiplies; its sign stays.
    assert time(flow(1.0, t**2 / 3), flow(0.3, t**2 / 3)) == pytest.approx(expected["time"] / 2, abs=1e-3)
    assert expected["area"] > 0
    assert expected["time"] > 0
    assert level(top, bottom) == 0.5
    assert level(bottom, top) == -0.5
    assert area(bottom, top) < 0


def test_the_theory_s_student_is_more_biased_by_level_and_exactly_as_much_by_area():
    eigenvalue, end = np.array([1.0, 0.3]), 3.0
    t = np.linspace(0, end, 2001)
    teacher = np.stack([flow(e, t) for e in eigenvalue])
    student = teacher * flow(eigenvalue, end)[:, None]  # equation (4)
    top, bottom = np.moveaxis(np.stack([teacher, student]), 1, 0)[:, None, :, None]  # [1 seed, V, 1 pair, T + 1]
    more = exaggerations(biases(top, bottom), top, bottom, model=1)
    assert more["level"].item() == 0.5
    assert more["area"].item() == pytest.approx(0, abs=1e-12)
    assert more["time"].item() == pytest.approx(0, abs=1e-9)


def test_squared_loss_full_batch_and_small_steps_are_the_theory():
    chosen = setting(
        loss="squared", optimizer="gradient-descent", initial="zero", batch_size=32, epochs=400, learning_rate=0.02
    )
    outcome = found(chosen)
    value = outcome.eigenvalue.astype(np.float64)
    now = np.arange(chosen.steps + 1) * chosen.learning_rate / value[:, :1]  # of the flow, [S, steps + 1]
    for place, of_direction in enumerate(trajectories(outcome, 0)):
        of_seed = np.stack([v[pair] for v, pair in zip(value, outcome.drawn.pairs[:, place], strict=True)])
        alpha = np.asarray(eigenspace.sparsity(of_seed[..., None], now[:, None]))  # [S, pairs, steps + 1]
        teacher, student = of_direction[:, TEACHER], of_direction[:, STUDENT]
        share = teacher / teacher[..., -1:]
        np.testing.assert_allclose(share, alpha / alpha[..., -1:], atol=0.01)
        # Equation (4): the student's is the teacher's times the teacher's at its end.
        np.testing.assert_allclose(student[..., 1:] / teacher[..., 1:], alpha[..., -1:] + 0 * share[..., 1:], rtol=0.02)


@pytest.mark.parametrize("kind", ["random-features", "mlp"])
def test_a_seed_of_a_population_is_the_seed_alone(kind):
    chosen = setting(setting=kind)
    dataset = load(chosen)
    (together,), (alone,) = (list(outcomes(chosen, dataset, seeds)) for seeds in (range(3), range(2, 3)))
    np.testing.assert_array_equal(together.drawn.pairs[2:], alone.drawn.pairs)
    for name in ("path", "accuracy", "logits", "test_logits", "selector", "test_selector"):
        np.testing.assert_allclose(getattr(together, name)[2:], getattr(alone, name), rtol=1e-3, atol=1e-4)
    # Control and student begin alike, the teacher elsewhere.
    np.testing.assert_array_equal(together.path[:, 1, 0], together.path[:, 2, 0])
    assert np.all(together.path[:, 0, 0, 0] != together.path[:, 1, 0, 0])


def test_seeds_draw_their_own_points_noise_and_pairs():
    chosen = setting(label_noise=0.25)
    drawn = draw(chosen, load(chosen), np.arange(4))
    np.testing.assert_array_equal((drawn.train.label != drawn.train.true_label).sum(1), 8)
    np.testing.assert_array_equal(drawn.test.label, drawn.test.true_label)
    top, bottom = drawn.pairs[:, 0], drawn.pairs[:, 1]
    assert all(len(set(of_seed)) == 3 for of_seed in (*top, *bottom))
    assert top.max() < 4
    assert bottom.min() >= 6
    assert bottom.max() <= 12
    assert len({tuple(ids) for ids in drawn.train.id}) == 4


def test_shares_are_counted_by_seed():
    chosen = setting()
    of_seeds = values(found(chosen, 3))
    more = np.array([[1.0, -1.0, 1.0], [1.0, 1.0, 1.0], [np.nan, -1.0, 0.0]])
    of_seeds["more", "norm", "area", "student"] = more
    said = summarise(chosen, of_seeds)
    assert said["share_of_pairs"]["mean"] == pytest.approx(5 / 9)
    assert said["share_of_pairs"]["n"] == 3
    assert said["as_many_as_the_paper_s"]["mean"] == pytest.approx(1 / 3)
    assert said["as_many_as_the_paper_s"]["low"] < 1 / 3 < said["as_many_as_the_paper_s"]["high"]
    row = next(r for r in said["definitions"] if (r["definition"], r["projection"]) == ("area", "norm"))
    assert row["undefined"] == pytest.approx(1 / 9)


@pytest.mark.parametrize(("kind", "size"), [("random-features", ["--features", "60"]), ("mlp", ["--hidden", "12"])])
def test_the_command_writes_numbers_beside_the_paper_s_and_figures(kind, size, tmp_path):
    file, figures = tmp_path / "result.json", tmp_path / "figures"
    main(["--setting", kind, *size, *OPTIONS, "--json", str(file), "--figures", str(figures)])
    said = json.loads(file.read_text())
    assert said["share_of_pairs"]["paper"] == (1.0 if kind == "random-features" else 13 / 15)
    assert said["share_of_pairs"]["n"] == 3
    assert len(said["definitions"]) == 6
    assert lines(said).count("\n") == 11
    assert {p.suffix for p in figures.iterdir()} == {".png", ".svg"}
    assert len(list(figures.iterdir())) == 6


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--seeds", "0"], ["--seeds 0", "1 or more"]),
        (["--setting", "linear"], ["--setting", "random-features"]),
        (["--bottom", "60", "20"], ["--bottom 60 20", "lower first"]),
        (["--evaluate-every", "7"], ["--evaluate-every 7", "a divisor of"]),
        (["--pairs", "16"], ["--pairs 16", "[1, 15]"]),
        (["--label-noise", "1"], ["--label-noise 1.0", "[0, 1)"]),
        (["--setting", "mlp", "--initial", "zero"], ["--initial zero", "random"]),
        (["--hidden", "8"], ["--hidden: must be left out", "--setting random-features"]),
        (["--setting", "mlp", "--features", "8"], ["--features: must be left out", "--setting mlp"]),
        (["--loss", "squared", "--temperature", "3"], ["--temperature: must be left out", "--loss squared"]),
        (["--data-dir", "/nowhere"], ["--data-dir /nowhere"]),
        (["--json", "/nowhere/a.json"], ["--json /nowhere/a.json", "folder"]),
        (["--dataset", "digits", "--train-examples", "5000"], ["--train-examples 5000", "1437"]),
    ],
)
def test_wrong_input_is_one_line(arguments, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command.refused(main, arguments, parts, tmp_path)


def test_wrong_input_ends_with_status_2():
    err = command.run(["--top", "0"], status=2, module="experiments.eigenspace")
    assert err == "error: --top 0: must be in [1, 127]\n"
