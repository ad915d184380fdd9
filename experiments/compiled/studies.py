"""The training programs of the paper's studies, and how long these take by what was predicted of them."""

import collections
import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from distill_jax.data.dataset import Vocabulary
from distill_jax.machine import backend
from distill_jax.models import kind
from distill_jax.setting import RobertaSetting, changed
from distill_jax.training.population import Member, shape, split
from experiments.compiled.program import Program, zeros
from experiments.compiled.results import read
from experiments.paper.scale import PAPER
from experiments.paper.studies import ROLES, Planned, studies

# Of each data set the shape of an example, classes, and examples of both splits.
DATA = {
    "cifar10": ((32, 32, 3), 10, 50_000, 10_000),
    "cifar100": ((32, 32, 3), 100, 50_000, 10_000),
    "tiny-imagenet": ((64, 64, 3), 200, 100_000, 10_000),
    "imagenet": ((224, 224, 3), 1000, 1_281_167, 50_000),
    "glue/mnli": ((128,), 3, 392_702, 9815),
    "imdb_reviews": ((128,), 2, 25_000, 25_000),
    "glue/qqp": ((128,), 2, 363_846, 40_430),
    "ag_news_subset": ((128,), 4, 120_000, 7600),
}
_TOKENS = Vocabulary(50_265, pad=1)  # RoBERTa's
# Layers and units, where no pretrained network is at hand: Base is published, the others are BERTs of these names.
_SIZES = {"base": (12, 768), "medium": (8, 512), "small": (4, 512)}
SEEDS = 3


@dataclasses.dataclass(frozen=True)
class Part:
    """Training that one program carries out.

    Attributes:
      program: its name.
      populations: how many are trained by it, one after another.
      steps: of each.
    """

    program: str
    populations: int
    steps: int


@functools.cache
def _plans() -> dict[str, Planned]:
    return studies(PAPER)


def programs() -> dict[str, Callable[[], Program]]:
    """By name, all that the studies need; those that are alike in all but rates, moments and labels are one."""
    program_by_name: dict[str, Callable[[], Program]] = {}
    for plan in _plans().values():
        for role, extent in _populations(plan, SEEDS):
            program_by_name.setdefault(_name(plan, role, extent), functools.partial(_program, plan, role, extent))
    return program_by_name


def parts(plan: Planned, seeds: int = SEEDS) -> list[Part]:
    """Of what the training of a study consists."""
    counted = collections.Counter(_populations(plan, seeds))
    return [Part(_name(plan, *population), count, plan.steps) for population, count in counted.items()]


@dataclasses.dataclass(frozen=True)
class Forecast:
    """Predicted time and memory of a study's training on a chip or slice.

    Attributes:
      hours: at least, without dumps and compilation; None where a program does not fit.
      memory_gib: of each device, that of its largest program.
      too_large: the program that does not fit, of which fewer models at once must be taken; None.
    """

    hours: float | None
    memory_gib: float | None
    too_large: str | None


def predicted(folder: Path, seeds: int) -> dict[str, dict[str, Forecast]]:
    """Of each study's training by chip or slice, as far as the files of predictions in a folder say.

    Raises:
      InputError: a file there is no file of predictions.
    """
    by_chip: dict[str, dict[str, Mapping[str, Any]]] = {}
    for path in sorted(folder.glob("*.json")):
        for row in read(path, "predictions"):
            by_chip.setdefault(row["chip"], {})[row["row"]] = row
    forecasts: dict[str, dict[str, Forecast]] = {}
    for name, plan in _plans().items():
        for chip, rows in by_chip.items():
            if (prediction := forecast(plan, rows, seeds)) is not None:
                forecasts.setdefault(name, {})[chip] = prediction
    return forecasts


def forecast(plan: Planned, rows: Mapping[str, Mapping[str, Any]], seeds: int = SEEDS) -> Forecast | None:
    """The forecast of a study's training.

    Args:
      plan: the study.
      rows: by name, what was predicted of its programs on one chip or slice.
      seeds: repetitions.

    Returns:
      None where one of its programs was not compiled.
    """
    needed = parts(plan, seeds)
    if not all(part.program in rows for part in needed):
        return None
    for part in needed:
        if not rows[part.program]["fits"]:
            return Forecast(None, rows[part.program]["memory_gib"], part.program)
    seconds = [part.populations * part.steps * rows[part.program]["step_seconds_predicted"] for part in needed]
    return Forecast(sum(seconds) / 3600, max(rows[part.program]["memory_gib"] for part in needed), None)


def _populations(plan: Planned, seeds: int) -> Iterable[tuple[str, tuple[int, int]]]:
    """Role and shape of every population, by an accelerator's defaults."""
    for role in ROLES:
        most = backend.defaults(kind(getattr(plan.setting, role).name), "tpu").population
        models = 1 if role == "teacher" else plan.models_a_seed - 1
        members = [Member(role, seed, (("number", n),)) for seed in range(seeds) for n in range(models)]
        yield from ((role, shape(part)) for part in split(members, most))


def _name(plan: Planned, role: str, extent: tuple[int, int]) -> str:
    """Such as 'paper/cifar100/ResNet-56/ResNet-20/bfloat16/1024/1x4': data, teacher, student, seeds x students."""
    data, train = plan.setting.data, plan.setting.train
    networks = "/".join(_called(plan, r) for r in ROLES[: 1 if role == "teacher" else 2])
    return f"paper/{data.dataset}/{networks}/{train.precision}/{train.batch_size}/{extent[0]}x{extent[1]}"


def _called(plan: Planned, role: str) -> str:
    model = getattr(plan.setting, role)
    network = getattr(plan.row, role)
    suffix = {"keras": "-keras"}.get(model.block, "") if model.name == "resnet-cifar" else ""
    return network + suffix + (f"-{model.strides}" if model.name == "mobilenet-v2" else "")


def _program(plan: Planned, role: str, extent: tuple[int, int]) -> Program:
    example_shape, classes, train, test = DATA[plan.setting.data.dataset]
    setting, vocabulary = plan.setting, None
    if len(example_shape) == 1:
        vocabulary = _TOKENS
        for model_role in ROLES:
            layers, units = _SIZES[plan.pretrained[model_role]]
            roberta = dataclasses.replace(getattr(setting, model_role).roberta, layers=layers, units=units)
            assert isinstance(roberta, RobertaSetting)
            setting = changed(setting, **{model_role: {"roberta": roberta}})
    dtype = np.dtype(np.uint8 if vocabulary is None else np.uint16)
    data = zeros((train, test), example_shape, dtype, classes, vocabulary)
    trained = "train without teacher" if role == "teacher" else "train"
    return Program(_name(plan, role, extent), setting, data, role, extent, trained)
