"""Checks of a setting: each refusal is one line with the field, its value and what would be right."""

import math

from distill_jax import limits
from distill_jax.errors import InputError, require
from distill_jax.fields import check_choices, check_finite, check_no_credentials, leaves
from distill_jax.machine import processes
from distill_jax.models import torch_weights
from distill_jax.setting import ObjectiveSetting, OptimizerSetting, RunSetting, Setting, TrainSetting
from distill_jax.students import CONTROL, KD, table
from distill_jax.training import trackers
from distill_jax.training.losses import OPTIONS, loss
from distill_jax.training.objective import Objective
from distill_jax.training.optimizer import make_rule
from distill_jax.training.teacher_source import teacher_source


def validate(setting: Setting) -> None:
    """Checks all that can be checked without the data; `data.load_dataset` checks their own group.

    Raises:
      InputError: a value that cannot be right; one line that names the field, the value and what would be.
    """
    for field, value in leaves(setting):
        check_no_credentials(field, value)
    check_finite(setting)
    check_choices(setting)
    _check_losses(setting)
    _check_objective(setting.objective)
    _check_optimizer(setting.optimizer)
    _check_train(setting.train)
    _check_teacher(setting)
    check_run(setting.run)
    if processes.is_first():
        trackers.check(setting.run)


def _check_objective(objective: ObjectiveSetting) -> None:
    require(objective.temperature > 0, "objective.temperature", objective.temperature, "positive")
    weight = objective.distillation_weight
    require(0 <= weight <= 1, "objective.distillation_weight", weight, "in [0, 1]")
    require(objective.switch_window >= 0, "objective.switch_window", objective.switch_window, "0 or more steps")


def _check_optimizer(optimizer: OptimizerSetting) -> None:
    make_rule(optimizer)  # which refuses what is none
    rate = optimizer.learning_rate
    require(rate > 0, "optimizer.learning_rate", rate, "positive")
    require(0 <= optimizer.momentum < 1, "optimizer.momentum", optimizer.momentum, "in [0, 1)")
    for field, warmup in (
        ("optimizer.warmup_steps", optimizer.warmup_steps),
        ("optimizer.warmup_epochs", optimizer.warmup_epochs),
    ):
        require(0 <= warmup <= limits.STEPS, field, warmup, f"in 0 to {limits.STEPS}")
    require(optimizer.decay_factor > 0, "optimizer.decay_factor", optimizer.decay_factor, "positive")
    decay_epochs = optimizer.decay_epochs
    require(
        list(decay_epochs) == sorted(set(decay_epochs))
        and all(optimizer.warmup_epochs < e <= limits.STEPS for e in decay_epochs),
        "optimizer.decay_epochs",
        " ".join(map(str, decay_epochs)),
        f"ascending, later than the warm-up, and at most {limits.STEPS}",
    )
    require(optimizer.weight_decay >= 0, "optimizer.weight_decay", optimizer.weight_decay, "0 or more")


def _check_train(train: TrainSetting) -> None:
    require(train.epochs > 0, "train.epochs", train.epochs, "positive")
    require(train.batch_size >= 1, "train.batch_size", train.batch_size, "1 or more")
    norm_examples = train.norm_examples
    require(
        norm_examples is None or (norm_examples >= 2 and train.batch_size % norm_examples == 0),
        "train.norm_examples",
        norm_examples,
        f"2 or more, and a divisor of `train.batch_size` {train.batch_size}",
    )
    shards = train.batch_shards
    require(
        shards is None or (shards >= 2 and shards & (shards - 1) == 0 and train.batch_size % shards == 0),
        "train.batch_shards",
        shards,
        f"a power of two, 2 or more, of which `train.batch_size` {train.batch_size} is a multiple",
    )
    require(
        shards is None or norm_examples is None or train.batch_size // shards % norm_examples == 0,
        "train.norm_examples",
        norm_examples,
        f"a divisor of {train.batch_size // (shards or 1)}, the examples in each of `train.batch_shards` {shards}",
    )
    require(train.length_buckets >= 1, "train.length_buckets", train.length_buckets, "1 or more")
    shares = " ".join(map(str, train.snapshots))
    require(all(0 < s <= 1 for s in train.snapshots), "train.snapshots", shares, "shares of training in (0, 1]")


def _check_teacher(setting: Setting) -> None:
    """Checks where students have their teacher's outputs from."""
    _check_weights(setting)
    objective, train, run = setting.objective, setting.train, setting.run
    given_logits = " ".join(setting.given.logits)
    require(
        not given_logits or run.teacher_logits in ("auto", "cached"),
        "run.teacher_logits",
        run.teacher_logits,
        f"auto or cached, since `given.logits` {given_logits} is all that there is of the teacher",
    )
    require(
        run.teacher_logits != "cached" or setting.data.augment == "none" or bool(given_logits),
        "run.teacher_logits",
        run.teacher_logits,
        f"in-step, all-outcomes or auto, since `data.augment` {setting.data.augment} changes what the teacher sees",
    )
    require(
        run.teacher_logits != "all-outcomes" or setting.data.augment != "none",
        "run.teacher_logits",
        run.teacher_logits,
        "cached or auto, since with `data.augment` none there is one outcome",
    )
    require(
        objective.teacher_shuffle == "none" or teacher_source(setting) == "logits",
        "objective.teacher_shuffle",
        objective.teacher_shuffle,
        "none, since the teacher's logits are not kept (they are with `data.augment` none, or if `given.logits`)",
    )
    require(
        objective.teacher_precision == "float32" or teacher_source(setting) == "variables",
        "objective.teacher_precision",
        objective.teacher_precision,
        "float32, since the teacher's logits are kept and not computed in the step",
    )
    require(
        objective.teacher_precision in ("float32", train.precision),
        "objective.teacher_precision",
        objective.teacher_precision,
        f"float32, since `train.precision` is {train.precision}",
    )


def _check_weights(setting: Setting) -> None:
    """Checks what is said of weights that are given."""
    given = setting.given
    if given.weights is None:
        for name in ("mean", "std"):
            values = " ".join(map(str, getattr(given, name)))
            require(
                not values, f"given.{name}", values, "left out, since it is for `given.weights`, and there are none"
            )
        return
    require(not given.logits, "given.weights", given.weights, "left out, or `given.logits`: a teacher has one of them")
    require(
        setting.teacher.name in torch_weights.NETWORKS,
        "given.weights",
        given.weights,
        f"of a `teacher.name` of {', '.join(torch_weights.NETWORKS)}, and not {setting.teacher.name}",
    )


def check_run(run: RunSetting) -> None:
    """Checks how the work is to be carried out; asks no device.

    Raises:
      InputError: as `validate`.
    """
    require(1 <= run.seeds <= limits.SEEDS, "run.seeds", run.seeds, f"in 1 to {limits.SEEDS}")
    require(run.part_seeds is None or run.part_seeds >= 1, "run.part_seeds", run.part_seeds, "1 or more")
    require(run.part is None or run.part_seeds is not None, "run.part", run.part, "given with `run.part_seeds`")
    parts = -(-run.seeds // (run.part_seeds or run.seeds))
    right = f"in 0 to {parts - 1}, since {run.seeds} seeds have {parts} parts of {run.part_seeds}"
    require(run.part is None or 0 <= run.part < parts, "run.part", run.part, right)
    require(run.population is None or run.population >= 1, "run.population", run.population, "1 or more")
    per_call = run.steps_per_dispatch
    require(per_call is None or per_call >= 1, "run.steps_per_dispatch", per_call, "1 or more")
    seconds = run.checkpoint_seconds
    require(seconds >= 0, "run.checkpoint_seconds", seconds, "0 or more")
    memory = run.memory_gib
    require(memory is None or memory > 0, "run.memory_gib", memory, "positive")
    require(run.keep_checkpoints >= 1, "run.keep_checkpoints", run.keep_checkpoints, "1 or more")
    require(
        run.distributed or (run.coordinator is None and run.processes is None and run.process_id is None),
        "run.distributed",
        run.distributed,
        "True where `run.coordinator`, `run.processes` or `run.process_id` is given",
    )


def _check_losses(setting: Setting) -> None:
    """Checks the students, and what their losses are set by."""
    kinds, names = table(setting.students), " ".join(setting.students)
    for name in (CONTROL, KD):
        if name not in kinds:
            raise InputError("students", names, f"must have {name} among them, which the others are compared with")
    objective = Objective.of_study(setting)
    ranges: dict[str, list[tuple[float, float]]] = {}
    for name in objective.names:
        for key in loss(name).settings:
            if key not in OPTIONS:
                ranges.setdefault(key, []).append(loss(name).ranges.get(key, (-math.inf, math.inf)))
    for key, value in setting.objective.loss_settings.items():
        if key not in ranges:
            known = "; there are " + ", ".join(sorted(ranges)) if ranges else ""
            raise InputError(
                "objective.loss_settings", f"{key}={value}", f"no loss of `students` {names} has it{known}"
            )
        for low, high in ranges[key]:
            if not low <= value <= high:
                raise InputError("objective.loss_settings", f"{key}={value}", f"must be in [{low:g}, {high:g}]")
    reason = f"since {'a' if objective.features else 'no'} loss of `students` {names} sees features"
    for role in ("student", "teacher"):
        features = getattr(setting.objective, f"{role}_features")
        if features and not objective.features:
            text = " ".join(f"{name}={layer}" for name, layer in features.items())
            raise InputError(f"objective.{role}_features", text, f"must be left out, {reason}")
    if not objective.features:
        return
    if setting.given.logits:
        raise InputError("given.logits", " ".join(setting.given.logits), f"must be left out, {reason}")
    if setting.run.teacher_logits in ("cached", "all-outcomes"):
        raise InputError("run.teacher_logits", setting.run.teacher_logits, f"must be in-step or auto, {reason}")
    if setting.data.tokenizer is not None and setting.train.length_buckets != 1:
        raise InputError("train.length_buckets", setting.train.length_buckets, f"must be 1, {reason}")


def validate_on_data(setting: Setting, examples: int, test_examples: int, total_steps: int) -> None:
    """Checks what depends on the numbers of training and test examples.

    Raises:
      InputError: as `validate`.
    """
    batch, switch = setting.train.batch_size, setting.objective.switch_step
    fewest = min(examples, test_examples)
    if fewest < 10:
        raise InputError(
            "data.dataset",
            setting.data.dataset,
            f"has a split of {fewest} examples; must have 10 or more, of which a tenth are the hard and a "
            "tenth the easy ones",
        )
    if total_steps > limits.STEPS:
        raise InputError(
            "train.epochs", setting.train.epochs, f"are {total_steps:.3g} steps; must be {limits.STEPS} at most"
        )
    if batch > examples:
        raise InputError("train.batch_size", batch, f"must be at most {examples}, the number of training examples")
    if switch is not None and not 0 <= switch < total_steps:
        raise InputError(
            "objective.switch_step",
            switch,
            f"must be in [0, {total_steps}), the steps of this run ({setting.train.epochs} epochs of "
            f"{examples // batch})",
        )
    end = (total_steps // 2 if switch is None else switch) + setting.objective.switch_window
    if end > total_steps:
        raise InputError(
            "objective.switch_window",
            setting.objective.switch_window,
            f"must end within the run's {total_steps} steps, not at {end}",
        )
