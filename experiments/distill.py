"""The main job, as `python -m distill_jax` runs it, beside the other commands of this folder."""

from distill_jax.command import command_line
from distill_jax.command.main import main

if __name__ == "__main__":
    command_line.run(main)
