import os
import subprocess
import sys

import pytest

from distill_jax.machine import gpu_flags

NEEDED = f"{gpu_flags.DETERMINISTIC}=true"


@pytest.mark.parametrize("plugin", [True, False])
@pytest.mark.parametrize(
    ("own", "added"),
    [
        ("", True),
        ("--xla_a=1", True),
        (f"--xla_a=1 {gpu_flags.DETERMINISTIC}=false", False),
        ("/a/file/of/flags", False),
    ],
)
def test_the_option_is_added_where_there_is_a_plugin_and_the_user_has_not_set_it(
    monkeypatch, tmp_path, own, added, plugin
):
    monkeypatch.setenv("XLA_FLAGS", own)
    if plugin:
        (tmp_path / "jax_plugins" / "xla_cuda13").mkdir(parents=True)
    monkeypatch.setattr(gpu_flags.importlib.util, "find_spec", lambda name: _Spec([str(tmp_path / name)]))
    gpu_flags.add(gpu_flags.DETERMINISTIC, "true")
    assert os.environ["XLA_FLAGS"].split() == [*own.split(), *[NEEDED] * (added and plugin)]


class _Spec:
    def __init__(self, folders):
        self.submodule_search_locations = folders


# One process that finds itself by SLURM's variables, and JAX's own choice of its GPUs.
JOINED = """
import os
import sys

os.environ |= {
    "SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "1", "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0", "SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_TASKS_PER_NODE": sys.argv[1],
}
from jax._src import xla_bridge

from distill_jax.machine import processes

with processes.connected(None, None, None):
    print(xla_bridge.CUDA_VISIBLE_DEVICES.value)
"""


@pytest.mark.parametrize(("tasks", "visible"), [("1(x4)", "all"), ("8(x4)", "0")])
def test_a_process_that_is_alone_on_its_node_has_all_of_its_gpus(tasks, visible):
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", JOINED, tasks], capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.stdout.split() == [visible], done.stderr
