"""The main job as a command, `python -m undrawn`, whose report is empty: drawing takes half of a small study's time."""

from collections.abc import Callable
from typing import Any

from distill_jax.__main__ import main
from distill_jax.command import beginning


def leave_out_figures(put: Callable[[Any, str, Any], None] = setattr) -> None:
    """Makes reports of this process empty and without figures and an explorer."""
    from distill_jax.report import study_report

    put(study_report, "draw", lambda read, summary: {})
    put(study_report.explorer, "explorer", lambda read, summary, examples, folder: "")
    put(study_report, "render", lambda summary, images, explorer: "")


if __name__ == "__main__":
    beginning.begin()
    from distill_jax.command import command_line

    leave_out_figures()
    command_line.run(main)
