"""Whether clusters whose parts are lost give one process's results, to the byte, and how long they take.

    python -m experiments.clusters --workdir W --json FILE
    python -m experiments.clusters slurm --partition low --preempting high --workdir W --json FILE

All studies of the scale `rehearsal` are trained by one process; on three nodes of Ray on this machine, of which one is
lost at a random moment; and by the SLURM that is here, where a study is preempted, one queued again, and the command
killed and given again, each at a random moment. An engine's run replaces that in FILE.
"""

import contextlib
import dataclasses
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import tyro

from distill_jax import extras
from distill_jax.command import command_line
from distill_jax.errors import InputError, RunError
from experiments.markdown_table import markdown_table
from experiments.paper.engines.jobs import BEGINS
from experiments.paper.scale import REHEARSAL
from experiments.paper.studies import studies

PROG = "python -m experiments.clusters"
NODES, CPUS = 3, 1  # of Ray's cluster
_PREEMPTED_SECONDS = 10  # how long the job of higher priority takes
_OF_THE_RUN = ("timing", "environment")  # of a summary: in which runs may differ
_SECONDS = 0.2  # between two looks


@dataclasses.dataclass(frozen=True)
class Setting:
    """Whether clusters whose parts are lost give one process's results, to the byte, and how long they take."""

    engines: tyro.conf.Positional[tuple[Literal["one", "ray", "slurm"], ...]] = ("one", "ray", "slurm")
    """Which runs to make: 'one' process, with which the others are compared, is made first."""
    workdir: Path = Path("work/clusters")
    """New folder for the studies, or that of an earlier call with other runs."""
    seeds: int = 2
    """Repetitions of each study."""
    part_seeds: int | None = None
    """Seeds of a part of each study, see `experiments.paper` [default: no parts]."""
    partition: str = "low"
    """slurm: whose jobs are preempted."""
    preempting: str = "high"
    """slurm: the partition for the job that preempts."""
    json: Path | None = None
    """File for what was found."""


class Watched:
    """A command that trains all studies, and what its studies' logs say meanwhile.

    Args:
      folder: a new one, of this run.
      words: of the command behind those that all runs have.
      setting: of all runs.
    """

    def __init__(self, folder: Path, words: Sequence[str], setting: Setting):
        self.folder, self.events = folder, []
        self._logs = folder / REHEARSAL.name / "logs"
        common = ["all", "--scale", REHEARSAL.name, "--seeds", str(setting.seeds), "--checkpoint-seconds", "1"]
        common += [] if setting.part_seeds is None else ["--part-seeds", str(setting.part_seeds)]
        self._command = [sys.executable, "-m", "experiments.paper", *common, "--workdir", str(folder), *words]
        self.began, self._load = time.monotonic(), os.getloadavg()[2]
        self.start()

    def start(self) -> None:
        """Gives the command, for the first time or again."""
        with (self.folder / "said.txt").open("a") as said:
            self._process = subprocess.Popen(self._command, stdout=said, stderr=subprocess.STDOUT)

    def kill(self) -> None:
        """Ends the command without a word to it."""
        self._process.kill()
        self._process.wait()

    def says(self, event: str) -> None:
        """Keeps what was done, with its moment."""
        seconds = time.monotonic() - self.began
        self.events.append({"seconds": round(seconds, 1), "studies_done": self.done(), "what": event})
        print(f"{seconds:.0f} s, {self.done()} done: {event}", flush=True)

    def done(self) -> int:
        """How many studies have ended."""
        return len(list(self.folder.glob(f"{REHEARSAL.name}/*/summary.json")))

    def _lines(self, name: str) -> list[str]:
        """What a study has said since it was begun the last time."""
        path = self._logs / f"{name}.log"
        return path.read_text().rpartition(BEGINS)[2].splitlines() if path.exists() else []

    def is_at_work(self, name: str) -> bool:
        """Whether a study has begun and neither ended nor stopped."""
        lines = self._lines(name)
        return bool(lines) and not lines[-1].startswith("finished") and "the same command goes on" not in lines[-1]

    def has_finished(self, name: str) -> bool:
        """Whether a study has ended by itself."""
        return self._lines(name)[-1:] == ["finished"]

    def has_teachers(self, name: str) -> bool:
        """Whether it is at work on students."""
        return self.is_at_work(name) and any("teacher" in line and "examples/s" in line for line in self._lines(name))

    def at_work(self) -> list[str]:
        """The studies that are at work."""
        return sorted(path.stem for path in self._logs.glob("*.log") if self.is_at_work(path.stem))

    def all_at_work(self, number: int) -> list[str]:
        """So many studies or parts that are all that is at work; else none."""
        names = self.at_work()
        return names if len(names) == number else []

    def all_have_teachers(self, number: int) -> list[str]:
        """So many studies that are all that is at work, all on students; else none."""
        names = self.all_at_work(number)
        return names if all(self.has_teachers(name) for name in names) else []

    def until(self, holds: Callable[[], Any]) -> Any:
        """Waits for something to be true, while the command is at work; gives it."""
        while not (value := holds()):
            if self._process.poll() is not None:
                raise RunError(f"the command has ended too early; see {self.folder / 'said.txt'}")
            time.sleep(_SECONDS)
        return value

    def until_random(self, first: int, last: int) -> None:
        """Waits for so many studies, drawn in this range, to be done and others to be at work, and a little more."""
        number = random.randint(first, last)
        self.until(lambda: self.done() >= number and self.at_work())
        time.sleep(random.uniform(0, 5))
        self.until(self.at_work)

    def end(self) -> dict[str, Any]:
        """Waits for the command, and gives what the run was.

        Raises:
          RunError: it has failed.
        """
        if self._process.wait():
            raise RunError(f"the command has failed; see {self.folder / 'said.txt'}")
        seconds = round(time.monotonic() - self.began, 1)
        load = [round(value, 1) for value in (self._load, *os.getloadavg()[2:])]
        begun = {path.stem: path.read_text().count(BEGINS) for path in sorted(self._logs.glob("*.log"))}
        again = {name: count for name, count in begun.items() if count > 1}
        return {"seconds": seconds, "studies": self.done(), "load": load, "events": self.events, "begun_again": again}


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    setting = command_line.parse(Setting(), PROG, arguments)
    command_line.check_writable("--json", setting.json, ".json")
    here = _environment(" ".join([PROG, *arguments]))
    rows: list[dict[str, Any]] = []
    setting.workdir.mkdir(parents=True, exist_ok=True)
    for engine in ("one", "ray", "slurm"):
        if engine not in setting.engines:
            continue
        folder = (setting.workdir / _named(engine, setting)).absolute()
        if folder.exists():
            raise InputError("--workdir", setting.workdir, f"has {folder.name}/ already; must be new for this run")
        os.environ["HOME"] = str(folder / "home")  # no program is there already, compiled by another run
        (folder / "home").mkdir(parents=True)
        run = {"one": _one, "ray": _ray, "slurm": _slurm}[engine](folder, setting)
        if engine != "one":
            run["different"] = different(setting.workdir / _named("one", setting), folder)
        if setting.json is not None and setting.json.exists():
            rows = json.loads(setting.json.read_text())  # what another call may have found meanwhile
        if setting.part_seeds is not None:
            run["how"] += f"; studies of {setting.seeds} seeds in parts of {setting.part_seeds}"
        name, seeds = _named(engine, setting), setting.seeds
        row = {"run": name, "scale": REHEARSAL.name, "seeds": seeds, **run, "environment": here}
        rows = [*(other for other in rows if other["run"] != name), row]
        command_line.write_json(setting.json, rows)
    print(lines(rows), end="")


def _named(engine: str, setting: Setting) -> str:
    """What a run is called: by its engine, and whether studies are in parts."""
    return engine if setting.part_seeds is None else f"{engine}-in-parts"


def _environment(command: str) -> dict[str, Any]:
    """As of `environment`, found by another process: this one begins others, which it must not once it has used JAX."""
    code = (
        "from distill_jax.machine.environment import environment; import json, sys\n"
        "print(json.dumps(environment(sys.argv[1])))"
    )
    found = json.loads(subprocess.run([sys.executable, "-c", code, command], check=True, capture_output=True).stdout)
    for name in ("ray", "submitit"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found["versions"][name] = metadata.version(name)
    return found


def _one(folder: Path, setting: Setting) -> dict[str, Any]:
    return Watched(folder, (), setting).end() | {"nodes": 1, "how": "one process"}


def _ray(folder: Path, setting: Setting) -> dict[str, Any]:
    os.environ |= {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listens to this machine alone
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",  # as the other runs: Ray's own, 15, gives way to whatever else is at work
    }
    cluster_utils = extras.needed("ray.cluster_utils", "ray", "engines", "ray")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(NODES):
            cluster.add_node(num_cpus=CPUS)
        run = Watched(folder, ["--on", "ray", "--address", cluster.address], setting)
        run.until_random(3, len(studies(REHEARSAL)) // 2)
        # Parts of studies are at work on students too shortly for all to be so at once.
        all_train = run.all_have_teachers if setting.part_seeds is None else run.all_at_work
        names = run.until(lambda: all_train(NODES))
        cluster.remove_node(random.choice(sorted(cluster.worker_nodes, key=id)), allow_graceful=False)
        run.says(f"one of {NODES} nodes is lost, while these are at work, one on each: {', '.join(names)}")
        how = f"Ray's `Cluster`, {NODES} nodes of {CPUS} CPU, of which one is lost"
        return run.end() | {"nodes": NODES, "how": how}
    finally:
        cluster.shutdown()


def _slurm(folder: Path, setting: Setting) -> dict[str, Any]:
    nodes = len(set(_asked(["sinfo", "--noheader", "--Node", "--format=%N", "--partition", setting.partition]).split()))
    run = Watched(folder, ["--on", "slurm", "--partition", setting.partition], setting)
    third = len(studies(REHEARSAL)) // 3
    run.until_random(1, third)
    job = ["sbatch", "--output=/dev/null", f"--partition={setting.preempting}", f"--wrap=sleep {_PREEMPTED_SECONDS}"]
    _lose(run, setting, "a job of higher priority takes its node", lambda _, node: [*job, f"--nodelist={node}"])
    run.until_random(third, 2 * third)
    _lose(run, setting, "scontrol requeue", lambda number, _: ["scontrol", "requeue", number])
    run.until_random(2 * third, 2 * third + 3)
    run.kill()
    run.says("the command that was typed is killed (SIGKILL)")
    time.sleep(random.uniform(1, 10))
    run.start()
    run.says("the same command is typed again")
    how = f"SLURM, {nodes} nodes; preempted, queued again, and the command killed and typed again"
    ended = run.end() | {"nodes": nodes, "how": how, "slurm": _asked(["sinfo", "--version"]).strip()}
    return ended | {"submitted": len(list(folder.glob(f"{REHEARSAL.name}/logs/slurm/*_submitted.pkl")))}


def _lose(run: Watched, setting: Setting, what: str, words: Callable[[str, str], Sequence[str]]) -> None:
    """Makes a study lose its place while it trains students; tries another one where it has ended before.

    Args:
      run: whose.
      setting: with the partition.
      what: is done to it.
      words: of the program that does it, from the job's number and its node's name.
    """
    while True:
        number, node, name = run.until(lambda: _training(run, setting.partition))
        _asked(words(number, node))
        run.until(lambda name=name: not run.is_at_work(name))
        if not run.has_finished(name):
            run.says(f"{what}: {name} saves and stops")
            return


def _training(run: Watched, partition: str) -> tuple[str, str, str] | None:
    """A job that is at work on students: its number, its node, and its study."""
    load = extras.needed("submitit.core.utils", "slurm", "engines", "slurm").DelayedSubmission.load
    running = ["squeue", "--noheader", "--array", "--states=RUNNING", f"--partition={partition}", "--format=%i %N"]
    for line in _asked(running).splitlines():
        number, node = line.split()
        pickled = run.folder / REHEARSAL.name / "logs" / "slurm" / f"{number}_submitted.pkl"
        if pickled.exists() and run.has_teachers(name := load(pickled).args[0].name):
            return number, node, name
    return None


def _asked(words: Sequence[str]) -> str:
    """What a program of SLURM says.

    Raises:
      RunError: it fails, or is not here.
    """
    try:
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError as error:
        raise RunError(f"{words[0]} is not here") from error
    except subprocess.CalledProcessError as error:
        raise RunError(f"{' '.join(words)}: {' '.join(error.stderr.split())}") from error


def different(of_one: Path, other: Path) -> list[str]:
    """What of a run's studies is not one process's, to the byte: files of dumps, and summaries but for time and place.

    Args:
      of_one, other: the runs' folders.

    Returns:
      Paths below the scale's folder; those that only one of both has are among them.
    """
    contents = [_contents(folder / REHEARSAL.name) for folder in (of_one, other)]
    return sorted(name for name in {*contents[0], *contents[1]} if contents[0].get(name) != contents[1].get(name))


def _contents(folder: Path) -> dict[str, bytes]:
    found = {}
    for study in studies(REHEARSAL):
        for path in (folder / study / "dumps").rglob("*"):
            if path.is_file():
                found[str(path.relative_to(folder))] = path.read_bytes()
        summary = folder / study / "summary.json"
        if summary.exists():
            values = {name: value for name, value in json.loads(summary.read_text()).items() if name not in _OF_THE_RUN}
            found[str(summary.relative_to(folder))] = json.dumps(values).encode()
    return found


def lines(runs: Sequence[Mapping[str, Any]]) -> str:
    """A result in Markdown."""
    rows = []
    for run in runs:
        events = "; ".join(f"{event['seconds']:.0f} s: {event['what']}" for event in run["events"]) or "nothing"
        again = ", ".join(f"{study} ({count} times)" for study, count in run["begun_again"].items()) or "none"
        differing = run.get("different")  # one process has none to differ from
        equal = "" if differing is None else f"{len(differing)} files differ" if differing else "all equal"
        load = " to ".join(f"{load:.0f}" for load in run["load"])
        took = f"{run['seconds']:.0f} s, load {load}"
        rows.append([run["how"], str(run["studies"]), took, events, again, equal])
    head = ["run", "studies", "wall time", "what was done to it", "begun again", "to one process's, by the byte"]
    return markdown_table(head, rows)


if __name__ == "__main__":
    command_line.run(main)
