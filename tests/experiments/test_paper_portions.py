"""The paper's studies trained in portions: by printed commands, and by several processes together."""

import json
import shlex

import pytest
from command import end, free_port, own_lines, refused, results, start, start_two, undrawn
from tiny_paper import tiny

from experiments.compiled.studies import Forecast
from experiments.paper import make
from experiments.paper.__main__ import main
from experiments.paper.cost import longest_first
from experiments.paper.scale import PAPER, SCALES
from experiments.paper.studies import studies

NAMES = ["cifar100-longer", "cifar10-resnet56-resnet56"]


@pytest.fixture
def at_tiny_scale(monkeypatch):
    monkeypatch.setitem(SCALES, "small", tiny())
    monkeypatch.setattr(make.backend, "use_cores", lambda batch: None)  # the tests' JAX has its devices
    monkeypatch.setattr(make.program_cache, "keep_programs", lambda folder: None)
    with undrawn():
        yield


def printed(capsys, *arguments):
    capsys.readouterr()
    main([*arguments, "--print-commands"])
    return capsys.readouterr().out.splitlines()


def test_printed_commands_in_another_order_are_one_process_to_the_bit(at_tiny_scale, tmp_path, monkeypatch, capsys):
    options = ["--scale", "small", "--seeds", "2", "--population", "8"]
    whole, parts = ([*NAMES, *options, "--workdir", str(tmp_path / f"{n} of them")] for n in ("all", "each"))
    main(whole)
    lines = printed(capsys, *parts)
    assert [line.split()[3] for line in lines[:1]] == ["cifar100-longer"]
    for line in reversed(lines):
        words = shlex.split(line)
        assert words[:3] == ["python", "-m", "experiments.paper"]
        main(words[3:])
    for name in NAMES:
        folders = [tmp_path / f"{n} of them" / "small" / name for n in ("all", "each")]
        assert results(folders[0]) == results(folders[1])
        assert json.loads((folders[1] / "study.json").read_text())["run"]["population"] == 8
    assert printed(capsys, *parts) == []
    monkeypatch.setattr(make, "run_study", lambda *_: pytest.fail("a study was trained again"))
    main(parts)


def test_only_what_is_asked_for_and_possible_is_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = ["--scale", "small", "--data-dir", "."]
    lines = printed(capsys, "all", *data, "--memory-gib", "3.5")
    images = [name for name, plan in studies(SCALES["small"]).items() if not plan.row.is_text]
    assert sorted(line.split()[3] for line in lines) == sorted(images)
    assert all(line.endswith("--memory-gib 3.5") for line in lines)
    assert "--tokenizer" not in "".join(lines)
    for arguments, parts in (
        (["fig1a"], ["--data-dir: must be given for cifar100-"]),
        (["fig9", *data], ["--tokenizer: must be given for imdb-"]),
        (["--list"], ["--print-commands: must have targets"]),
        (["all", "--list"], ["--print-commands", "without --list"]),
        (["table2", "--json", "rows.json"], ["--print-commands", "without --json"]),
        (["fig1a", "--distributed", "True"], ["--print-commands", "without --distributed"]),
    ):
        refused(main, [*arguments, "--print-commands"], parts, tmp_path)


def test_the_longest_is_first_by_one_measure_of_all():
    plans = list(studies(PAPER).values())
    sizes = {p.name: p.models_a_seed * p.steps * p.setting.train.batch_size for p in plans}
    assert sizes[longest_first(plans, 3, [], {})[0].name] == max(sizes.values())
    few = plans[:3]
    hours = {p.name: {"chip": Forecast(h, 1.0, None)} for p, h in zip(few, (2, 3, 1), strict=True)}
    assert longest_first(few, 3, [], hours) == [few[1], few[0], few[2]]
    hours[few[1].name] = {"chip": Forecast(None, 90.0, "too large")}  # has no hours: by examples, then
    by_examples = sorted(few, key=lambda p: -sizes[p.name])
    assert longest_first(few, 3, [], hours) == by_examples


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["all", "--population", "0"], ["run.population", "1 or more"]),
        (["all", "--memory-gib", "-1"], ["memory", "positive"]),
        (["all", "--processes", "2"], ["--distributed False: must be True"]),
        (["--list", "--distributed", "True"], ["--distributed True", "targets"]),
        (["all", "--precision", "bfloat16"], ["--precision", "--help"]),  # a scale's precision names its studies
    ],
)
def test_wrong_ways_to_run_are_refused_in_one_line(arguments, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(main, arguments, [part.replace("run.", "--") for part in parts], tmp_path)


def test_the_list_for_programs_has_what_the_list_shows(tmp_path, capsys):
    main(["--list", "--scale", "paper", "--workdir", str(tmp_path / "none"), "--json", str(tmp_path / "list.json")])
    found = json.loads((tmp_path / "list.json").read_text())
    assert [row["study"] for row in found["studies"]] == list(studies(PAPER))
    assert not any(row["is_there"] for row in found["studies"])
    assert all(row["predicted"]["h100"]["memory_gib"] > 0 for row in found["studies"])
    named = {name for row in found["make"] for name in row["studies"]}
    assert named <= {row["study"] for row in found["studies"]}
    assert {"fig1a", "table2", "published"} <= {row["make"] for row in found["make"]}


@pytest.mark.slow
def test_two_processes_train_a_plan_together_as_the_main_command_does(tmp_path):
    name = NAMES[1]
    arguments = [name, NAMES[0], "table2", "--scale", "small", "--seeds", "2", "--workdir", tmp_path / "paper"]
    joined = ["--distributed", "True", "--coordinator", f"127.0.0.1:{free_port()}", "--processes", "2"]
    both = [start([*arguments, *joined, "--process-id", i], devices=2, module="tiny_paper") for i in range(2)]
    statuses, said = end(both)
    assert statuses == [0, 0], said
    assert "study 2 of 2" in said[0][0]
    assert not own_lines(said[1][0])  # only the first process speaks
    folder = tmp_path / "paper" / "small" / name
    saved = json.loads((folder / "study.json").read_text())
    for field in ("distributed", "coordinator", "processes", "process_id"):
        saved["run"].pop(field)
    (tmp_path / "study.json").write_text(json.dumps(saved))
    statuses, said = end(start_two(["--setting", tmp_path / "study.json", "--workdir", tmp_path / "main"]))
    assert statuses == [0, 0], said
    assert results(folder) == results(tmp_path / "main")
