"""The main job, or another command, as a user runs it: a process of its own, on a small data set of the user's own."""

import contextlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from small_study import dataset
from undrawn import leave_out_figures
from xla_flags import xla_flags

from distill_jax.command.main import main
from distill_jax.command.spelling import spelt
from distill_jax.errors import InputError

ROOT = Path(__file__).parents[2]
ANY_NETWORK = [
    *("--optimizer", "sgd", "--learning-rate", "0.1", "--weight-decay", "1e-4"),
    *("--label-noise", "0.1", "--augment", "crop-flip"),
    *("--epochs", "6", "--batch-size", "8", "--warmup-epochs", "1", "--snapshots", "0.5"),
    *("--seeds", "2", "--population", "4", "--steps-per-dispatch", "6"),
]
SMALL = ["--teacher.hidden", "16", "--student.hidden", "16", *ANY_NETWORK]
NOWHERE = ["--workdir", "/dev/null/work"]  # of a process that can have no work folder
EVERY_CALL = ["--checkpoint-seconds", "0"]  # a checkpoint after each call of the program, as for a kill


def write_npz(path: Path, train: int = 100) -> Path:
    """A file as a user would bring it: x_train, y_train, x_test, y_test; so many for training."""
    data = dataset(train)
    arrays = {
        f"{k}_{s}": getattr(getattr(data, s), f) for s in ("train", "test") for k, f in (("x", "x"), ("y", "label"))
    }
    np.savez(path, **arrays)
    return path


def start_python(arguments: list[str], devices: int = 4, prefix: tuple[str, ...] = ()) -> subprocess.Popen:
    """Starts Python with these arguments and so many virtual devices."""
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": xla_flags(devices),
        "PYTHONWARNINGS": "default",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    command = [*prefix, sys.executable, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)


def start(
    arguments: list[str], devices: int = 4, prefix: tuple[str, ...] = (), module: str = "undrawn"
) -> subprocess.Popen:
    """Starts the main job, its report `undrawn`, or another module, with so many virtual devices."""
    return start_python(["-m", module, *arguments], devices, prefix)


def run(
    arguments: list[str],
    devices: int = 4,
    status: int = 0,
    prefix: tuple[str, ...] = (),
    module: str = "undrawn",
) -> str:
    """Runs the command to its end; gives what it said on standard error, which is all it said where it failed."""
    process = start(arguments, devices, prefix, module)
    out, err = process.communicate(timeout=300)
    assert process.returncode == status, f"status {process.returncode}\n{out}\n{err}"
    return err


@contextlib.contextmanager
def undrawn() -> Iterator[None]:
    """Within it reports of this process are empty and have no figures: drawing is half of a small study's time."""
    with pytest.MonkeyPatch.context() as patched:
        leave_out_figures(patched.setattr)
        yield


def here(arguments: Sequence, drawn: bool = False) -> str:
    """Runs the main job in this process, which has imported all it needs; gives what it printed.

    Args:
      arguments: of the command.
      drawn: whether the report is drawn.
    """
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.nullcontext() if drawn else undrawn():
        main(list(map(str, arguments)))
    return out.getvalue()


def kill_when_there(arguments: list[str], workdir: Path, pattern: str) -> None:
    """Runs the command until something in `workdir` fits the pattern, and kills it."""
    process = start(arguments)
    while process.poll() is None and not list(workdir.glob(pattern)):
        time.sleep(0.01)
    process.kill()
    process.communicate()


def results(workdir: Path) -> dict[str, bytes]:
    """All that a study has computed: every file of every dump, and the summary but for timing and environment."""
    found = {str(p.relative_to(workdir)): p.read_bytes() for p in (workdir / "dumps").rglob("*") if p.is_file()}
    summary = json.loads((workdir / "summary.json").read_text())
    del summary["timing"], summary["environment"]
    return found | {"summary": json.dumps(summary, sort_keys=True).encode()}


def own_lines(said: str) -> list[str]:
    """The lines of a text but for what XLA logs, such as 'W0102 03:04:05.6 ...', with its stack frames."""
    found = [line for line in said.splitlines() if not line.startswith("[")]
    return [line for line in found if not re.match(r"[IWEF]\d{4} |\s|Additional GRPC|RPC: ", line)]


def stopping_at_the_second(measure):
    """A function in place of another, that stops the command when it is called for the second time; and its calls."""
    calls = []

    def measured(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measure(*arguments)

    return measured, calls


def refused(main, arguments, parts, folder):
    """Checks that a command's `main` refuses arguments in one line that has these parts, and leaves a folder empty."""
    with pytest.raises(InputError) as caught:
        main(arguments)
    message = spelt(caught.value)
    assert len(message.splitlines()) == 1
    for part in parts:
        assert part in message
    assert not list(folder.iterdir())


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start_joined(
    arguments: Sequence, own: Sequence[Sequence], devices: int = 2, module: str = "undrawn"
) -> list[subprocess.Popen]:
    """Processes with so many devices each, joined on this machine, and each with arguments of its own besides."""
    joined = ["--distributed", "True", "--coordinator", f"127.0.0.1:{free_port()}", "--processes", str(len(own))]
    words = [[*arguments, *joined, "--process-id", str(i), *more] for i, more in enumerate(own)]
    return [start(of_one, devices, module=module) for of_one in words]


def start_two(arguments: Sequence, of_second: Sequence = ()) -> list[subprocess.Popen]:
    """Two of them with two devices each, the second with more arguments."""
    return start_joined(arguments, ((), of_second))


def end(processes: list[subprocess.Popen]) -> tuple[list[int], list[tuple[str, str]]]:
    """Statuses, and outputs with errors, of processes that end by themselves."""
    said = [p.communicate(timeout=240) for p in processes]
    return [p.returncode for p in processes], said
