"""What processes tell each other."""

import pytest
from command import end, free_port, start_python

CODE = """
import sys
import ml_dtypes
import numpy as np
from distill_jax.machine import processes

processes._PIECE = 12  # bytes: several pieces of most arrays
number = int(sys.argv[2])
with processes.connected("127.0.0.1:" + sys.argv[1], 3, number):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(3, 5)).astype(np.float32), rng.normal(size=7).astype(ml_dtypes.bfloat16)]
    arrays += [np.array([True, False, True]), np.array(2**40), np.zeros((0, 4), np.float32)]
    for process in range(3):
        for array in arrays:
            given = array.copy(order="F") if number == process else None
            found = processes.array_of(process, given, array.shape, array.dtype)
            assert found.dtype == array.dtype
            np.testing.assert_array_equal(found, array)
    for value in (None, {"a": [1.5, "b" * 5000]}, np.arange(3).tolist()):
        assert processes.seen_by_first(lambda: value if number == 0 else 1 / 0) == value
    assert processes.of_all([number, 2]) == [[0, 2], [1, 2], [2, 2]]
"""


ALONE = """
import sys
from distill_jax.machine import processes

processes._JOIN_SECONDS = 1
with processes.connected("127.0.0.1:" + sys.argv[1], 2, 0):
    pass
"""


@pytest.mark.slow
def test_one_who_waits_for_another_that_does_not_come_says_so_in_one_line():
    (status,), said = end([start_python(["-c", ALONE, str(free_port())], devices=1)])
    assert status != 0
    line = "error: not all processes have come within 1 s; the same command, on each of them, begins again"
    assert said[0][1].splitlines() == [line]


@pytest.mark.slow
def test_arrays_and_values_come_whole_to_every_process():
    port = str(free_port())
    statuses, said = end([start_python(["-c", CODE, port, str(i)], devices=2) for i in range(3)])
    assert statuses == [0] * 3, said
