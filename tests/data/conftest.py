"""The real data sets, found as a user would name them; tests that need one skip where it is absent."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder with tfds/ and tiny-imagenet-200-subset/, which DISTILL_JAX_TEST_DATA names."""
    named = os.environ.get("DISTILL_JAX_TEST_DATA")
    if not named:
        pytest.skip("DISTILL_JAX_TEST_DATA is not set: the folder that holds tfds/")
    return Path(named)


def existing(folder: Path) -> Path:
    """The folder; skips where it is not there."""
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    return folder


@pytest.fixture(scope="session")
def tfds_dir(data_root) -> Path:
    return existing(data_root / "tfds")


@pytest.fixture(scope="session")
def tiny_dir(data_root) -> Path:
    return existing(data_root / "tiny-imagenet-200-subset")


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory) -> Path:
    """One cache for all tests that do not damage it: decoding takes seconds."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def load(tmp_path):
    """Loads what is at a path, with a cache of the test's own."""
    from distill_jax.data import load_dataset
    from distill_jax.setting import DataSetting

    def load_path(path: Path, **fields):
        return load_dataset(DataSetting(dataset=str(path), cache_dir=tmp_path / "cache", **fields))

    return load_path
