"""Dumps that are kept while there is room."""

import numpy as np
import pytest

from distill_jax.dumps import Dump, DumpReader, reader, save_dump
from distill_jax.errors import InputError


def dump(model, value):
    return Dump.of(np.full((20, 4), value, np.float32), np.arange(20) % 4, model=model)


@pytest.fixture
def reads(tmp_path, monkeypatch):
    for value, model in enumerate("abc"):
        save_dump(tmp_path, dump(model, value))
    reads = []
    read = reader.read_dump
    monkeypatch.setattr(reader, "read_dump", lambda path: reads.append(path.parts[-4]) or read(path))
    return reads


def test_a_dump_is_read_once_and_is_what_was_written(tmp_path, reads):
    of = DumpReader(tmp_path).at(0, "test")
    for _ in range(2):
        for value, model in enumerate("abc"):
            assert (of(model, 0).logits == value).all()
    assert reads == ["a", "b", "c"]


def test_those_longest_not_asked_for_make_room(tmp_path, reads):
    size = sum(array.nbytes for array in vars(dump("a", 0)).values() if isinstance(array, np.ndarray))
    of = DumpReader(tmp_path, room=2 * size).at(0, "test")
    for model in "abacab":
        of(model, 0)
    assert reads == ["a", "b", "c", "b"]
    of = DumpReader(tmp_path, room=size - 1).at(0, "test")
    reads.clear()
    assert (of("b", 0).logits == 1).all()
    of("b", 0)
    assert reads == ["b", "b"]


def test_one_that_is_not_there_is_named_each_time(tmp_path, reads):
    for _ in range(2):
        with pytest.raises(InputError, match=r"^dump .*dumps/d/seed-0/step-0/test: is not there"):
            DumpReader(tmp_path)("d", 0, 0, "test")
