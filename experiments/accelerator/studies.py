"""The paper's own studies, as far as the minutes go, from where the last lease has left them."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.accelerator import child, parcel
from experiments.accelerator.part_results import PartResults
from experiments.paper.scale import NOISE

_SELF = ("cifar100-resnet56-self",)
# One seed, whose models can be compared within it; no snapshots, which would be most of the time and of the disk.
_COMMON = ("--seeds", "1", "--snapshots", "--keep-checkpoints", "1")
STUDIES = {
    "self": _SELF,
    "noise": (*_SELF, "--label-noise", str(NOISE)),
    "resnet20": (*_SELF, "--student.depth", "20"),
    "mobilenet": (*_SELF, "--student.name", "mobilenet-v2"),
}
REHEARSED = {"self": ("digits", "--epochs", "20"), "noise": ("digits", "--epochs", "50000", "--label-noise", "0.3")}
_LEAST = 20.0  # seconds in which a study gets nowhere


def go_on(
    kept: PartResults,
    out: Path,
    work: Path,
    data_dir: Path | None,
    rehearsal: bool,
    until: float,
    say: Callable[[str], None],
) -> None:
    """Trains the studies in turn until the monotonic time `until`, and packs them into `out`.

    Args:
      kept: the part's file.
      out: where parcels are.
      work: folder on this machine's disk for the studies.
      data_dir: of CIFAR-100.
      rehearsal: small studies of the embedded digits instead.
      until: when to stop.
      say: called with lines for a person.

    Raises:
      InputError: the parcels are not whole.
    """
    if unpacked := parcel.unpack(out, work):
        say(f"going on with {', '.join(unpacked)}")
    began: list[Path] = []
    try:
        for name in REHEARSED if rehearsal else STUDIES:
            if until - time.monotonic() < _LEAST:
                break
            folder = work / name
            began.append(folder)
            command = words(name, folder, data_dir, rehearsal)
            result = {"command": " ".join(["python -m distill_jax", *command])}
            started = time.monotonic()
            status = child.run("distill_jax", command, until)
            result |= {"seconds": time.monotonic() - started, "status": status}
            kept.write(name, result | state(folder))
            say(line(name, kept.pieces[name]))
            if status != 0:
                break
    finally:
        if began:
            packed, left_out = parcel.pack(began, out)
            say(f"packed: {', '.join(packed)}" + (f"; no room for {', '.join(left_out)}" if left_out else ""))


def words(name: str, folder: Path, data_dir: Path | None, rehearsal: bool) -> list[str]:
    """A study's arguments of `distill_jax`; the embedded digits of a rehearsal lie in no folder."""
    where = () if rehearsal or data_dir is None else ("--data-dir", str(data_dir))
    return [*(REHEARSED if rehearsal else STUDIES)[name], *_COMMON, *where, "--workdir", str(folder)]


def state(folder: Path) -> dict[str, Any]:
    """How far a study is: the step that each population has a checkpoint of, speeds, and in the end its summary."""
    populations = {}
    for members_file in sorted(folder.glob("runs/*/members.json")):
        steps = [int(path.name) for path in members_file.parent.glob("checkpoints/[0-9]*") if path.name.isdigit()]
        done = members_file.with_name("done.json")
        facts = json.loads(done.read_text()) if done.exists() else {}
        populations[members_file.parent.name] = {"step": max(steps, default=0), **facts}
    result: dict[str, Any] = {"populations": populations}
    summary = folder / "summary.json"
    if summary.exists():
        result["summary"] = json.loads(summary.read_text())
    return result


def line(name: str, result: dict[str, Any]) -> str:
    """A study in a line."""
    outcome = {0: "finished", None: "stopped, to be gone on with"}.get(
        result["status"], f"ended with {result['status']}"
    )
    steps = ", ".join(f"{population} step {progress['step']}" for population, progress in result["populations"].items())
    return f"{name}: {outcome} after {result['seconds']:.0f} s ({steps or 'nothing saved'})"
