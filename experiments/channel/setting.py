"""Options of the experiment: the paper's numbers, and the readings that its text leaves open."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

from distill_jax.command.command_line import check_writable
from distill_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class SweepSetting:
    """Values of fields in place of the setting's own: then the gain is mapped over all combinations of those given."""

    temperature: tuple[float, ...] = ()
    """Values of --temperature."""
    similar: tuple[int, ...] = ()
    """Values of --similar."""
    epochs: tuple[int, ...] = ()
    """Values of --epochs; with none of --teacher-epochs, of the teacher too."""
    teacher_epochs: tuple[int, ...] = ()
    """Values of --teacher-epochs."""
    train_examples: tuple[int, ...] = ()
    """Values of --train-examples."""
    similar_scale: tuple[float, ...] = ()
    """Values of --similar-scale."""
    alpha: tuple[float, ...] = ()
    """Values of --alpha."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """Appendix C.5: teacher, one-hot control and distilled student on channel data, over many seeds."""

    reading: Literal["printed", "unit", "separable", "sphere", "aligned", "alpha", "margin", "all"] = "printed"
    """Named values of what the text leaves open, each with a sentence on where it departs from the text; options given
    beside it win. 'all' puts the numbers of all readings into one table."""
    seeds: int = 500
    """Independent repetitions, each with its own class vectors, data, teacher and students."""
    classes: int = 10
    """Classes and channels, K."""
    dim: int = 100
    """Values of a channel, D; 3 or more."""
    train_examples: int = 512
    """Training points."""
    test_examples: int = 5000
    """Test points, of the same law; the paper does not say how many."""
    similar: int = 3
    """How many similar classes are drawn for each point."""
    similar_scale: float = 0.8
    """The factor 0.8 of similar channels."""
    alpha: float = 0.01
    """Share of the class vector in a channel, in [0, 1)."""
    learning_rate: float = 0.1
    """Adam's, constant."""
    batch_size: int = 128
    """Examples a step; the last incomplete batch of a pass is dropped."""
    epochs: int = 10
    """Passes over the training data, of each student."""
    teacher_epochs: int | None = None
    """Passes over the training data, of the teacher [default: as many]."""
    temperature: float = 5.0
    """T of the distillation loss and, by default, of the targets whose signs are counted."""
    draw: Literal["repetition", "distinct"] = "repetition"
    """Whether similar classes are drawn with repetition, where a class drawn twice counts once. The default gives the
    paper's share of right one-hot signs, and so does 'distinct' with --draw-from all."""
    draw_from: Literal["others", "all"] = "others"
    """Whether similar classes are drawn from the other classes, or from all; the target then stays what it is."""
    truncate: Literal["x", "z"] = "x"
    """What is truncated: x . mu > 0, as printed, or z . mu > 0, so that x . mu is above alpha |mu|^2, since alpha mu is
    "added so as to provide sufficient non-zero margin"."""
    truncate_similar: bool = True
    """Whether the similar channels too are truncated."""
    class_vectors: Literal["normal", "unit"] = "normal"
    """Class vectors from N(0, I), as printed, or of length 1, as in the theorem."""
    separable: bool = False
    """Whether Beta(4, 1) * 0.8 (x_y . mu_y) is the similar margin x_k . mu_k, as the sentence on linear separability
    wants it, and not the factor of the whole channel, as the formula has it."""
    target_above: float | None = 0.01
    """From which probability on a softmax target counts as "non-zero"; to the letter, 0, they all are. None is 1/K: the
    update of a student that knows nothing, and has 1/K everywhere, raises the logits of just these targets. The default
    was chosen, with T = 1, to come near the paper's share of right signs under distillation."""
    target_temperature: float | None = 1.0
    """Temperature at which that probability is taken; None is that of training."""
    absent: Literal["right", "counted", "left-out"] = "right"
    """Pairs with x_k = 0, which have no gradient: right whatever the target is; counted like all others, to the letter;
    or left out."""
    sweep: SweepSetting = dataclasses.field(default_factory=SweepSetting)
    json: Path | None = None
    """File for the result."""
    figures: Path | None = None
    """Folder for the pictures."""

    def said(self) -> dict[str, Any]:
        """The setting as a result has it: without files, folders, sweep and seeds, which are the n of every number."""
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in ("seeds", "json", "figures", "sweep")}

    @property
    def counted(self) -> tuple[float, float]:
        """From which probability on a target counts as non-zero, and at which temperature."""
        above = 1 / self.classes if self.target_above is None else self.target_above
        return above, self.temperature if self.target_temperature is None else self.target_temperature


def validate(setting: Setting) -> None:
    """Checks all values before anything is computed or written.

    Raises:
      InputError: a value that cannot be right; one line that names the option, the value and what would be.
    """

    def require(holds: bool, name: str, requirement: str) -> None:
        if not holds:
            raise InputError(f"--{name.replace('_', '-')}", getattr(setting, name), f"must be {requirement}")

    require(setting.seeds >= 1, "seeds", "1 or more")
    require(setting.classes >= 2, "classes", "2 or more")
    require(setting.dim >= 3, "dim", "3 or more")
    require(setting.train_examples >= 10, "train_examples", "10 or more, of which a tenth are the hard ones")
    require(setting.test_examples >= 10, "test_examples", "10 or more, of which a tenth are the hard ones")
    most = setting.classes - (setting.draw_from == "others") if setting.draw == "distinct" else 100
    require(1 <= setting.similar <= most, "similar", f"in [1, {most}]")
    require(0 < setting.similar_scale < float("inf"), "similar_scale", "positive")
    require(0 <= setting.alpha < 1, "alpha", "in [0, 1)")
    require(0 < setting.learning_rate < float("inf"), "learning_rate", "positive")
    require(1 <= setting.batch_size <= setting.train_examples, "batch_size", f"in [1, {setting.train_examples}]")
    require(setting.epochs >= 1, "epochs", "1 or more")
    require(setting.teacher_epochs is None or setting.teacher_epochs >= 1, "teacher_epochs", "1 or more")
    require(0 < setting.temperature < float("inf"), "temperature", "positive")
    above, temperature = setting.counted
    require(0 <= above < 1, "target_above", "in [0, 1)")
    require(0 < temperature < float("inf"), "target_temperature", "positive")
    check_writable("--json", setting.json, ".json")
    check_writable("--figures", setting.figures)
