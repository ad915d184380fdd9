"""The first minutes on an accelerator that nobody has seen, in the order of what they are worth.

    python -m experiments.accelerator --minutes M --data-dir D --out DIR [--rehearse]

Does it compute the same as a CPU; is a killed and resumed run the same to the bit; is it as fast as the compiler says,
and as PyTorch; and with the minutes that are left, the paper's own studies on CIFAR-100. Every part has a bound on its
time, and writes what it finds at once. This process itself uses no device.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distill_jax.command import command_line
from distill_jax.errors import InputError, RunError
from experiments.accelerator.part_results import BEGUN, PartResults
from experiments.accelerator.parts import PARTS, Options, Part, say

PROG = "python -m experiments.accelerator"
# By which share of the minutes each part must have ended; what one leaves is the next one's.
_ENDS: dict[Part, float] = {"same": 0.35, "resumed": 0.5, "speed": 0.7, "studies": 1.0}
_REHEARSED: dict[Part, float] = {"same": 0.4, "resumed": 0.7, "speed": 0.85, "studies": 1.0}
_TO_PACK = 20.0  # seconds at the end for what the studies' last checkpoints and parcels take


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = command_line.parse(Options(), PROG, arguments, flags=True)
    command = f"{PROG} {' '.join(arguments)}".strip()
    if options.reference is not None:
        command_line.check_writable("--reference", options.reference, ".json")
        _write_reference(options.reference, command)
        return
    _check(options)
    command_line.stop_when_terminated()
    ends = _deadlines(options)
    for name, carry_out in PARTS.items():
        if name in options.parts:
            PartResults(options.out / f"{name}.json").forget()
            say(f"{name}, until {(ends[name] - ends['begin']) / 60:.1f} min")
            carry_out(options, command, ends[name])
    _report(options)


def _check(options: Options) -> None:
    """Checks what can be checked before anything starts.

    Raises:
      InputError: a value that cannot be right.
    """
    if not 0 < options.minutes <= 24 * 60:
        raise InputError("--minutes", f"{options.minutes:g}", "must be more than 0 and at most a day")
    if options.out is None:
        raise InputError("--out", None, "must name a folder for the results")
    for option, folder in (("--work-dir", options.work_dir), ("--data-dir", options.data_dir)):
        if folder is not None and not folder.is_dir():
            raise InputError(option, folder, "must be a folder that is there")
    if "studies" in options.parts and not options.rehearse and options.data_dir is None:
        raise InputError("--data-dir", None, "must name the folder of CIFAR-100, or --parts leave out studies")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=options.out).close()
    except OSError as error:
        raise InputError("--out", options.out, "must be a folder that can be written to") from error


def _deadlines(options: Options) -> dict[str, float]:
    """The monotonic times at which parts must have ended."""
    begin, seconds = time.monotonic(), 60 * options.minutes - _TO_PACK
    ends = _REHEARSED if options.rehearse else _ENDS
    last = max(ends[part] for part in options.parts)
    return {"begin": begin} | {part: begin + seconds * end / last for part, end in ends.items()}


def _write_reference(path: Path, command: str) -> None:
    import jax

    jax.config.update("jax_platforms", "cpu")

    from distill_jax.machine.environment import environment
    from experiments.accelerator.losses import write_reference

    write_reference(path, environment(command), say)


def _report(options: Options) -> None:
    """Says of every part what is there.

    Raises:
      RunError: something is not as it should be.
    """
    wrong: list[str] = []
    for name in options.parts:
        pieces: dict[str, Any] = PartResults(options.out / f"{name}.json").pieces
        ended = [piece for piece, result in pieces.items() if result == BEGUN]
        failed = [piece for piece, result in pieces.items() if result.get("passed") is False or result.get("status")]
        if len(ended) == len(pieces):
            failed.append("nothing was found out")
        wrong += failed
        text = f"{name}: {len(pieces) - len(ended)} reported"
        for label, names in (("ended before they were", ended), ("NOT AS THEY SHOULD BE", failed)):
            text += f", {label}: {', '.join(names)}" if names else ""
        say(text)
    if wrong:
        raise RunError(f"{len(wrong)} of these are not as they should be; the files under --out say how far")


if __name__ == "__main__":
    command_line.run(main)
