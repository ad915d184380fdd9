"""The main job as a command, `python -m undrawn`, whose report is empty: drawing takes half of a small study's time."""

from distill_jax.__main__ import main
from distill_jax.command import beginning

if __name__ == "__main__":
    beginning.begin()
    from distill_jax.command import command_line
    from distill_jax.report import study_report

    study_report.draw = lambda read, summary: {}
    study_report.render = lambda summary, images: ""
    command_line.run(main)
