"""What a device spends its time on, by the instructions of the compiled program."""

import collections
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import jax


def seconds_by_instruction(run: Callable[[], None]) -> dict[str, float]:
    """Seconds of each of a program's instructions while `run` works, all devices and threads together.

    A loop's are those of what is in it, and its own once more.
    """
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = options.host_tracer_level = 0
    if jax.default_backend() == "cpu":
        options.host_tracer_level = 2  # there the host is the device
    found: dict[str, float] = collections.defaultdict(float)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, profiler_options=options):
            run()
        for path in Path(folder).rglob("*.xplane.pb"):
            with warnings.catch_warnings():  # of the way in which its types are made, from Python 3.12 on
                warnings.filterwarnings("ignore", "builtin type", DeprecationWarning)
                for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
                    for line in plane.lines:
                        for event in line.events:
                            name = dict(event.stats).get("hlo_op")
                            if name is not None:
                                found[str(name)] += event.duration_ns / 1e9
    return dict(found)
