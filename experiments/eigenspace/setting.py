"""Options of the experiment: the paper's two settings, and the readings that its text leaves open."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from distill_jax.command.command_line import check_writable
from distill_jax.errors import InputError

PAPERS: dict[str, dict[str, Any]] = {  # what differs between the two settings of appendix C.4
    "random-features": {
        "label_noise": 0.25,
        "learning_rate": 0.001,
        "epochs": 40,
        "temperature": 5.0,
        "projection": "norm",
    },
    "mlp": {
        "label_noise": 0.0,
        "learning_rate": 0.0001,
        "epochs": 20,
        "temperature": 4.0,
        "projection": "displacement",
    },
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """Appendix C.4: trajectories of teacher, one-hot control and distilled student along eigendirections."""

    setting: Literal["random-features", "mlp"] = "random-features"
    """A linear model on ReLU random features, or a two-layer perceptron."""
    seeds: int = 200
    """Independent repetitions, each with its own points, label noise, features, pairs, teacher and students."""
    dataset: str = "mnist"
    """As of the main job: mnist, digits, ..."""
    data_dir: Path | None = None
    """As of the main job: the folder that holds the prepared data."""
    train_examples: int = 128
    """Training points of a seed, as many of each class as can be."""
    test_examples: int = 1000
    """Test points of a seed, drawn from the data set's; the paper does not say how many."""
    label_noise: float | None = None
    """Share of wrong training labels, exactly [default: 0.25 for random features, 0 for the MLP]."""
    features: int = 5000
    """Random features."""
    hidden: int = 1000
    """Hidden units of the MLP."""
    batch_size: int = 16
    """Examples a step; the last incomplete batch of a pass is dropped."""
    epochs: int | None = None
    """Passes over the training points, of each model [default: 40 for random features, 20 for the MLP]."""
    learning_rate: float | None = None
    """Adam's, constant [default: 0.001 for random features, 0.0001 for the MLP]. Of gradient descent, the step of the
    theory's flow in units of 1 / the greatest eigenvalue of the Gram matrix (below 2)."""
    temperature: float | None = None
    """T of the distillation loss [default: 5 for random features, 4 for the MLP]."""
    loss: Literal["cross-entropy", "squared"] = "cross-entropy"
    """Squared is the theory's, without temperature."""
    optimizer: Literal["adam", "gradient-descent"] = "adam"
    """Gradient descent has no momentum."""
    initial: Literal["random", "zero"] = "random"
    """First weights; zero is the theory's, and for the linear model only."""
    pairs: int = 15
    """Pairs of eigendirections of a seed, top and bottom ones drawn without replacement."""
    top: int = 15
    """Top directions are drawn from the first so many."""
    bottom: tuple[int, int] = (20, 60)
    """Bottom directions are drawn from these indices, both included, counted from 0."""
    centred: bool = False
    """Whether directions are those of the centred data. The theory's X is not centred."""
    projection: Literal["norm", "displacement"] | None = None
    """|W^T v|, as printed, or |(W - W_0)^T v|, which starts at 0 where random first weights do not [default: norm for
    random features, displacement for the MLP, whose |W^T v| is nearly all of the first weights and moves by 1%]. This
    and the next choose the headline; all combinations are in the result."""
    definition: Literal["area", "level", "time"] = "area"
    """Of the bias and its exaggeration, see `bias`."""
    evaluate_every: int | None = None
    """Steps between accuracies [default: a pass]."""
    json: Path | None = None
    """File for the result."""
    figures: Path | None = None
    """Folder for the pictures."""

    @property
    def steps(self) -> int:
        """Updates of each model; of a setting that is `filled`."""
        assert self.epochs is not None
        return self.epochs * (self.train_examples // self.batch_size)

    @property
    def every(self) -> int:
        """Steps between accuracies."""
        return self.evaluate_every or self.train_examples // self.batch_size


def filled(setting: Setting) -> Setting:
    """The setting with the paper's values where none is given."""
    values = {k: v for k, v in PAPERS[setting.setting].items() if getattr(setting, k) is None}
    return dataclasses.replace(setting, **values)


def idle(setting: Setting) -> Iterator[tuple[str, str]]:
    """Options that have no effect beside the setting's others, each with why."""
    kind = setting.setting
    yield "--hidden" if kind == "random-features" else "--features", f"--setting {kind} has none"
    if setting.loss == "squared":
        yield "--temperature", "--loss squared is without"


def validate(setting: Setting) -> None:
    """Checks all values of a `filled` setting before anything is computed; the data set has checks of its own.

    Raises:
      InputError: a value that cannot be right; one line that names the option, the value and what would be.
    """

    def require(holds: bool, name: str, requirement: str) -> None:
        value = getattr(setting, name)
        text = " ".join(map(str, value)) if isinstance(value, tuple) else value
        if not holds:
            raise InputError(f"--{name.replace('_', '-')}", text, f"must be {requirement}")

    n = setting.train_examples
    require(setting.seeds >= 1, "seeds", "1 or more")
    require(n >= 10, "train_examples", "10 or more, of which a tenth are the hard ones")
    require(setting.test_examples >= 10, "test_examples", "10 or more, of which a tenth are the hard ones")
    require(0 <= setting.label_noise < 1, "label_noise", "a share in [0, 1)")
    require(setting.features >= 1, "features", "1 or more")
    require(setting.hidden >= 1, "hidden", "1 or more")
    require(1 <= setting.batch_size <= n, "batch_size", f"in [1, {n}]")
    require(setting.epochs >= 1, "epochs", "1 or more")
    most = 2 if setting.optimizer == "gradient-descent" else float("inf")
    require(0 < setting.learning_rate < most, "learning_rate", "positive" if most > 2 else "in (0, 2)")
    require(0 < setting.temperature < float("inf"), "temperature", "positive")
    require(setting.initial == "random" or setting.setting != "mlp", "initial", "random for an MLP")
    first, last = setting.bottom
    require(1 <= setting.top < n, "top", f"in [1, {n - 1}]")
    require(setting.top <= first <= last < n, "bottom", f"two indices, the lower first, from {setting.top} to {n - 1}")
    available = min(setting.top, last - first + 1)
    require(1 <= setting.pairs <= available, "pairs", f"in [1, {available}], as many as there are directions to draw")
    every = setting.evaluate_every
    fits = every is None or (every >= 1 and setting.steps % every == 0)  # so that the last step is among them
    require(fits, "evaluate_every", f"a divisor of {setting.steps}, the number of steps")
    check_writable("--json", setting.json, ".json")
    check_writable("--figures", setting.figures)
