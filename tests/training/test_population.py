import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from distill_jax.setting import Setting
from distill_jax.training.population import Member, over_members, shape, split


@pytest.mark.parametrize(("count", "most"), [(1, 1), (7, 3), (12, 16), (12, 4), (13, 12)])
def test_split_is_even_and_in_order(count, most):
    members = [Member("kd", seed) for seed in range(count)]
    parts = split(members, most)
    assert [m for part in parts for m in part] == members
    sizes = {len(p) for p in parts}
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1
    assert len(parts) == -(-count // most)


@pytest.mark.parametrize(
    ("seeds", "most", "devices", "expected"),
    [
        (15, 32, 2, [14, 1]),
        (3, 32, 4, [3]),  # all that there are, on as many devices as divide them
        (5, 32, 4, [4, 1]),
        (33, 32, 2, [32, 1]),
        (37, 32, 2, [18, 18, 1]),
        (24, 10, 4, [8, 8, 8]),
        (7, 3, 4, [3, 3, 1]),  # a device has no seed for want of members
        (7, 1, 2, [1] * 7),
    ],
)
def test_seeds_are_multiples_of_the_devices_that_need_whole_ones(seeds, most, devices, expected):
    members = [Member("teacher", seed) for seed in range(seeds)]
    parts = split(members, most, devices)
    assert [len(part) for part in parts] == expected
    assert [m for part in parts for m in part] == members


def test_a_population_has_as_many_students_of_each_seed():
    members = [Member(m, s) for s in range(5) for m in ("one_hot", "kd", "one_hot_to_kd", "kd_to_one_hot")]
    assert [shape(part) for part in split(members, 8)] == [(1, 4), (2, 4), (2, 4)]
    assert [shape(part) for part in split(members, 11)] == [(1, 4), (2, 4), (2, 4)]
    assert {shape(part) for part in split(members, 3)} == {(1, 2)}
    ragged = members[3:]  # of seed 0 one is left
    assert [shape(part) for part in split(ragged, 100)] == [(1, 1), (4, 4)]
    assert [m for part in split(ragged, 100) for m in part] == ragged
    with pytest.raises(ValueError, match="as many members of each seed"):
        shape(ragged)


def test_a_member_s_changes_are_its_setting_and_its_name():
    member = Member("kd", 3, (("learning_rate", 0.05), ("temperature", 2.0)))
    assert member.name == "kd@learning_rate=0.05,temperature=2"
    assert Member("kd", 3).name == "kd"
    setting = member.applied(Setting())
    assert (setting.optimizer.learning_rate, setting.objective.temperature) == (0.05, 2.0)
    assert dataclasses.replace(setting, optimizer=Setting().optimizer, objective=Setting().objective) == Setting()


@pytest.mark.parametrize("members", [1, 3])
def test_over_members_is_each_alone(members):
    def f(tree, shared, scalar):
        return {"sum": tree["a"].sum() + shared, "scaled": tree["a"] * scalar}

    a, scalar = np.arange(members * 2.0).reshape(members, 2), np.arange(members) + 1.0
    found = over_members(f, (0, None, 0), members, "seed")({"a": jnp.asarray(a)}, 3.0, jnp.asarray(scalar))
    for i in range(members):
        alone = f({"a": a[i]}, 3.0, scalar[i])
        np.testing.assert_allclose(found["sum"][i], alone["sum"])
        np.testing.assert_allclose(found["scaled"][i], alone["scaled"])


def test_students_of_a_seed_share_their_randomness_and_no_teacher_does():
    assert Member("one_hot", 0).role == Member("kd", 0).role != Member("teacher", 0).role


def test_members_in_turn_are_members_at_once():
    def f(tree, shared, scalar):
        return {"sum": tree["a"].sum() + shared, "scaled": tree["a"] * scalar}

    args = {"a": jnp.arange(6.0).reshape(3, 2)}, 3.0, jnp.arange(3.0)
    found = [over_members(f, (0, None, 0), 3, in_turn=turn)(*args) for turn in (True, False)]
    for name in ("sum", "scaled"):
        np.testing.assert_array_equal(found[0][name], found[1][name])
