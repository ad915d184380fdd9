"""A study of two processes, of which one at a time is killed at random moments until there were so many kills."""

import dataclasses
import os
import random
import shutil
import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from command import end, results, start_joined

_MOST_SECONDS = 60  # for the other to end
_REPORT = ("summary.json", "figures", "report.html")


@dataclasses.dataclass(frozen=True)
class Kill:
    """Which process was killed, and the seconds until the other had ended.

    Attributes:
      phase: of the study then, by what was written last: 'start', 'training', 'checkpoint' of which not all is there,
        'dumps', 'report'; or 'end' where the other had nothing left to do with it and came to its own end.
    """

    who: int
    phase: str
    seconds: float


def kill_one_of_two(
    arguments: Sequence, workdir: Path, kills: int, seconds: float, rng: random.Random, of_second: Sequence = ()
) -> tuple[list[Kill], list[dict[str, bytes]]]:
    """Kills one of two processes a random while, up to `seconds`, after they have begun, and starts both again.

    A study that comes to its end before is begun anew, so that kills come at any moment of one.

    Returns:
      The kills, and the results of every study that came to its end; the last does.
    """
    done, ended = list[Kill](), list[dict[str, bytes]]()
    while True:
        before = _newest(workdir)[0]
        both = start_joined([*arguments, "--workdir", workdir], ((), of_second))
        started = time.monotonic()
        while all(p.poll() is None for p in both) and _newest(workdir)[0] == before:
            time.sleep(0.01)
        moment = time.monotonic() + rng.uniform(0, seconds) if len(done) < kills else float("inf")
        while all(p.poll() is None for p in both) and time.monotonic() < moment:
            time.sleep(0.005)
        if any(p.poll() is None for p in both) and time.monotonic() >= moment:
            done.append(_kill(both, workdir, rng.randrange(2), before))
            print(f"kill {len(done)}: {done[-1]}", flush=True)
            continue
        statuses, said = end(both)
        assert statuses == [0, 0], said
        ended.append(results(workdir))
        print(f"a study came to its end after {time.monotonic() - started:.1f} s", flush=True)
        if len(done) == kills:
            return done, ended
        shutil.rmtree(workdir)


def _kill(both: list, workdir: Path, who: int, before: int) -> Kill:
    both[who].kill()
    killed = time.monotonic()
    phase = _phase(workdir, before)
    statuses, said = end(both)
    took = time.monotonic() - killed
    assert took < _MOST_SECONDS
    out, err = said[1 - who]
    if statuses[1 - who] == 0:  # it was at its own end
        assert "report:" in out or who == 0
        return Kill(who, "end", took)
    assert statuses[1 - who] == 1, (statuses, said)
    lines = [line for line in err.splitlines() if line.strip() and "[Gloo] Rank" not in line]
    assert lines == [f"error: process {who} is gone (killed, or its machine); the same command goes on from here"], said
    return Kill(who, phase, took)


def _phase(workdir: Path, before: int) -> str:
    newest, path = _newest(workdir)
    parts = () if path is None else path.relative_to(workdir).parts
    if newest == before or not parts or parts[0] not in ("runs", "dumps", *_REPORT):
        return "start"
    if parts[0] != "runs":
        return "dumps" if parts[0] == "dumps" else "report"
    run = workdir.joinpath(*parts[:2])
    whole = {path.stem for path in run.glob("seals/*.json")}
    return "training" if {path.name for path in run.glob("checkpoints/*")} <= whole else "checkpoint"


def _newest(workdir: Path) -> tuple[int, Path | None]:
    """When a folder was last written into, and which file or folder of it."""
    times: list[tuple[int, Path | None]] = [(0, None)]
    # Not by rglob, which fails at a folder that is removed meanwhile.
    for path in (workdir, *(Path(place) / name for place, *names in os.walk(workdir) for name in chain(*names))):
        try:
            times.append((path.stat().st_mtime_ns, path))
        except FileNotFoundError:
            continue
    return max(times, key=lambda pair: pair[0])
