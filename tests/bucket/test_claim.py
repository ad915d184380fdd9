import threading
import time

import pytest

from distill_jax.bucket.claim import Claim, LostClaim, latest
from distill_jax.bucket.objects import Objects
from distill_jax.errors import InputError

LEASE = 0.6


@pytest.fixture
def objects(tmp_path):
    return Objects("run.workdir", f"memory://claims{tmp_path}".rstrip("/"))


def test_a_place_is_one_holders_until_it_is_released(objects):
    first = Claim.take(objects, lease=LEASE)
    renewing = threading.Event()

    def renew():
        while not renewing.wait(LEASE / 6):
            first.renew()

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        with pytest.raises(InputError, match=r"memory://claims.*in use by another process \(process \d+ of"):
            Claim.take(objects, lease=LEASE)
    finally:
        renewing.set()
        thread.join()
    first.release()
    started = time.monotonic()
    second = Claim.take(objects, lease=60)
    assert time.monotonic() - started < 5
    assert (second.before, second.number) == (first.number, first.number + 1)
    assert latest(objects) == second.number


def test_a_holder_that_is_not_heard_of_loses_it_and_learns_so(objects):
    first = Claim.take(objects, lease=LEASE)
    started = time.monotonic()
    Claim.take(objects, lease=LEASE)
    assert time.monotonic() - started >= LEASE
    with pytest.raises(LostClaim, match="taken over by another command"):
        first.check()  # more than half of the lease ago


def test_a_holder_known_to_be_dead_is_not_waited_for(objects):
    first = Claim.take(objects, lease=60)
    assert Claim.take(objects, own=first.number, lease=60).before == first.number


def test_of_many_who_want_it_at_once_one_has_it(objects):
    taken, refused = [], []

    def take():
        try:
            taken.append(Claim.take(objects, lease=LEASE))
            for _ in range(8):
                time.sleep(LEASE / 6)
                taken[-1].renew()
        except InputError as error:
            refused.append(error)

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(taken), len(refused)) == (1, 5)


def test_a_late_list_of_claims_takes_nobodys_place(objects, monkeypatch):
    first = Claim.take(objects, lease=LEASE)
    monkeypatch.setattr(Objects, "list", lambda self: {})
    second = Claim.take(objects, lease=LEASE)  # which waits for the first, though no list has it
    assert second.number == first.number + 1
    assert latest(objects) is None
