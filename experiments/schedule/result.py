"""The rows of the result: each chip, number of chips and number of seeds, without and with machines that are lost."""

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill_jax.errors import RunError
from distill_jax.measures.statistics import over_seeds
from experiments.schedule import losses, plan
from experiments.schedule.machines import MACHINES, Machine
from experiments.schedule.portions import (
    DUMP_BYTES_A_SECOND,
    START_SECONDS,
    Portion,
    Predicted,
    of_seeds,
    portions,
    tasks,
    too_large,
    whole,
)
from experiments.schedule.run import Run

HOUR = 3600
ASSUMPTIONS = {"start_seconds": START_SECONDS, "dump_bytes_a_second": DUMP_BYTES_A_SECOND}
PRICES = {name: [dataclasses.asdict(price) for price in machine.prices] for name, machine in MACHINES.items()}


@dataclasses.dataclass(frozen=True)
class Case:
    """So many chips for so many seeds of all studies.

    Attributes:
      machine: what each portion is trained on.
      chips, seeds: how many.
      found: the predictions of all studies.
      listed: all portions.
    """

    machine: Machine
    chips: int
    seeds: int
    found: Sequence[Predicted]
    listed: Sequence[Portion]

    @classmethod
    def of(cls, machine: Machine, chips: int, seeds: int, found: Sequence[Predicted]) -> "Case":
        """The case with its portions."""
        return cls(machine, chips, seeds, found, portions(found, seeds, machine.of(chips)[1]))

    @property
    def machines(self) -> int:
        """How many there are."""
        return self.machine.of(self.chips)[0]

    @property
    def chips_at_work(self) -> int:
        """Of a machine."""
        return min(self.chips, self.machine.chips)

    @property
    def named(self) -> dict[str, Any]:
        """Which case it is, in a row of the result."""
        return {"chip": self.machine.name, "chips": self.chips, "seeds": self.seeds}


def scheduled(case: Case) -> Iterator[dict[str, Any]]:
    """Three rows: each study is claimed as a whole, each part of it, and each portion by itself."""
    by_study, by_part = whole(case.listed), of_seeds(case.listed)
    yield _row(case, "study", list(by_study.values()), list(by_study))
    yield _row(case, "part", list(by_part.values()), [study for study, _ in by_part])
    yield _row(case, "portion", tasks(case.listed), [p.study for p in case.listed]) | _storage(case)


def _row(case: Case, claimed: str, work: Sequence[plan.Task], names: Sequence[str]) -> dict[str, Any]:
    placed, chains = plan.schedule(work, case.machines), plan.chains(work)
    seconds, busy = max(task.end for task in placed), sum(task.seconds for task in work)
    longest = int(np.argmax(chains))
    shared = busy / case.machines
    given_back = plan.held(placed) * case.chips_at_work / HOUR
    return case.named | {
        "machines": case.machines,
        "claimed": claimed,
        "tasks": len(work),
        "hours": seconds / HOUR,
        "lower_bound_hours": plan.lower_bound(work, case.machines) / HOUR,
        "shared_evenly_hours": shared / HOUR,
        "chain": {
            "study": names[longest],
            "hours": chains[longest] / HOUR,
            "first_hours": work[longest].seconds / HOUR,
        },
        "bound_by": "chain" if chains[longest] > shared else "chips",
        "busy_chip_hours": busy * case.chips_at_work / HOUR,
        "efficiency": busy * case.chips_at_work / (case.chips * seconds),
        "usd": [price.usd * case.chips * seconds / HOUR for price in case.machine.prices],
        "usd_given_back": [price.usd * given_back for price in case.machine.prices],
        "may_not_fit": too_large(case.found, case.machine, case.chips),
    }


def _storage(case: Case) -> dict[str, Any]:
    """What claims and checkpoints ask of the storage, by the code's own locks in a folder."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = losses.simulate(case.listed, case.machines, 0.0, np.random.default_rng(0), Path(folder))
    seconds = max(task.end for task in plan.schedule(tasks(case.listed), case.machines))
    if abs(outcome.seconds - seconds) > 1e-6 * seconds:
        raise RunError(f"machines that claim take {outcome.seconds:.0f} s, the schedule {seconds:.0f} s")
    starting = sum(portion.run.restart_seconds for portion in case.listed)
    largest: dict[Run, int] = {}
    for portion in case.listed:
        largest[portion.run] = max(largest.get(portion.run, 0), len(portion.members))
    alone = [portion.run.seconds() / largest[portion.run] / HOUR for portion in case.listed]
    single = max(alone[place] + alone[p.teachers] for place, p in enumerate(case.listed) if p.teachers is not None)
    return {
        "claims_tried": outcome.tries,
        "claims_tried_first": outcome.first_tries,
        "checkpoints_a_second": case.machines / min(p.run.checkpoint_seconds for p in case.listed),
        "starting_chip_hours": starting * case.chips_at_work / HOUR,
        "chain_of_single_models_hours": single,
    }


def with_losses(case: Case, rate: float, simulations: int, seed: int) -> dict[str, Any]:
    """A row of a case with so many losses for a chip and an hour: means over simulations with 95% intervals."""
    a_second = rate * case.chips_at_work / HOUR
    entropy = [seed, case.chips, case.seeds, list(MACHINES).index(case.machine.name), round(1e6 * rate)]
    outcomes = [
        losses.simulate(case.listed, case.machines, a_second, np.random.default_rng([*entropy, number]))
        for number in range(simulations)
    ]
    again = [sum(loss.seconds for loss in outcome.losses) * case.chips_at_work / HOUR for outcome in outcomes]
    return case.named | {
        "losses_a_chip_hour": rate,
        "hours": _interval([outcome.seconds / HOUR for outcome in outcomes]),
        "machines_lost": _interval([len(outcome.losses) for outcome in outcomes]),
        "chip_hours_again": _interval(again),
    }


def _interval(values: Sequence[float]) -> dict[str, Any]:
    interval = over_seeds(values).as_json()
    return {name: interval[name] for name in ("mean", "low", "high", "n")}


def anomalies(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Where more chips take longer, which a list schedule may do."""
    found = []
    for row in rows:
        for other in rows:
            same = all(row[name] == other[name] for name in ("chip", "seeds", "claimed"))
            if same and row["chips"] < other["chips"] and row["hours"] < other["hours"] * (1 - 1e-9):
                found.append(f"{row['chip']}, {row['seeds']} seeds, {row['claimed']}: {row['chips']}, {other['chips']}")
    return found
