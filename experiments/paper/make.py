"""Trains the studies that are missing, draws figures from those that are there, and makes the table."""

import contextlib
import dataclasses
import functools
import json
import math
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from distill_jax.bucket.at_hand import followed
from distill_jax.data import needs_folder
from distill_jax.errors import InputError, RunError
from distill_jax.files import write_result
from distill_jax.machine import backend, processes, program_cache
from distill_jax.machine.environment import environment
from distill_jax.measures.study_summary import as_json
from distill_jax.paths import address, as_typed, from_home, from_root
from distill_jax.report import plots
from distill_jax.study import parts
from distill_jax.study.run_study import run_study
from experiments.compiled.studies import Forecast
from experiments.paper import document, listing, published
from experiments.paper.cost import Record, committed, expected, longest_first
from experiments.paper.engines import Engine, on_ray, on_slurm
from experiments.paper.engines.follow import follow
from experiments.paper.engines.jobs import Job
from experiments.paper.figures import Figure
from experiments.paper.outcome import Outcome, finished
from experiments.paper.rows import Pair
from experiments.paper.scale import PAPER
from experiments.paper.setting import NEEDED, PROG, Setting
from experiments.paper.studies import Planned, studies

PROGRAM = "experiments.paper.__main__"  # whose `main` trains a study on another machine
RESULTS = Path(__file__).parents[1] / "results"
Rows = Callable[[Mapping[str, Outcome], Mapping[str, Mapping[str, Any]], str], list[dict[str, Any]]]
_DEFAULT = Setting()
_SUBMITTED = Path("work/slurm")  # for what submitit writes where studies are in a bucket
_DAY = 24 * 60  # minutes, as submitit counts
_SHARED_SECONDS = 60  # until a network's disk shows what another machine has written
_PASSED_ON = ("seeds", "part_seeds", "cache_dir", "population", "memory_gib", "checkpoint_seconds")  # to studies


class Maker:
    """Trains studies, draws figures and makes tables, for one call of the command.

    Args:
      setting: what was asked for.
      plans: all studies of its scale.
      console: for what a person should see.
      predicted: of training by chip, as `listing.show`.
    """

    def __init__(
        self,
        setting: Setting,
        plans: Mapping[str, Planned],
        console: Console,
        predicted: Mapping[str, Mapping[str, Forecast]] | None = None,
    ):
        self._setting, self._console, self._predicted = setting, console, predicted or {}
        self._plans = {n: plan.placed(setting.tokenizer, setting.pretrained) for n, plan in plans.items()}
        self._folder = setting.workdir / setting.scale
        self.pictures = setting.figures or self._folder / "figures"  # within `drawing`, on this machine
        self.outcomes = processes.seen_by_first(self._found) if setting.distributed else self._found()

    def _found(self) -> dict[str, Outcome]:
        """Of the studies that are there."""
        found = {name: self._finished(plan) for name, plan in self._plans.items()}
        return {name: outcome for name, outcome in found.items() if outcome is not None}

    def _finished(self, plan: Planned) -> Outcome | None:
        """The outcome of a study, None where it is not there."""
        return finished(plan, self._folder, self._setting.seeds, self._setting.cache_dir)

    def records(self) -> list[Record]:
        """Times that studies have taken: those of committed results, then those that are there."""
        summaries = [outcome.summary for outcome in self.outcomes.values()]
        return committed(RESULTS) + [Record(s.setting, s.timing, s.environment["device"]) for s in summaries]

    def train(self, names: Sequence[str]) -> None:
        """Trains the studies that are not there.

        Raises:
          InputError: the tokenizer or pretrained weights are not there; nothing has been trained then.
          InputError, RunError, Interrupted: as `Study`.
        """
        missing = self._missing(names)
        if not missing:
            return
        self._check_texts(missing)
        if self._setting.on != "here":
            self._train_elsewhere(missing)
            return
        if not self._setting.distributed:  # where processes must have as many devices as each other
            # The devices share each batch, of whichever study: as many for each, whatever else is trained in this call.
            backend.use_cores(math.gcd(*(plan.setting.train.batch_size for plan in self._plans.values())))
        program_cache.keep_programs(self._setting.cache_dir)
        for number, name in enumerate(missing, 1):
            plan, setting = self._plans[name], self._setting
            self._console.print(f"study {number} of {len(missing)}, {name}: {plan.title}", soft_wrap=True)
            folders = self._folder, setting.data_dir, setting.cache_dir
            located = plan.located(*folders, seeds=setting.seeds, **setting.run)
            run_study(located, self.command(plan), self._console)
            if setting.part is not None:
                continue
            found = functools.partial(self._outcome, plan)
            # The others wait here for the first's report.
            self.outcomes[name] = processes.seen_by_first(found) if setting.distributed else found()

    def _train_elsewhere(self, names: Sequence[str]) -> None:
        """Has studies trained by an engine."""
        self._check_data(names)
        jobs = [job for plan in self._ordered(names) for job in self._jobs(plan)]
        setting = self._setting
        if setting.on == "ray":
            engine: Engine = on_ray.OnRay(setting.address, setting.cpus, setting.gpus, setting.tpus)
        else:
            parameters = {"partition": setting.partition, "time": setting.time or _DAY}
            parameters |= {"cpus_per_task": setting.cpus, "gpus_per_node": setting.gpus or None}
            logs = (_SUBMITTED if address(self._folder) else self._folder / "logs" / "slurm").absolute()
            engine = on_slurm.OnSlurm(on_slurm.executor(logs, parameters, setting.sbatch))
        with contextlib.closing(engine):
            follow(jobs, engine, self._console)
        for name in names:
            self.outcomes[name] = self._outcome(self._plans[name])

    def _jobs(self, plan: Planned) -> list[Job]:
        """An engine's jobs of a study: itself, after its parts where it has several."""
        records, folder = self.records(), from_root(self._folder)

        def job(name: str, place: Path, part: int | None, seeds: int, after: tuple[str, ...] = ()) -> Job:
            expected_time = listing.expected_time(plan, seeds, records, self._predicted) if seeds else "its report"
            words, log = tuple(self.words(plan, whole=True, part=part)), folder / "logs" / f"{name}.log"
            return Job(name, words, place, log, expected_time, PROGRAM, self._setting.cache_dir, after)

        place, part_seeds = folder / plan.name, self._part_seeds()
        if len(part_seeds) == 1:
            return [job(plan.name, place, None, self._setting.seeds)]
        of_parts = [
            job(f"{plan.name}-part-{part}", parts.folder(place, part), part, seeds)
            for part, seeds in enumerate(part_seeds)
        ]
        return [*of_parts, job(plan.name, place, None, 0, tuple(part.name for part in of_parts))]

    def _part_seeds(self) -> list[int]:
        """How many seeds each part of a study has."""
        seeds = range(self._setting.seeds)
        size = self._setting.part_seeds or len(seeds)
        return [len(seeds[start : start + size]) for start in seeds[::size]]

    def _missing(self, names: Sequence[str]) -> list[str]:
        """Those that are not there."""
        if self._setting.distributed:
            values = {"targets": repr(self._setting.targets), "--scale": self._setting.scale, "studies": repr(names)}
            processes.require_same(values)
        return [name for name in names if name not in self.outcomes]

    def _outcome(self, plan: Planned) -> Outcome:
        """Of a study that has just been trained.

        Raises:
          RunError: another machine has trained it, and what it has written does not come to this one.
        """
        end = time.monotonic() + (_SHARED_SECONDS if self._setting.on != "here" else 0)
        while (outcome := self._finished(plan)) is None:
            if time.monotonic() > end:
                folder = self._folder / plan.name
                raise RunError(f"{plan.name} is trained, but {folder} does not say so; all must share its disk")
            time.sleep(0.2)
        return outcome

    def commands(self, names: Sequence[str]) -> list[str]:
        """The commands that train the studies that are not there, or each part of them, the longest first.

        Raises:
          InputError: data, the tokenizer or pretrained weights are not given.
        """
        missing = self._missing(names)
        self._check_data(missing)
        self._check_texts(missing)
        numbers = range(count) if (count := len(self._part_seeds())) > 1 else [None]
        return [self.command(plan, part=part) for plan in self._ordered(missing) for part in numbers]

    def _ordered(self, names: Sequence[str]) -> list[Planned]:
        """The studies of these names, the longest first."""
        plans = [self._plans[name] for name in names]
        return longest_first(plans, self._setting.seeds, self.records(), self._predicted)

    def _check_data(self, names: Sequence[str]) -> None:
        """Checks that there is a --data-dir, if these studies need one."""
        for name in names:
            if self._setting.data_dir is None and needs_folder(self._plans[name].setting.data.dataset):
                raise InputError("--data-dir", None, f"must be given for {name}; must hold the prepared data")

    def without_texts(self, names: Sequence[str]) -> list[str]:
        """Those of some studies that can be made without --tokenizer; says that there are others."""
        possible = [name for name in names if name in self.outcomes or not self._plans[name].is_of_texts]
        if len(possible) < len(names):
            self._console.print("texts are left out, since --tokenizer is not given", soft_wrap=True)
        return possible

    def _check_texts(self, names: Sequence[str]) -> None:
        """Checks --tokenizer and --pretrained, as far as these studies need them."""
        from distill_jax.data.sources.tokens import load_tokenizer
        from distill_jax.models import huggingface

        texts = [name for name in names if self._plans[name].is_of_texts]
        if not texts:
            return
        sizes = sorted({size for name in texts for size in self._plans[name].pretrained.values()})
        needed = {
            "--tokenizer": self._setting.tokenizer,
            **({"--pretrained": self._setting.pretrained} if sizes else {}),
        }
        for option, path in needed.items():
            if path is None:
                raise InputError(option, None, f"must be given for {', '.join(texts)}; {NEEDED[option]}")
        load_tokenizer(needed["--tokenizer"], texts[0])
        for size in sizes:
            huggingface.read_config(needed["--pretrained"] / size, "--pretrained")

    def command(self, plan: Planned, scale: str | None = None, part: int | None = None) -> str:
        """The command that trains a study [default: at this scale], or a part of it."""
        return f"{PROG} {shlex.join(self.words(plan, scale, part=part))}"

    def words(
        self, plan: Planned, scale: str | None = None, *, whole: bool = False, part: int | None = None
    ) -> list[str]:
        """What stands in it behind the program's name, with `whole` paths or as they were typed."""
        setting = self._setting
        if whole:
            names = ("data_dir", "cache_dir", "workdir", "tokenizer", "pretrained")
            folders = {name: getattr(setting, name) for name in names}
            whole_folders = {name: path and from_root(path) for name, path in folders.items()}
            setting = dataclasses.replace(setting, **whole_folders)
        words = [plan.name, "--scale", scale or setting.scale]
        if setting.data_dir is not None or needs_folder(plan.setting.data.dataset):
            words += ["--data-dir", str(setting.data_dir or "DIR")]
        words += ["--workdir", str(setting.workdir)]
        for name in _PASSED_ON:
            if getattr(setting, name) != getattr(_DEFAULT, name):
                words += [f"--{name.replace('_', '-')}", str(getattr(setting, name))]
        words += [] if part is None else ["--part", str(part)]
        words += ["--tokenizer", str(setting.tokenizer or "DIR")] if plan.is_of_texts else []
        words += ["--pretrained", str(setting.pretrained or "DIR")] if plan.pretrained else []
        return list(map(as_typed, words))

    @contextlib.contextmanager
    def drawing(self) -> Iterator[None]:
        """While figures and tables are made, in a folder of this machine."""
        with followed("run.workdir", self.pictures, self._setting.cache_dir) as self.pictures:
            yield

    def draw(self, figure: Figure) -> dict[str, Any] | None:
        """Draws a figure, writes it as PNG and SVG, and its numbers and caption as JSON, and gives these.

        It is drawn from those of its studies that are there, and says which are not; with none of them it is None.

        Raises:
          InputError: a dump is missing or damaged.
          RunError: a file cannot be written.
        """
        outcomes = [self.outcomes[name] for name in figure.studies if name in self.outcomes]
        without = self._absent(figure)
        if not outcomes:
            self._console.print(f"{figure.name}: left out, for want of {without}", soft_wrap=True)
            return None
        drawn = figure.draw(outcomes)
        caption = figure.caption(drawn, [outcome.seeds for outcome in outcomes])
        result = {
            "paper": figure.paper,
            "studies": {outcome.plan.name: outcome.plan.title for outcome in outcomes},
            "caption": " ".join([caption, *([f"Left out: {without}."] if without else [])]),
            "numbers": as_json(drawn.numbers),
        }
        plots.save(drawn.picture, self.pictures, figure.name)
        _write_json(self.pictures / f"{figure.name}.json", result)
        left_out = f", without {without}" if without else ""
        self._console.print(as_typed(f"{figure.name}: {self.pictures / figure.name}.png{left_out}"), soft_wrap=True)
        return result

    def _absent(self, figure: Figure) -> str:
        """The studies of a figure that are not there, and why; empty where all are."""
        absent = [name for name in figure.studies if name not in self.outcomes]
        reasons = {
            f"no stand-in at the scale {self._setting.scale}": [name for name in absent if name not in self._plans],
            "not trained": [name for name in absent if name in self._plans],
        }
        return "; ".join(f"{', '.join(names)} ({why})" for why, names in reasons.items() if names)

    def table(self, pairs: Sequence[Pair], rows: Rows) -> list[dict[str, Any]]:
        """A table's rows by `rows`; those that are not run say what would, and how long that is expected to take."""
        records, not_run, paper_plans = self.records(), {}, studies(PAPER)
        for row in pairs:
            has_stand_in = row.name in self._plans  # if it has no stand-in it can be run at the paper's scale alone
            plan = self._plans[row.name] if has_stand_in else paper_plans[row.name]
            time = expected(plan, self._setting.seeds, records)
            not_run[row.name] = {
                "command": from_home(self.command(plan, None if has_stand_in else PAPER.name)),
                "expected_seconds": time and time.seconds,
                "expected_on": time and time.device,
            }
        return rows(self.outcomes, not_run, self._setting.scale)

    def write_all(
        self,
        figures: Mapping[str, Any],
        table: Sequence[Mapping[str, Any]],
        of_published: Sequence[Mapping[str, Any]],
        command: str,
    ) -> None:
        """Writes all results, results.json, and the page that shows them, results.md."""
        results = {
            "environment": environment(command),
            "scale": self._setting.scale,
            "studies": document.studies(self.outcomes),
            "table2": table,
            "published": published.together(of_published),
            "figures": figures,
        }
        _write_json(self.pictures / "results.json", results)
        write_result(self.pictures / "results.md", document.page(results).encode())
        self._console.print(as_typed(f"all: {self.pictures / 'results.md'}"), soft_wrap=True)


def _write_json(path: Path, value: Any) -> None:
    write_result(path, (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())
