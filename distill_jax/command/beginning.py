"""The beginning of every command, before anything large is imported."""

import os

from distill_jax.command import jax_variables
from distill_jax.command.streams import quiet_when_interrupted


def begin() -> None:
    """Makes Ctrl-C end it without a traceback, and its numbers depend on no variable of the shell."""
    quiet_when_interrupted()
    jax_variables.drop()
    os.environ["MPLBACKEND"] = "agg"  # a notebook's may be one that is not installed here
