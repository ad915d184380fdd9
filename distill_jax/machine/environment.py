"""The environment of a result: hardware, versions, command and commit."""

import functools
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

import compiler_faults
from distill_jax.machine import backend
from distill_jax.paths import from_home


def environment(command: str) -> dict[str, Any]:
    """The command, commit, versions and hardware with which a result can be made again, as JSON values.

    Args:
      command: the exact command line, kept with `~` for the user's home.
    """
    devices = jax.devices()
    on_cpu = jax.default_backend() == "cpu"
    return {
        "command": from_home(command),
        "commit": commit(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("jax", "jaxlib", "flax", "optax", "numpy")},
        "backend": jax.default_backend(),
        "device": cpu() if on_cpu else devices[0].device_kind,
        "devices": len(devices),
        "processes": jax.process_count(),
        "cpu_cores": backend.cores(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "compiler_fault": compiler_faults.warning(),
        **({} if on_cpu else {"driver": driver(devices[0].client.platform_version)}),
    }


def driver(runtime: str) -> str:
    """The software that drives an accelerator: its runtime, in one line, and of an NVIDIA GPU the driver's version."""
    parts = [" ".join(runtime.split())]
    try:
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        completed = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30)
        parts.append(f"driver {completed.stdout.split()[0]}")
    except (OSError, subprocess.SubprocessError, IndexError):
        pass  # no GPU of NVIDIA's
    return ", ".join(parts)


def cpu() -> str:
    """What this machine's processor is called."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@functools.cache
def commit() -> str | None:
    """The commit this code is at, with '+' where files differ from it; None outside a git checkout."""

    def git(*arguments: str) -> str:
        folder = Path(__file__).resolve().parent
        completed = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
        return completed.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
