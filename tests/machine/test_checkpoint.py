import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from distill_jax.errors import RunError
from distill_jax.machine.checkpoint import Checkpoints

# As with JAX_PLATFORMS=cuda or tpu alone: JAX has one platform, and it is not called "cpu".
WITHOUT_CPU = """
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax._src import xla_bridge
from jax._src.lib import xla_client

xla_bridge.register_backend_factory("chip", lambda: xla_client.make_cpu_client(), priority=500)
jax.config.update("jax_platforms", "chip")

from distill_jax.machine.checkpoint import Checkpoints

try:
    jax.local_devices(backend="cpu")
except RuntimeError:
    pass
else:
    sys.exit("there is a CPU, and nothing is tested")
folder = Path(sys.argv[1])
state = {"a": jnp.arange(4.0), "b": {"c": jnp.ones((2, 3), jnp.bfloat16)}}
with Checkpoints(folder, None, "a") as checkpoints:
    checkpoints.save(3, state, {"training": 1.5})
    checkpoints.wait()
with Checkpoints(folder, None) as checkpoints:
    read = checkpoints.restore(3)
assert read.seconds == {"training": 1.5}
assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(read.state))
jax.tree.map(np.testing.assert_array_equal, read.state, jax.tree.map(np.asarray, state))
"""


def test_a_checkpoint_is_read_where_jax_has_no_cpu(tmp_path):
    done = subprocess.run([sys.executable, "-c", WITHOUT_CPU, str(tmp_path / "c")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_is_as_it_was_written_is_not_called_damaged(tmp_path):
    with Checkpoints(tmp_path / "c", None, "a") as checkpoints:
        checkpoints.save(3, {"a": jnp.arange(4.0)}, {})
        checkpoints.wait()
        with pytest.raises(RunError, match=r"c/3 cannot be read here, though it is as it was written"):
            checkpoints.restore(3, {"another": np.zeros(5)})
        (tmp_path / "c" / "3" / "state" / "manifest.ocdbt").write_bytes(b"")
        with pytest.raises(Exception, match="is damaged"):
            checkpoints.restore(3)
