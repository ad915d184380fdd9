"""Losses by name: small functions of a student's outputs, its teacher's, the labels and settings of their own.

One of one's own is a function in a module, named as 'module:function' (`students.Kind`, or a setting's `students`). It
returns the loss of each example; its keyword arguments are its settings::

    # tempered.py
    import jax, optax

    def tempered(student, teacher, label, *, temperature, sharpness=2.0):
        target = jax.nn.softmax(teacher.logits * sharpness / temperature)
        return optax.softmax_cross_entropy(student.logits / temperature, target)

    distill-jax digits --students one_hot kd tempered:tempered --loss-settings sharpness=3

The settings `temperature` and `distillation_scale` are the objective's of that name. All others have a default, are
given by `objective.loss_settings`, and differ between the members of a population by `sweep.loss_settings`.
"""

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Float, Int

from distill_jax.errors import InputError
from distill_jax.models.layers import product_precision
from distill_jax.models.outputs import Outputs
from distill_jax.own_code import imported, is_own
from distill_jax.setting import ObjectiveSetting

Labels = Int[jax.Array, " B"]
PerExample = Float[jax.Array, " B"]
OPTIONS = ("temperature", "distillation_scale")  # settings of losses that are options of their own


@dataclasses.dataclass(frozen=True)
class Loss:
    """A loss.

    >>> Loss(label_smoothing, teacher=False).settings
    {'smoothing': 0.1}

    Attributes:
      function: (student: Outputs, teacher: Outputs, label int [B], **settings) -> float32 [B], each example's.
      teacher: whether it needs a teacher; without one it is given None.
      features: whether it needs features of both.
      ranges: lowest and highest values of its settings, where not every number will do.
      init: of a loss with trained parameters of its own, (key, student, teacher) -> their tree, from the shapes of both
        outputs; the function is given them as `params`.
    """

    function: Callable[..., jax.Array]
    teacher: bool = True
    features: bool = False
    ranges: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    init: Callable[[jax.Array, Outputs, Outputs], Any] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Its settings by name with their defaults; `inspect.Parameter.empty` of those that are options."""
        signature = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in signature if p.kind is p.KEYWORD_ONLY and p.name != "params"}


def one_hot(student: Outputs, teacher: Outputs | None, label: Labels) -> PerExample:
    """Cross-entropy of the labels: CE(e(y), f), equation (1) of the paper; float32 [B], nats.

    >>> round(jax.jit(one_hot)(Outputs(jnp.zeros((1, 2))), None, jnp.array([0])).item(), 3)  # log 2
    0.693
    """
    return optax.softmax_cross_entropy_with_integer_labels(student.logits, label)


def kd(
    student: Outputs, teacher: Outputs, label: Labels, *, temperature: ArrayLike, distillation_scale: str
) -> PerExample:
    """Distillation: s CE(softmax(g / T), f / T), equation (2) of the paper; float32 [B], nats.

    s is T^2 (Hinton et al. 2015, https://arxiv.org/abs/1503.02531, section 2) or 1.

    >>> same = Outputs(jnp.zeros((1, 2)))
    >>> [round(kd(same, same, jnp.array([0]), temperature=4.0, distillation_scale=s).item(), 3) for s in ("1", "T^2")]
    [0.693, 11.09]
    """
    target = jax.nn.softmax(teacher.logits / temperature)
    distilled = optax.softmax_cross_entropy(student.logits / temperature, target)
    return distilled * temperature**2 if distillation_scale == "T^2" else distilled


def label_smoothing(
    student: Outputs, teacher: Outputs | None, label: Labels, *, smoothing: ArrayLike = 0.1
) -> PerExample:
    """Cross-entropy of (1 - a) e(y) + a / K, a the smoothing (Szegedy et al. 2016, section 7); float32 [B], nats.

    >>> sure = Outputs(jnp.array([[100.0, 0.0]]))
    >>> [round(label_smoothing(sure, None, jnp.array([0]), smoothing=a).item(), 3) for a in (0.1, 0.2)]
    [5.0, 10.0]
    """
    target = optax.smooth_labels(jax.nn.one_hot(label, student.logits.shape[-1]), smoothing)
    return optax.softmax_cross_entropy(student.logits, target)


def hard_label(student: Outputs, teacher: Outputs, label: Labels) -> PerExample:
    """Cross-entropy of the class that the teacher thinks likeliest: CE(e(argmax g), f); float32 [B], nats.

    >>> student, teacher = Outputs(jnp.array([[0.0, 100.0]])), Outputs(jnp.array([[0.0, 1.0]]))
    >>> [f(student, teacher, jnp.array([0])).item() for f in (jax.jit(hard_label), jax.jit(one_hot))]
    [0.0, 100.0]
    """
    return optax.softmax_cross_entropy_with_integer_labels(student.logits, teacher.logits.argmax(-1))


def dkd(
    student: Outputs,
    teacher: Outputs,
    label: Labels,
    *,
    temperature: ArrayLike,
    alpha: ArrayLike = 1.0,
    beta: ArrayLike = 8.0,
) -> PerExample:
    """Decoupled distillation: T^2 (alpha TCKD + beta NCKD); float32 [B], nats.

    TCKD is KL of the probabilities of label and no label, NCKD that of the other classes among themselves, teacher from
    student (Zhao et al. 2022, https://arxiv.org/abs/2203.08679, equations 5 to 7). With beta the teacher's probability
    that it is not the label, it is KL of all classes, which is `kd` less a constant. 8 is that paper's for CIFAR-100's
    ResNets; there the one-hot loss is added, as a `distillation_weight` of 0.5 does at half the size.

    >>> student, teacher = Outputs(jnp.array([[jnp.log(3.0), 0.0]])), Outputs(jnp.zeros((1, 2)))
    >>> value = jax.jit(dkd)(student, teacher, jnp.array([0]), temperature=1.0)
    >>> round(value.item(), 3)  # KL of (1/2, 1/2) from (3/4, 1/4): (log(2/3) + log(2)) / 2
    0.144
    """
    is_label = jax.nn.one_hot(label, student.logits.shape[-1], dtype=bool)

    def decoupled(logits: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Log probabilities of label and no label, [B, 2], and of the others among themselves, [B, K] but for y."""
        logits = logits / temperature
        label_logit = jnp.sum(logits, -1, where=is_label)
        other_logits = jax.nn.logsumexp(logits, -1, where=~is_label)
        return jax.nn.log_softmax(jnp.stack([label_logit, other_logits], -1)), logits - other_logits[:, None]

    (teacher_binary, teacher_others), (binary, others) = decoupled(teacher.logits), decoupled(student.logits)
    target_class = jnp.sum(jnp.exp(teacher_binary) * (teacher_binary - binary), -1)
    other_classes = jnp.sum(jnp.exp(teacher_others) * (teacher_others - others), -1, where=~is_label)
    return jnp.asarray((alpha * target_class + beta * other_classes) * temperature**2)


def hint(student: Outputs, teacher: Outputs, label: Labels, *, params: Any, hint_scale: ArrayLike = 1.0) -> PerExample:
    """FitNets' hint: c / 2 ||r(h) - g||^2, a mean over a feature's values and a sum over features; float32 [B].

    h and g are features of student and teacher of one name, r a linear map of channels that is trained with the student
    (Romero et al. 2015, https://arxiv.org/abs/1412.6550, equation 3, where r is a convolution without padding). Maps of
    other height and width are resized to the teacher's.

    >>> student, teacher = (Outputs(jnp.zeros((1, 2)), {"middle": jnp.array([[value]])}) for value in (1.0, 3.0))
    >>> identity = {"middle": {"kernel": jnp.ones((1, 1)), "bias": jnp.zeros(1)}}
    >>> hint(student, teacher, jnp.array([0]), params=identity).tolist()
    [2.0]
    """
    total = jnp.zeros(len(label), jnp.float32)
    for name, g in teacher.features.items():
        h = _resized(student.features[name].astype(jnp.float32), g.shape)
        kernel, bias = params[name]["kernel"], params[name]["bias"]
        difference = jnp.dot(h, kernel, precision=product_precision(jnp.float32)) + bias - g.astype(jnp.float32)
        total += jnp.mean(difference**2, axis=tuple(range(1, g.ndim))) / 2
    return jnp.asarray(hint_scale * total)


def _resized(h: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Maps [B, ..., C] with the positions of `shape`, averaged or interpolated where these are others."""
    return h if h.shape[1:-1] == shape[1:-1] else jax.image.resize(h, (len(h), *shape[1:-1], h.shape[-1]), "linear")


def _regressors(key: jax.Array, student: Outputs, teacher: Outputs) -> Any:
    """The parameters of `hint`: for each feature a kernel [C, C'] of variance 1 / C, and a bias of 0."""
    if student.features.keys() != teacher.features.keys():
        student_names, teacher_names = (", ".join(outputs.features) for outputs in (student, teacher))
        raise InputError(
            "objective.student_features",
            None,
            f"are {student_names}; must have the names of `objective.teacher_features`, {teacher_names}",
        )
    params = {}
    for number, (name, g) in enumerate(sorted(teacher.features.items())):
        h = student.features[name]
        if h.ndim != g.ndim:
            raise InputError(
                "objective.student_features",
                name,
                f"has {h.ndim - 1} axes; must have as many as the teacher's, {g.ndim - 1}",
            )
        kernel = jax.nn.initializers.lecun_normal()(jax.random.fold_in(key, number), (h.shape[-1], g.shape[-1]))
        params[name] = {"kernel": kernel, "bias": jnp.zeros(g.shape[-1])}
    return params


def squared_error(student: Outputs, teacher: Outputs | None, label: Labels) -> PerExample:
    """Section 4.1's loss of a teacher: half the squared distance of logits to the one-hot label; float32 [B].

    >>> squared_error(Outputs(jnp.array([[0.0, 0.0], [1.0, 0.0]])), None, jnp.array([0, 0])).tolist()
    [0.5, 0.0]
    """
    return jnp.sum((student.logits - jax.nn.one_hot(label, student.logits.shape[-1])) ** 2, -1) / 2


def squared_error_kd(student: Outputs, teacher: Outputs, label: Labels) -> PerExample:
    """Section 4.1's loss of a student: half the squared distance of logits to the teacher's; float32 [B].

    >>> squared_error_kd(Outputs(jnp.zeros((1, 2))), Outputs(jnp.array([[3.0, 4.0]])), jnp.array([0])).tolist()
    [12.5]
    """
    return jnp.sum((student.logits - teacher.logits) ** 2, -1) / 2


LOSSES = {
    "one_hot": Loss(one_hot, teacher=False),
    "kd": Loss(kd),
    "label_smoothing": Loss(label_smoothing, teacher=False, ranges={"smoothing": (0.0, 1.0)}),
    "hard_label": Loss(hard_label),
    "dkd": Loss(dkd, ranges={"alpha": (0.0, math.inf), "beta": (0.0, math.inf)}),
    "hint": Loss(hint, features=True, ranges={"hint_scale": (0.0, math.inf)}, init=_regressors),
    "squared_error": Loss(squared_error, teacher=False),
    "squared_error_kd": Loss(squared_error_kd),
}


def loss(name: str) -> Loss:
    """The loss of a name: of `LOSSES`, or 'module:function' (or ':Loss') of one's own.

    >>> loss("dkd").settings["beta"], loss("one_hot").teacher
    (8.0, False)

    Raises:
      InputError: there is none, or one of its settings has no value.
    """
    if name in LOSSES:
        return LOSSES[name]
    if not is_own(name):
        raise InputError("loss", name, f"must be of {', '.join(LOSSES)}, or your own as module:function")
    attribute = imported(name, "loss")
    if not isinstance(attribute, Loss) and not callable(attribute):
        raise InputError("loss", name, f"is a {type(attribute).__name__}; must be a function, or a losses.Loss")
    result = attribute if isinstance(attribute, Loss) else Loss(cast(Callable[..., jax.Array], attribute))
    for setting, default in result.settings.items():
        if setting in OPTIONS:
            continue
        if isinstance(default, bool) or not isinstance(default, int | float):
            raise InputError("loss", name, f"its setting {setting} must have a number for a default")
        if setting in {field.name for field in dataclasses.fields(ObjectiveSetting)} | {"learning_rate"}:
            raise InputError("loss", name, f"its setting {setting} must be of another name, which is an option's")
    return result
