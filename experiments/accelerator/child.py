"""Commands of this project as processes with a bound on their time. Nothing here uses a device itself."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

_TO_STOP = 60.0  # seconds for a training that was asked to stop to write its checkpoint


@contextlib.contextmanager
def started(module: str, arguments: Sequence[str], quiet: bool = False) -> Iterator[subprocess.Popen]:
    """`python -m module arguments`, which does not outlive the block."""
    output = subprocess.DEVNULL if quiet else None
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=output, stderr=output)
    try:
        yield process
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            if process.poll() is None:
                process.terminate()
                process.wait(_TO_STOP)
        if process.poll() is None:
            process.kill()
            process.wait()


def run(module: str, arguments: Sequence[str], until: float, quiet: bool = False) -> int | None:
    """The command's exit status; None where it was asked to stop, at the monotonic time `until`."""
    with started(module, arguments, quiet) as process:
        try:
            return process.wait(max(until - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            return None


def killed(module: str, arguments: Sequence[str], until: float, when: Callable[[], bool]) -> bool:
    """Runs the command and kills it, without a warning, as soon as `when` holds; whether it was still at work then."""
    with started(module, arguments, quiet=True) as process:
        while time.monotonic() < until and process.poll() is None:
            if when():
                process.kill()
                return process.wait() == -signal.SIGKILL
            time.sleep(0.01)
    return False
