"""Docstrings as Markdown: examples become blocks of code, `::` a colon, and indices in the text are no links."""

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^([ ]*)>>> .*(?:\n(?!\1?[ ]*\n|\Z).*)*", re.MULTILINE)
_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)


def markdown(docstring: str) -> str:
    r"""A docstring with its examples fenced, each up to an empty line, '::' a colon, and `a[i][j]` not a link.

    >>> markdown("Adds.\n\n>>> 1 + 1\n2\n\nOf x[i][j].")
    'Adds.\n\n```pycon\n>>> 1 + 1\n2\n```\n\nOf x[i]\\[j].'
    """
    fenced = _EXAMPLE.sub(lambda match: f"{match[1]}```pycon\n{match[0]}\n{match[1]}```", docstring)
    fenced = re.sub(r"::$", ":", fenced, flags=re.MULTILINE)
    parts = _CODE.split(fenced)
    return "".join(part if i % 2 else re.sub(r"\](\s?)\[", r"]\1\\[", part) for i, part in enumerate(parts))


class Docstrings(griffe.Extension):
    """Does so for every object that mkdocstrings shows."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Of each object, once it is read."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)
