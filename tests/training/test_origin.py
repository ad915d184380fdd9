"""Members out of a population's state are trained as in it."""

import dataclasses

import jax
import numpy as np
import pytest
from small_study import advance, dataset, setting

from distill_jax.errors import InputError
from distill_jax.machine.placement import on_host
from distill_jax.training.objective import PARAMS
from distill_jax.training.origin import state_of
from distill_jax.training.population import Member, seeds, shape
from distill_jax.training.trainer import Trainer

TEACHERS = [Member("teacher", seed) for seed in range(4)]
STUDENTS = [Member(model, seed) for seed in range(4) for model in ("one_hot", "kd")]


def on_hosts(tree):
    return jax.tree.map(lambda a: np.array(on_host(a)), tree)


@pytest.mark.parametrize(
    ("network", "members", "rows", "to_the_bit"),
    [
        ("mlp", TEACHERS, [1, 2], True),  # each device has one seed at a time, as before
        ("mlp", STUDENTS, [2, 3, 6, 7], False),  # a device has one student of a seed, and had two
        pytest.param("resnet", TEACHERS, [0, 2], False, marks=pytest.mark.slow),
    ],
)
def test_a_part_of_a_population_goes_on_as_in_it(tmp_path, network, members, rows, to_the_bit):
    small, data, role = setting(tmp_path, network), dataset(), members[0].model == "teacher"
    steps, role = 8 if network == "mlp" else 2, "teacher" if role else "student"
    taught = on_hosts(Trainer(small, data, "teacher", (4, 1)).initial_state(TEACHERS).variables)

    def teachers(population):
        return None if role == "teacher" else jax.tree.map(lambda a: a[seeds(population)], taught)

    all_of_them = Trainer(small, data, role, shape(members))
    begun, _ = advance(all_of_them, members, teachers(members), steps=steps)
    kept = on_hosts(begun)
    whole, losses = advance(all_of_them, members, teachers(members), first=steps, steps=steps, state=begun)
    part = [members[row] for row in rows]
    trainer = Trainer(small, data, role, shape(part))
    state = state_of(kept, rows, trainer, part)
    ours, our_losses = advance(trainer, part, teachers(part), first=steps, steps=steps, state=state)
    theirs = jax.tree.map(lambda a: a[rows], on_hosts(whole))
    tolerance = {"rtol": 0, "atol": 0} if to_the_bit else {"rtol": 2e-4, "atol": 2e-5}
    np.testing.assert_allclose(our_losses, losses[rows], **tolerance)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), on_hosts(ours), theirs)


def test_parameters_of_losses_come_and_go(tmp_path):
    members = STUDENTS[:2]
    with_few = Trainer(setting(tmp_path), dataset(), "student", (1, 2))
    few_state = on_hosts(with_few.initial_state(members))
    with_more = Trainer(
        dataclasses.replace(setting(tmp_path), students=("one_hot", "kd", "fitnets")), dataset(), "student", (1, 2)
    )
    drawn = on_hosts(with_more.initial_state(members))
    few_state = jax.tree.map(lambda a: a + 1, few_state)  # trained since
    grown = on_hosts(state_of(few_state, [0, 1], with_more, members))
    jax.tree.map(np.testing.assert_array_equal, grown.params[PARAMS], drawn.params[PARAMS])
    assert jax.tree.structure(grown) == jax.tree.structure(drawn)
    jax.tree.map(np.testing.assert_array_equal, on_hosts(state_of(grown, [0, 1], with_few, members)), few_state)


def test_a_state_without_parts_of_the_network_is_refused(tmp_path):
    trainer = Trainer(setting(tmp_path), dataset(), "teacher", (1, 1))
    kept = on_hosts(trainer.initial_state(TEACHERS[:1]))
    lacking = {"params": {"head": kept.params["head"]}, "opt_state": kept.opt_state, "collections": {}}
    with pytest.raises(InputError, match=r"has no params.hidden1.bias; must be of the same network and optimizer"):
        state_of(lacking, [0], trainer, TEACHERS[:1])
