"""What is trained in bfloat16 teaches and is dumped in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_study import QUIET, advance, dataset, setting

from distill_jax.data.augment import normalise
from distill_jax.dumps import dump_path, read_dump
from distill_jax.errors import InputError
from distill_jax.identity import identity
from distill_jax.machine.placement import on_host
from distill_jax.models import build_for
from distill_jax.models.evaluation import in_float32
from distill_jax.setting import changed
from distill_jax.study.checks import validate
from distill_jax.study.study import Study
from distill_jax.study.teachers import Teachers
from distill_jax.training import programs
from distill_jax.training.population import Member
from distill_jax.training.run_digest import run_digest
from distill_jax.training.step import StepBlock
from distill_jax.training.trainer import Trainer


def forward(study, variables, split, precision):
    """Logits of a whole split by a network built at a precision."""
    x = normalise(jnp.asarray(getattr(study.dataset, split).x), study.dataset.mean, study.dataset.std, precision)
    model = build_for(study.dataset, study.setting.teacher, precision, "--teacher")
    return np.asarray(jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, x))


def test_dumps_of_a_bfloat16_study_are_its_parameters_in_float32(tmp_path):
    fields = {"dataset": "digits", "augment": "crop", "train_examples": 64, "test_examples": 40}
    low = {"precision": "bfloat16", "epochs": 2, "snapshots": ()}
    study = Study(setting(tmp_path, "resnet", data=fields, train=low, run={"seeds": 1}), QUIET)
    study.train()
    of_study = study.setting, study.dataset, study.schedule.total_steps, study.portions.finished(), QUIET
    variables = Teachers(*of_study).given([0])(0)
    for split in ("train", "test"):
        dumped = read_dump(dump_path(tmp_path, "teacher", 0, study.schedule.total_steps, split)).logits
        np.testing.assert_allclose(dumped, forward(study, variables, split, "float32"), rtol=1e-5, atol=1e-5)
        assert np.std(dumped - forward(study, variables, split, "bfloat16")) > 1e-3 * np.std(dumped)


@pytest.mark.parametrize("network", ["mlp", "resnet"])
def test_a_teacher_in_the_step_says_what_its_dump_says(tmp_path, monkeypatch, network):
    # The loss is made the largest of what the teacher says of a batch, and the batch all examples, in whatever order.
    def largest(student, teacher, label, *_):
        return jnp.max(teacher.logits) + 0 * jnp.sum(student.logits)

    def with_largest(*args, objective, **others):
        return StepBlock(*args, objective=largest, **others)

    monkeypatch.setattr(programs, "StepBlock", with_largest)
    low = {"precision": "bfloat16", "batch_size": 100, "epochs": 20}
    whole = setting(tmp_path, network, train=low, data={"augment": "none"}, run={"teacher_logits": "in-step"})
    teachers = Trainer(whole, dataset(), "teacher")
    state = teachers.initial_state([Member("teacher", 0)])
    said, _ = teachers.predict(state.variables, teachers.inputs["train"])
    taught = jax.tree.map(on_host, state.variables)
    _, losses = advance(Trainer(whole, dataset(), "student"), [Member("kd", 0)], taught, steps=4)
    np.testing.assert_allclose(losses[0], np.max(said), rtol=1e-5)
    x = normalise(jnp.asarray(dataset().train.x), dataset().mean, dataset().std, jnp.bfloat16)
    rounded = teachers.model.apply(jax.tree.map(lambda a: a[0], state.variables), x, train=False)
    assert abs(np.max(said) - np.max(rounded)) > 1e-4 * np.max(said)
    lower = changed(whole, objective={"teacher_precision": "bfloat16"}, run={"steps_per_dispatch": 4})
    _, losses = advance(Trainer(lower, dataset(), "student"), [Member("kd", 0)], taught, steps=4)
    assert 1e-4 < abs(losses[0, 0] / np.max(said) - 1) < 0.02  # rounded, in a loop too, and otherwise the same


def test_a_teachers_lower_precision_is_its_students_alone_and_refused_where_it_has_no_effect(tmp_path):
    def of(**objective):
        return setting(tmp_path, "resnet", train={"precision": "bfloat16"}, objective=objective)

    plain, lower = of(), of(teacher_precision="bfloat16")
    validate(lower)
    assert "teacher_precision" not in identity(plain)["objective"]
    assert run_digest(plain, "teacher", 0, "x") == run_digest(lower, "teacher", 0, "x")
    assert run_digest(plain, "kd", 0, "x") != run_digest(lower, "kd", 0, "x")
    for change in ({"train": {"precision": "float32"}}, {"run": {"teacher_logits": "all-outcomes"}}):
        with pytest.raises(InputError, match=r"objective.teacher_precision bfloat16: must be float32, since"):
            validate(changed(lower, **change))


@pytest.mark.parametrize("network", ["mlp", "resnet"])
def test_training_itself_has_the_precision_that_was_asked_for(tmp_path, network):
    for precision in ("float32", "bfloat16"):
        # Without augmentation, whose way on TPUs, which is in the program, has bfloat16 whatever is trained.
        small = setting(tmp_path, network, data={"augment": "none"}, train={"precision": precision})
        trainer = Trainer(small, dataset(), "student")
        step = str(trainer.jitted_steps(False, 1).trace(*trainer.arguments_like(False, 1)).jaxpr)
        assert ("bf16" in step) == (precision == "bfloat16")
        evaluation = trainer.predict.compiled(None)
        x = trainer.inputs["test"]
        traced = evaluation.trace(trainer.initial_state([Member("one_hot", 0)]).variables, x, np.zeros(8, np.int32))
        assert "bf16" not in str(traced.jaxpr)


def test_in_float32_the_variables_are_the_same(tmp_path):
    low = Trainer(setting(tmp_path, "resnet", train={"precision": "bfloat16"}), dataset(), "teacher").model
    shapes = [
        jax.eval_shape(lambda m=m: m.init(jax.random.key(0), jnp.zeros((2, 8, 8, 3)), train=False))
        for m in (low, in_float32(low))
    ]
    assert low.dtype == jnp.bfloat16
    assert shapes[0] == shapes[1]
