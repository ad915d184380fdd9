"""The main job, `python -m distill_jax` or `distill-jax`: see `command.main`."""

from distill_jax.command import beginning


def run() -> None:
    """Runs the command and exits."""
    beginning.begin()
    from distill_jax.command import command_line
    from distill_jax.command.main import main

    command_line.run(main)


if __name__ == "__main__":
    run()
