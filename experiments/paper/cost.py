"""How long a study that is not there yet will take, by what was measured; nothing else is said."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from distill_jax.identity import identity
from experiments.compiled.studies import Forecast
from experiments.paper.studies import ROLES, Planned


@dataclasses.dataclass(frozen=True)
class Record:
    """Time that a study took.

    Attributes:
      setting: its identity.
      timing: of `Study.facts`.
      device: on which.
    """

    setting: Mapping[str, Any]
    timing: Mapping[str, Any]
    device: str


@dataclasses.dataclass(frozen=True)
class Expected:
    """Seconds on a device."""

    seconds: float
    device: str


def committed(folder: Path) -> list[Record]:
    """The records in the result files below a folder."""
    records = []
    for path in sorted(folder.glob("paper-*/results.json")):
        studies = json.loads(path.read_text())["studies"].values()
        records += [Record(s["setting"], s["timing"], s["environment"]["device"]) for s in studies]
    return records


def expected(plan: Planned, seeds: int, records: Iterable[Record]) -> Expected | None:
    """The time of a study by the examples/s of the last record of the same networks, data and batch size; None
    where there is no such record for both roles.
    """
    plan_identity, records = identity(plan.setting), list(records)
    examples = plan.steps * plan.setting.train.batch_size * seeds
    seconds, device = 0.0, ""
    for role, models in zip(ROLES, (1, plan.models_a_seed - 1), strict=True):
        matching = [r for r in records if _work(r.setting, role) == _work(plan_identity, role)]
        if not matching:
            return None
        timing, device = matching[-1].timing[role], matching[-1].device
        spent = sum(value for name, value in timing.items() if name.endswith("_seconds"))
        seconds += examples * models * spent / timing["training_examples"]
    return Expected(seconds, device)


def longest_first(
    plans: Sequence[Planned],
    seeds: int,
    records: Iterable[Record],
    predicted: Mapping[str, Mapping[str, Forecast]],
) -> list[Planned]:
    """Studies, the longest first, by one measure that all of them have.

    That is the time which `expected` gives, else a chip's in `predicted`, else how many examples they are trained on.
    """
    records = list(records)
    measured = {plan.name: time.seconds for plan in plans if (time := expected(plan, seeds, records)) is not None}
    hours: dict[str, dict[str, float]] = {}
    for plan in plans:
        for chip, forecast in predicted.get(plan.name, {}).items():
            if forecast.hours is not None:
                hours.setdefault(chip, {})[plan.name] = forecast.hours
    examples = {plan.name: float(plan.models_a_seed * plan.steps * plan.setting.train.batch_size) for plan in plans}
    sizes = next(by_name for by_name in (measured, *hours.values(), examples) if len(by_name) == len(plans))
    return sorted(plans, key=lambda plan: -sizes[plan.name])


def _work(setting: Mapping[str, Any], role: str) -> list[Any]:
    """The settings on which the cost of an example of a role depends."""
    data = setting["data"]
    data_values = [data.get(name) for name in ("dataset", "image_size", "augment", "length")]
    train_values = [setting["train"][name] for name in ("batch_size", "precision")]
    return [*data_values, *train_values, setting["teacher"], setting["student"] if role == "student" else None]
