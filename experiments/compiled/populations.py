"""What a step costs of each of some models in one program, beside a model alone: whether populations pay on a chip."""

from pathlib import Path
from typing import Any

from experiments.compiled import results
from experiments.markdown_table import markdown_table


def lines(path: Path) -> str:
    """A table in Markdown of a file of predictions: programs of one model, and by members what each takes of that.

    It is the time for an example that is compared: a call that evaluates takes fewer examples of each of more members.

    Raises:
      InputError: the file is not one of predictions.
    """
    by_program: dict[tuple[str, str], dict[int, Any]] = {}
    for row in results.read(path, "predictions"):
        program, _, members = row["row"].rpartition("/p")
        if row["fits"] and members.isdecimal():  # no program of batches in shards
            by_program.setdefault((row["chip"], program), {})[int(members)] = row
    compared = {key: by_size for key, by_size in by_program.items() if by_size.keys() > {1}}
    sizes = sorted({size for by_size in compared.values() for size in by_size} - {1})
    rows = []
    for key, by_size in compared.items():
        speeds = {size: row["examples_per_second_predicted"] for size, row in by_size.items()}  # of all members
        shares = [f"{speeds[1] / speeds[size]:.2f}" if size in speeds else "" for size in sizes]
        rows.append([*key, f"{1000 * by_size[1]['step_seconds_predicted']:.3g}", *shares])
    return markdown_table(["chip", "program", "alone, ms a step", *(f"{size} members" for size in sizes)], rows)
