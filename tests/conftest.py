"""Every test run has four virtual CPU devices, so that sharding is always exercised, and compiles a program once."""

import gc
import os
import tempfile

import pytest
from jaxtyping import install_import_hook
from xla_flags import xla_flags

import compiler_faults

gc.set_threshold(100_000, 20, 20)  # a tenth of the time, of looking through what JAX keeps again and again
_SHARED = "DISTILL_JAX_TEST_PROGRAMS"  # of the process that has started this one, as pytest-xdist does
if _SHARED not in os.environ:
    COMPILED = tempfile.TemporaryDirectory(prefix="distill-jax-programs-")
    os.environ[_SHARED] = COMPILED.name
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {xla_flags(4)}"
compiler_faults.avoid()
# Tests build the same programs again and again, also in the processes they start.
os.environ["JAX_COMPILATION_CACHE_DIR"] = os.environ[_SHARED]
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
# Shapes and types of what these are given and give are checked at every call.
_CHECKED = ("measures.deviations", "measures.slopes", "measures.fidelity", "training.losses", "training.objective")
install_import_hook([f"distill_jax.{name}" for name in (*_CHECKED, "training.predict")], "beartype.beartype")

# Files that take a minute or two are begun first, so that one process does not wait for the other's at the end.
_LONG = ("test_canary.py", "test_types.py", "test_devices.py", "test_resume.py", "test_docs.py", "test_train_step.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of long files before all others."""
    items.sort(key=lambda item: item.path.name not in _LONG)


@pytest.fixture(scope="session")
def npz(tmp_path_factory):
    """A file of data as a user would bring it, which nobody changes."""
    from command import write_npz

    return write_npz(tmp_path_factory.mktemp("data") / "own.npz")


@pytest.fixture
def fails():
    """Loads with a setting that must be refused; gives the message, which is one line about the field."""
    from distill_jax.data import load_dataset
    from distill_jax.errors import InputError
    from distill_jax.setting import DataSetting

    def load(field: str, *parts: str, **fields) -> str:
        with pytest.raises(InputError) as caught:
            load_dataset(DataSetting(**fields))
        message = str(caught.value)
        assert message.startswith(field)
        assert len(message.splitlines()) == 1
        for part in parts:
            assert part in message
        return message

    return load
