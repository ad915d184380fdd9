import jax.numpy as jnp
import numpy as np
import pytest

from distill_jax.population import Member, over_members, split


@pytest.mark.parametrize(("count", "most"), [(1, 1), (7, 3), (12, 16), (12, 4), (13, 12)])
def test_split_is_even_and_in_order(count, most):
    members = [Member("kd", seed) for seed in range(count)]
    parts = split(members, most)
    assert [m for part in parts for m in part] == members
    sizes = {len(p) for p in parts}
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1
    assert len(parts) == -(-count // most)


@pytest.mark.parametrize("members", [1, 3])
def test_over_members_is_each_alone(members):
    def f(tree, shared, scalar):
        return {"sum": tree["a"].sum() + shared, "scaled": tree["a"] * scalar}

    a, scalar = np.arange(members * 2.0).reshape(members, 2), np.arange(members) + 1.0
    found = over_members(f, (0, None, 0), members)({"a": jnp.asarray(a)}, 3.0, jnp.asarray(scalar))
    for i in range(members):
        alone = f({"a": a[i]}, 3.0, scalar[i])
        np.testing.assert_allclose(found["sum"][i], alone["sum"])
        np.testing.assert_allclose(found["scaled"][i], alone["scaled"])


def test_students_of_a_seed_share_their_randomness_and_no_teacher_does():
    assert Member("one_hot", 0).role == Member("kd", 0).role != Member("teacher", 0).role
