"""Tables in Markdown."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from distill_jax.errors import InputError


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, a line a row.

    >>> print(markdown_table(["a", "b"], [["1", "2"]]), end="")
    | a | b |
    | --- | --- |
    | 1 | 2 |
    """
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ["---"] * len(head), *rows))


def of_result(path: Path, lines: Callable[[Mapping[str, Any]], str]) -> str:
    """What `lines` says of the result file that `--markdown` names.

    Raises:
      InputError: it is none.
    """
    try:
        return lines(json.loads(path.read_text()))
    except OSError as error:
        raise InputError("--markdown", path, f"cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("--markdown", path, "must be a result file of this command") from error
