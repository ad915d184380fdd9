"""Time of a device by the instructions of the compiled program."""

import collections
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax


def seconds_by_instruction(run: Callable[[], None]) -> dict[str, float]:
    """Seconds of each of a program's instructions while `run` works, all devices and threads together.

    A loop's are those of what is in it, and its own once more.
    """
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = options.host_tracer_level = 0
    if jax.default_backend() == "cpu":
        options.host_tracer_level = 2  # there the host is the device
    seconds: dict[str, float] = collections.defaultdict(float)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, profiler_options=options):
            run()
        for path in Path(folder).rglob("*.xplane.pb"):
            with warnings.catch_warnings():  # of the way in which its types are made, from Python 3.12 on
                warnings.filterwarnings("ignore", "builtin type", DeprecationWarning)
                for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
                    for line in plane.lines:
                        for event in line.events:
                            if (name := _instruction(plane.name, line.name, event)) is not None:
                                seconds[name] += event.duration_ns / 1e9
    return dict(seconds)


def _instruction(plane: str, line: str, event: Any) -> str | None:
    """The instruction that an event is of, or what else a device's event is called; None of what is none of these."""
    name = dict(event.stats).get("hlo_op")
    if not plane.startswith("/device:"):
        return None if name is None else str(name)
    # A GPU's streams, and of the lines of a TPU that with each operation, of which others are sums.
    if line.startswith("Stream") or line == "XLA Ops":
        return str(name or event.name).split(" = ")[0].lstrip("%")
    return None
