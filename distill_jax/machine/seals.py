"""Which checkpoints are complete: those with a seal, a small file beside them. It knows names alone, and no Orbax."""

from pathlib import Path


def seals_of(checkpoints: Path) -> Path:
    """Where the seals of a folder of checkpoints are, each as STEP.json."""
    return checkpoints.with_name("seals")


def complete_steps(checkpoints: Path) -> list[int]:
    """Steps of which a folder has a complete checkpoint, ascending.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoints = Path(folder) / "checkpoints"
    ...     (checkpoints / "600").mkdir(parents=True)
    ...     of_old_training = complete_steps(checkpoints)  # which has no folder for seals
    ...     seals_of(checkpoints).mkdir()
    ...     of_old_training, complete_steps(checkpoints)
    ([600], [])
    """
    steps = sorted(int(path.name) for path in checkpoints.glob("[0-9]*") if path.name.isdigit())
    seals = seals_of(checkpoints)
    return [step for step in steps if (seals / f"{step}.json").exists()] if seals.is_dir() else steps
