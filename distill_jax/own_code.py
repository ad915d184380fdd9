"""Code of one's own, named as 'module:attribute', of a module in the current folder or an installed one."""

import hashlib
import importlib
import inspect
import re
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distill_jax.errors import InputError

_SOURCES: dict[str, tuple[Any, bytes]] = {}  # of modules, by what and from which source they were loaded
_NAME = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def is_own(name: str) -> bool:
    """Whether a name is of the form 'module:attribute'.

    >>> is_own("small:Small"), is_own("mlp")
    (True, False)
    """
    return _NAME.fullmatch(name) is not None


def short_name(name: str) -> str:
    """The attribute of 'module:attribute'; any other name as it is.

    >>> short_name("small:Small"), short_name("mlp")
    ('Small', 'mlp')
    """
    return name.partition(":")[2] if is_own(name) else name


def imported(name: str, field: str) -> Any:
    """The object that 'module:attribute' names, of a module in the current folder or an installed one.

    >>> imported("math:pi", "optimizer.optimizer")
    3.141592653589793

    Args:
      field: that names it, for the message.

    Raises:
      InputError: there is no such thing, or its file has changed since it was imported, and is not what would be run.
    """
    module, _, attribute = name.partition(":")
    if "" not in sys.path:
        sys.path.append("")  # the current folder, which an installed command has not
    try:
        loaded = importlib.import_module(module)
        value = getattr(loaded, attribute)
    except (ImportError, AttributeError, SyntaxError, ValueError) as error:
        raise InputError(field, name, f"cannot be imported ({error}); must be module:attribute") from None
    path = Path(getattr(loaded, "__file__", None) or "")
    if module != "__main__" and path.suffix == ".py" and path.is_file():
        source = path.read_bytes()
        spec, known_source = _SOURCES.get(module, (None, b""))
        if spec is not loaded.__spec__:  # a module that is loaded again has another
            _SOURCES[module] = loaded.__spec__, source
        elif known_source != source:
            raise InputError(
                field,
                name,
                f"{path.name} has changed since it was imported; must be loaded again (importlib.reload), or "
                "Python started anew",
            )
    return value


def code(names: Sequence[str]) -> str:
    """A digest of the code behind names of one's own, '' where there are none: a study's models are named by it.

    >>> code(["one_hot", "kd"]), len(code(["kd", "json:dumps"]))
    ('', 12)
    """
    digest = hashlib.sha256()
    own_names = sorted({name for name in names if is_own(name)})
    for name in own_names:
        value = imported(name, "code")
        module = sys.modules[name.partition(":")[0]]
        # In a notebook a module has no source, but the function has.
        source = module if getattr(module, "__file__", None) else getattr(value, "function", value)
        try:
            digest.update(inspect.getsource(source).encode())
        except (OSError, TypeError):
            code_object = source.__code__ if isinstance(source, types.FunctionType) else None
            digest.update(repr((name, code_object and (code_object.co_code, code_object.co_consts))).encode())
    return digest.hexdigest()[:12] if own_names else ""
