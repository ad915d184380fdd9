"""Memory that is not a program's: logits of dumps, and what a container may have."""

import types

import pytest
from small_study import QUIET, dataset, setting

from distill_jax import limits
from distill_jax.command import command_line
from distill_jax.machine import backend
from distill_jax.study import prepared
from distill_jax.study import study as study_module
from distill_jax.study.study import Study
from distill_jax.training.population import Member


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setattr(prepared, "load_dataset", lambda *_: dataset())
    return Study(setting(tmp_path / "work"), QUIET)


def program_of(need):
    """A trainer whose programs need so many bytes of a device."""
    return types.SimpleNamespace(runner=lambda *_: types.SimpleNamespace(memory=lambda: need))


MEMBERS = [Member("kd", seed) for seed in range(8)]


@pytest.mark.parametrize(
    ("need", "host", "expected", "words"),
    [
        (100, 8.0, 8, None),
        (100, 1.0, 8, None),
        (100, 0.5, 4, "of this machine's"),
        (2000, 8.0, 4, "of a device's"),
        (2000, 0.25, 2, "of a device's"),
    ],
)
def test_a_population_is_split_by_its_logits_too(study, monkeypatch, need, host, expected, words):
    said = []
    monkeypatch.setattr(study_module, "say", lambda console, line: said.append(line))
    monkeypatch.setattr(backend, "memory_limit", lambda gib=None: 1000)
    of_all = 8 * 2 * 4 * 140 * 5  # members, twice float32, examples, classes
    assert study._logits_bytes(8) == of_all
    monkeypatch.setattr(limits, "host_memory", lambda: host * of_all)
    monkeypatch.setattr(study_module.jax, "default_backend", lambda: "gpu")
    assert study._fitting(program_of(need), MEMBERS) == expected
    assert len(said) == (words is not None)
    if words is not None:
        assert words in said[0]
        assert f"{expected} at once are tried instead" in said[0]


def test_on_a_cpu_programs_and_logits_have_one_memory(study, monkeypatch):
    devices = 4
    monkeypatch.setattr(study_module.jax, "local_device_count", lambda: devices)
    monkeypatch.setattr(backend, "memory_limit", lambda gib=None: 2 * study._logits_bytes(8) / devices)
    need = study._logits_bytes(8) / devices
    assert study._fitting(program_of(need), MEMBERS) == 8
    assert study._fitting(program_of(3 * need), MEMBERS) == 4


def test_a_container_s_limit_counts(tmp_path, monkeypatch):
    whole = limits.host_memory()
    for said, expected in (("max\n", whole), ("1048576\n", 2**20), (str(2**63), whole)):
        (tmp_path / "memory.max").write_text(said)
        monkeypatch.setattr(limits, "_CONTAINER_S", (str(tmp_path / "absent"), str(tmp_path / "memory.max")))
        assert limits.host_memory() == pytest.approx(min(expected, whole))


def test_a_full_memory_is_one_line(monkeypatch, capsys):
    def main(arguments):
        raise MemoryError

    with pytest.raises(SystemExit) as stop:
        command_line.run(main)
    assert stop.value.code == 1
    assert capsys.readouterr().err.startswith("error: this machine's memory is full")
