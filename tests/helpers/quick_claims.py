"""The main job, its report `undrawn`, with claims that a killed holder loses after $LEASE seconds and not a minute."""

import os

from undrawn import leave_out_figures

from distill_jax.__main__ import main
from distill_jax.command import beginning

if __name__ == "__main__":
    beginning.begin()
    from distill_jax.bucket.claim import Claim
    from distill_jax.command import command_line

    leave_out_figures()
    Claim.take.__func__.__defaults__ = (None, float(os.environ["LEASE"]))
    command_line.run(main)
