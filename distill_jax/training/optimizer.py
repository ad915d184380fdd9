"""Update rules and learning-rate schedules: Table 1 of the paper for images, its appendix C.1 for text."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from distill_jax.errors import InputError
from distill_jax.own_code import imported, is_own
from distill_jax.setting import OptimizerSetting

OPTIMIZERS = ("sgd", "adam", "adamw")


def learning_rate_schedule(setting: OptimizerSetting, total_steps: int, steps_per_epoch: int) -> optax.Schedule:
    """The learning rate over steps: linear warm-up, then the chosen decay.

    Decay epochs are counted from the start of training, warm-up included, as Table 1 of the paper does.

    >>> rate = learning_rate_schedule(OptimizerSetting(learning_rate=1.0, warmup_steps=4), 10, steps_per_epoch=5)
    >>> [float(rate(step)) for step in (0, 1, 3, 9)]
    [0.25, 0.5, 1.0, 1.0]
    """
    peak = setting.learning_rate
    warmup = setting.warmup_steps + round(setting.warmup_epochs * steps_per_epoch)
    rest = max(total_steps - warmup, 1)
    if setting.decay == "step":
        factors = {round(e * steps_per_epoch) - warmup: setting.decay_factor for e in setting.decay_epochs}
        after = optax.piecewise_constant_schedule(peak, factors)
    elif setting.decay == "linear":
        after = optax.linear_schedule(peak, 0.0, rest)
    elif setting.decay == "cosine":
        after = optax.cosine_decay_schedule(peak, rest)
    else:
        after = optax.constant_schedule(peak)
    if warmup == 0:
        return after
    # The first step has the rate peak / warmup, not 0, which would waste it.
    return optax.join_schedules([optax.linear_schedule(peak / warmup, peak, max(warmup - 1, 1)), after], [warmup])


def learning_rates(setting: OptimizerSetting, total_steps: int, steps_per_epoch: int) -> np.ndarray:
    """The learning rate at every step, float32 [total_steps].

    >>> learning_rates(OptimizerSetting(learning_rate=1.0, decay="linear"), total_steps=4, steps_per_epoch=2).tolist()
    [1.0, 0.75, 0.5, 0.25]
    """
    rates = learning_rate_schedule(setting, total_steps, steps_per_epoch)(jnp.arange(total_steps))
    return np.broadcast_to(np.asarray(rates, np.float32), (total_steps,)).copy()


def _decayed(params: optax.Params) -> optax.Params:
    """True for kernels; False for biases and for scales of normalisation, which have one axis."""
    return jax.tree.map(lambda p: p.ndim > 1, params)


def make_rule(setting: OptimizerSetting) -> optax.GradientTransformation:
    """The update rule without its learning rate: parameters move by minus the rate times its updates.

    The step is given a table with the rate of every step, so that members of a population may differ in it.

    Weight decay is coupled for sgd and adam: weight_decay * params is added to the gradient before momentum or
    normalisation, as an L2 term of the loss would (Table 1). adamw decouples it.

    >>> rule = make_rule(OptimizerSetting(optimizer="sgd", momentum=0.5))
    >>> rule.update(jnp.ones(1), rule.init(jnp.zeros(1)))[0].tolist()  # Nesterov: g + 0.5 g
    [1.5]

    Raises:
      InputError: there is no such optimizer.
    """
    name = setting.optimizer
    if is_own(name):
        rule = imported(name, "optimizer.optimizer")(setting)
        if not isinstance(rule, optax.GradientTransformation):
            raise InputError(
                "optimizer.optimizer", name, f"gives a {type(rule).__name__}; must give an optax.GradientTransformation"
            )
        return rule
    if name not in OPTIMIZERS:
        raise InputError(
            "optimizer.optimizer", name, f"must be of {', '.join(OPTIMIZERS)}, or your own as module:function"
        )
    rule = optax.trace(setting.momentum, nesterov=True) if setting.optimizer == "sgd" else optax.scale_by_adam()
    if setting.weight_decay == 0:
        return rule
    decay = optax.add_decayed_weights(setting.weight_decay, None if setting.decay_norm_and_bias else _decayed)
    return optax.chain(rule, decay) if setting.optimizer == "adamw" else optax.chain(decay, rule)
