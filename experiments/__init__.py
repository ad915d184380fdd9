"""Scripts that run studies: `python -m experiments.distill` is the main job."""

import os
import sys

if sys.argv[:1] == ["-m"]:  # a command, of which this is the first module
    from experiments import jax_variables
    from experiments.streams import quiet_when_interrupted

    quiet_when_interrupted()
    jax_variables.drop()
    os.environ["MPLBACKEND"] = "agg"  # a notebook's may be one that is not installed here
