"""From the theory to appendix C.4: the closed form's curves, the departures from it, and the command."""

import dataclasses
import json

import command
import numpy as np
import pytest

from distill_jax.errors import InputError
from experiments.eigenspace import bridge, bridge_summary
from experiments.eigenspace.bias import LEVELS, shares
from experiments.eigenspace.closed_form import ENDS, curve, distances
from experiments.eigenspace.departures import BridgeSetting, departures

TOP, BOTTOM = np.array([1.0, 0.4]), np.array([0.3, 0.01])  # of two pairs
SMALL = ["--dataset", "digits", "--features", "300", "--steps", "100", "--seeds", "2"]


def way(eigenvalue, end, points=4001):
    """The flow's alpha(t) until its end, [pairs, points], more densely in the beginning."""
    return 1 - np.exp(-eigenvalue[:, None] * end * np.linspace(0, 1, points) ** 2)


@pytest.mark.parametrize("end", [0.3, 5.0, 300.0])
def test_curves_are_those_of_the_flow(end):
    found = shares(7 * way(TOP, end), 2 - way(BOTTOM, end))  # whatever the scale and the beginning
    np.testing.assert_allclose(curve(LEVELS, TOP[:, None], BOTTOM[:, None], np.float64(end)), found, atol=1e-5)


def test_no_way_has_no_curve():
    assert np.isnan(curve(LEVELS, np.float64(1.0), np.float64(0.0), np.float64(2.0))).all()
    assert np.isnan(shares(way(TOP, 2.0), np.zeros((2, 4001)))).all()


@pytest.mark.parametrize("at", [20, 50, 65])
def test_the_nearest_end_time_is_that_of_the_flow(at):
    found = distances(shares(way(TOP, ENDS[at]), way(BOTTOM, ENDS[at])), TOP, BOTTOM, ENDS)
    assert found.argmin() == at
    assert found.min() < 1e-4
    # Of both pairs at once: curves of different times fit no single one.
    mixed = np.stack(
        [shares(way(TOP[:1], 0.5), way(BOTTOM[:1], 0.5))[0], shares(way(TOP[1:], 50.0), way(BOTTOM[1:], 50.0))[0]]
    )
    assert distances(mixed, TOP, BOTTOM, ENDS).min() > 0.03


def test_each_row_is_one_departure():
    rows = {name: dataclasses.asdict(setting) for name, setting in departures(BridgeSetting()).items()}

    def differ(name, base):
        return {key for key, value in rows[name].items() if value != rows[base][key]}

    expected = {
        "minibatches": {"batch_size", "epochs"},
        "cross-entropy": {"loss"},
        "Adam": {"optimizer", "learning_rate", "epochs"},
    }
    for name, fields in expected.items():
        assert differ(f"theory, but {name}", "theory") == fields
        assert differ(f"paper, but no {name}", "paper") == fields
    assert differ("theory, but Adam and minibatches", "theory, but Adam") == {"batch_size", "epochs"}
    of_loss = {"temperature", "projection"}  # which squared loss and this command do not look at
    assert differ("theory, but MLP", "theory") == {"setting", "initial", "epochs", "learning_rate"} | of_loss
    assert differ("paper's MLP, but no cross-entropy", "paper's MLP") == {"loss"}


def test_the_command_goes_on_where_it_stopped(tmp_path, monkeypatch):
    file = tmp_path / "bridge.json"
    stopping, calls = command.stopping_at_the_second(bridge_summary.measure)
    three = ("theory", "theory, but Adam", "paper")
    monkeypatch.setattr(bridge, "departures", lambda chosen: {name: departures(chosen)[name] for name in three})
    monkeypatch.setattr(bridge_summary, "measure", stopping)
    arguments = [*SMALL, "--json", str(file), "--figures", str(tmp_path / "figures")]
    with pytest.raises(KeyboardInterrupt):
        bridge.main(arguments)
    assert len(json.loads(file.read_text())["rows"]) == 1
    bridge.main(arguments)
    rows = json.loads(file.read_text())["rows"]
    assert tuple(rows) == three
    assert len(calls) == len(rows) + 1  # the second one twice
    assert {p.name for p in (tmp_path / "figures").iterdir()} == {"eigenspace-bridge.png", "eigenspace-bridge.svg"}
    # The theory's own row is on the closed form, and its student has its teacher's curves.
    theory = rows["theory"]
    assert theory["distance_teacher"]["mean"] < 0.005
    assert theory["distance_student"]["mean"] < 0.005
    assert abs(theory["exaggeration_student"]["mean"]) < 1e-3
    assert theory["longer"]["mean"] == pytest.approx(1)
    assert theory["off_known"]["mean"] < 0.05
    assert rows["theory, but Adam"]["distance_teacher"]["mean"] > 0.01
    with pytest.raises(InputError, match=r"--json .*: was made with --seeds 2, not 3"):
        bridge.main([*arguments, "--seeds", "3"])


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--seeds", "0"], ["--seeds 0", "1 or more"]),
        (["--steps", "0"], ["--steps 0", "1 or more"]),
        (["--train-examples", "50"], ["--train-examples 50", "61"]),
        (["--json", "/nowhere/a.json"], ["--json /nowhere/a.json", "folder"]),
    ],
)
def test_wrong_input_is_one_line(arguments, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command.refused(bridge.main, arguments, parts, tmp_path)
