"""One page of a listing of objects by the rules that S3 and Google Cloud Storage share: prefix, delimiter, page."""

from collections.abc import Iterable
from typing import NamedTuple


class Page(NamedTuple):
    """Names of objects, the common prefixes beside them, and where the next page goes on (None: this was the last)."""

    names: list[str]
    prefixes: list[str]
    after: str | None


def page(names: Iterable[str], prefix: str = "", delimiter: str = "", after: str = "", most: int = 1000) -> Page:
    """The first `most` names and common prefixes behind `after`: a name or a common prefix of the page before."""
    found, prefixes, last = [], [], ""
    for name in sorted(name for name in names if name.startswith(prefix) and name > after):
        if delimiter and after.endswith(delimiter) and len(after) > len(prefix) and name.startswith(after):
            continue
        head, cut, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
        common = prefix + head + cut if cut else None
        if common is not None and prefixes[-1:] == [common]:
            continue
        if len(found) + len(prefixes) == most:
            return Page(found, prefixes, last)
        last = name if common is None else common
        (found if common is None else prefixes).append(last)
    return Page(found, prefixes, None)
