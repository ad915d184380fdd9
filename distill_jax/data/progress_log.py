"""A line now and then, in the log, of work on many items that takes long."""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

_T = TypeVar("_T")
_SECONDS = 10.0  # between two lines

_LOG = logging.getLogger(__name__)


def logged(items: Iterable[_T], total: int, called: str) -> Iterator[_T]:
    """The items, with a line every ten seconds of how many there were, and how long the others will take.

    >>> list(logged("ab", total=2, called="pictures"))
    ['a', 'b']

    Args:
      items: as they are ready.
      total: how many there will be.
      called: what they are, in the plural.
    """
    started = said = time.monotonic()
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - said >= _SECONDS:
            said = now
            remaining = (now - started) / count * (total - count)
            _LOG.info("%s: %s of %s, ETA %.0f s", called, f"{count:,}", f"{total:,}", remaining)
