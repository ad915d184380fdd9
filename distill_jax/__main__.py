"""The main job, `python -m distill_jax` or `distill-jax`: see `command.main`."""

from collections.abc import Sequence

from distill_jax.command import beginning


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    from distill_jax.command import main as of_command  # only now: a command's beginning comes before what is large

    of_command.main(arguments)


def run() -> None:
    """Runs the command and exits."""
    beginning.begin()
    from distill_jax.command import command_line

    command_line.run(main)


if __name__ == "__main__":
    run()
