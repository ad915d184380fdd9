"""Known faults of XLA's CPU compiler, the flag that keeps clear of them, and the canary for others."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from command import ROOT
from compiled import WITH_KINKS
from xla_flags import AS_FOR_USERS, COMPILER

import compiler_faults
from distill_jax.machine.environment import environment

JAXLIB = compiler_faults.metadata.version("jaxlib")
FAULTY, NAN_LOST = JAXLIB in compiler_faults.FAULTY, JAXLIB in compiler_faults.NAN_LOST


def fresh(code: str, flags: str = "") -> Any:
    """What some lines put into `found`, as JSON, in a process that has imported no other part of this project."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "helpers")])
    given = {name: value for name, value in os.environ.items() if not name.startswith("JAX_COMPILATION_CACHE")}
    given |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "PYTHONPATH": paths}
    code = f"import json, os, compiler_faults as faults\nfound = {{}}\n{code}\nprint(json.dumps(found))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=given, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_listed_versions_alone_are_wrong_and_this_comparison_sees_it():
    found = fresh("""
import compiled, jax, numpy as np
found |= {"wrong": faults.wrong_rows(), "nan_lost": faults.loses_nan()}
rows, matrix = np.random.default_rng(0).normal(size=(40_960, 3)), np.eye(3, dtype=np.float32)
pattern = jax.jit(jax.vmap(lambda row: ((matrix @ row) ** 2).sum()))
found["off"] = compiled.differences(*compiled.both(pattern, rows.astype(np.float32)))[""]
faults.avoid()  # too late
found["warning"] = faults.warning()
""")
    assert (found["wrong"] > 0) == FAULTY
    assert found["nan_lost"] == NAN_LOST
    assert (found["off"] > WITH_KINKS) == FAULTY
    if FAULTY:
        assert found["off"] > 100 * WITH_KINKS
        assert "JAX was in use before" in found["warning"]
    else:
        assert (found["warning"] is None) == (not NAN_LOST)


@pytest.mark.parametrize(
    "own",
    ["", "--xla_a=1", f"--xla_a=1 {compiler_faults.OPTION}=", f"{compiler_faults.OPTION}=+reduce", "/a/file/of/flags"],
)
def test_the_flag_is_added_where_the_user_has_not_set_its_option(monkeypatch, own):
    monkeypatch.setenv("XLA_FLAGS", own)
    compiler_faults.avoid()
    needed = NAN_LOST and compiler_faults.OPTION not in own and not own.startswith("/")
    assert os.environ["XLA_FLAGS"].split() == [*own.split(), *[compiler_faults.FLAG] * needed]


def test_a_user_s_flag_that_leaves_the_fault_is_warned_of():
    found = fresh("faults.avoid()\nfound['warning'] = faults.warning()", f"{compiler_faults.OPTION}=+reduce")
    if NAN_LOST:
        assert "\n" not in found["warning"]
        assert f"XLA_FLAGS sets {compiler_faults.OPTION} otherwise" in found["warning"]
    else:
        assert found["warning"] is None


@pytest.mark.parametrize(
    ("version", "backend", "said"), [("0.10.2", "gpu", True), ("0.11.1", "gpu", False), ("0.10.2", "tpu", False)]
)
def test_a_gpu_s_faults_are_said(monkeypatch, version, backend, said):
    monkeypatch.setattr(compiler_faults.metadata, "version", lambda name: version)
    monkeypatch.setattr("jax.default_backend", lambda: backend)
    text = compiler_faults.warning()
    assert (text is not None and "0.11.1 and later" in text) == said


def test_this_process_is_sound_and_results_say_so():
    assert compiler_faults.wrong_rows() == 0
    assert not compiler_faults.loses_nan()
    assert environment("a command").items() >= {"xla_flags": os.environ["XLA_FLAGS"], "compiler_fault": None}.items()


@pytest.mark.parametrize("marked", ["not slow", pytest.param("slow", marks=pytest.mark.slow)])
def test_programs_as_users_compile_them_are_right(marked):
    words = ["-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", marked, "tests/canary_programs.py"]
    given = os.environ | {COMPILER: AS_FOR_USERS, "XLA_FLAGS": ""}
    done = subprocess.run([sys.executable, *words], cwd=ROOT, env=given, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout[-5000:]
    assert " passed" in done.stdout
