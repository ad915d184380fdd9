"""Packages that only some studies need: optional extras, named in one line where they are absent."""

import importlib
from typing import Any

from distill_jax.errors import InputError


def needed(module: str, extra: str, field: str, value: object = None) -> Any:
    """A module of an extra.

    Args:
      module: to import.
      extra: of pyproject.toml that brings it.
      field, value: what was asked for that needs it.

    Raises:
      InputError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise InputError(field, value, f"needs {package}, of an extra: pip install 'distill-jax[{extra}]'") from error
