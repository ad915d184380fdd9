"""Whose a place in a bucket is: one command at a time, until it ends or has not been heard of for a minute.

Claims are numbered objects, each made only if there is none of its number, and the highest one counts. Who has made it
renews another object beside it. Who wants the place watches that: nobody's clock is compared with another's. A holder
that cannot renew it does nothing more to the place when half of that minute is over, and never when there is a higher
claim.
"""

import itertools
import json
import os
import re
import secrets
import socket
import threading
import time
from typing import Any

from distill_jax.bucket.objects import Objects
from distill_jax.errors import InputError, RunError

FOLDER = ".distill-jax"  # within a place, for what only this room reads
LEASE_SECONDS = 60.0
RENEWED = 6  # times within these
_NAME = re.compile(FOLDER + r"/claims/(\d+)\.json")
_ENDED = b"ended"
_KEPT = 5  # of the claims before


class LostClaim(RunError):
    """Another command has taken the place over."""


class Claim:
    """A place that is this command's.

    >>> objects = Objects("run.workdir", "memory://bucket/claimed")
    >>> claim = Claim.take(objects)
    >>> claim.check()
    >>> claim.release()

    Attributes:
      number: of the claim, which rises with each.
      before: the highest one that there was, None where there was none.
      lease: seconds after which it counts no more, if it is not renewed.
    """

    def __init__(self, objects: Objects, number: int, before: int | None, lease: float):
        self.number, self.before = number, before
        self._objects, self.lease = objects, lease
        self._beats, self._lock = itertools.count(1), threading.Lock()
        self._renewed = _now()
        self.renew()

    @classmethod
    def take(cls, objects: Objects, own: int | None = None, lease: float = LEASE_SECONDS) -> "Claim":
        """Takes a place, which may take as long as a lease where the last holder was killed.

        Args:
          objects: of the place.
          own: the number of a claim whose holder is known to be dead.
          lease: seconds after which a holder that is not heard of is dead.

        Raises:
          InputError: somebody holds it.
        """
        highest = before = max(_numbers(objects), default=None)
        while True:
            if highest is not None and highest != own:
                _watch(objects, highest, lease)
            number = 1 if highest is None else highest + 1
            holder = {"host": socket.gethostname(), "process": os.getpid(), "token": secrets.token_hex(8)}
            if objects.write_new(_name(number), json.dumps(holder).encode()):
                break
            highest = before = number  # a list that was late, or another who wants it too
        claim = cls(objects, number, before, lease)
        objects.remove(n for old in range(max(1, number - 2 * _KEPT), number - _KEPT) for n in (_name(old), _beat(old)))
        return claim

    def renew(self) -> None:
        """Says that its holder is alive.

        Raises:
          LostClaim: the place is another's.
          Unreached: the bucket does not answer.
        """
        with self._lock:
            asked = _now()
            self._objects.write(_beat(self.number), str(next(self._beats)).encode())
            if self._objects.read(_name(self.number + 1)) is not None:
                raise LostClaim(
                    f"{self._objects.address} was taken over by another command, since this one was not heard of for "
                    f"{self.lease:.0f} s; what it has done since is left out"
                )
            self._renewed = asked

    def check(self) -> None:
        """Sees that the place is still this command's before something is changed in it, however long it has slept.

        Raises:
          LostClaim, Unreached: as `renew`.
        """
        if _now() > self._renewed + self.lease / 2:
            self.renew()

    def release(self) -> None:
        """Gives the place back."""
        with self._lock:
            self._objects.write(_beat(self.number), _ENDED)


def latest(objects: Objects) -> int | None:
    """The number of the last claim of a place; None where it was never claimed."""
    number = max(_numbers(objects), default=None)
    while number is not None and objects.read(_name(number + 1)) is not None:  # a list may be late
        number += 1
    return number


def _numbers(objects: Objects) -> list[int]:
    found = map(_NAME.fullmatch, (f"{FOLDER}/claims/{name}" for name in (objects / f"{FOLDER}/claims").list()))
    return [int(match[1]) for match in found if match is not None]


def _name(number: int) -> str:
    return f"{FOLDER}/claims/{number:06d}.json"


def _beat(number: int) -> str:
    return f"{FOLDER}/claims/{number:06d}.alive"


def _watch(objects: Objects, number: int, lease: float) -> None:
    """Returns when a claim's holder has ended, or has not been heard of for the time of a lease.

    Raises:
      InputError: it is alive.
    """
    first, end = objects.read(_beat(number)), _now() + lease
    while (beat := objects.read(_beat(number))) != _ENDED:
        if beat != first:
            holder: dict[str, Any] = json.loads(objects.read(_name(number)) or b"{}")
            whose = f"process {holder.get('process')} of {holder.get('host')}"
            fault = f"is in use by another process ({whose}); wait for it or choose another folder"
            raise InputError(objects.field, objects.address, fault) from BlockingIOError()
        if _now() > end:
            return
        time.sleep(lease / RENEWED / 4)


def _now() -> float:
    """Seconds, those included in which the machine was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
