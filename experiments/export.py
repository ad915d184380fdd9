"""A study's trained RoBERTa as a Hugging Face folder, as `distill-jax export --format huggingface` writes it.

python -m experiments.export WORKDIR --model kd --seed 0 --to DIR
"""

from collections.abc import Sequence

from distill_jax.command import command_line, export

PROG = "python -m experiments.export"


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    export.main(arguments, export.Setting(format="huggingface"), PROG)


if __name__ == "__main__":
    command_line.run(main)
