import json

from experiments import framework_cost


def test_loop_bare_step_and_streamed_loop_are_measured_in_turn(tmp_path, monkeypatch):
    monkeypatch.setattr(framework_cost, "ROUNDS", 2)
    networks = ["--teacher.hidden", "4", "--student.hidden", "4", "--train-examples", "300"]
    framework_cost.main(["digits", *networks, "--json", str(tmp_path / "cost.json")])
    rows = json.loads((tmp_path / "cost.json").read_text())["rows"]
    assert set(rows) == {"one_hot", "kd"}
    for row in rows.values():
        assert len(row["ratios"]) == len(row["streamed_ratios"]) == 2
        assert min(row["ratios"] + row["streamed_ratios"]) > 0
        assert row["streamed_losses_are_the_same"] is True
