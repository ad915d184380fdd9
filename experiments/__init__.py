"""Experiments, benchmarks and tables, each a command: `python -m experiments.NAME`."""

import sys

if sys.argv[:1] == ["-m"]:  # a command, of which this is the first module
    from distill_jax.command import beginning

    beginning.begin()
