"""Predictions as lines, as a table on the console, and as the one of a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from experiments.compiled import results


def line(row: dict[str, Any]) -> str:
    """One program in one line."""
    head = f"{row['chip']} {row['row']}: "
    if not row["fits"]:
        memory = "" if row["memory_gib"] is None else f": needs {row['memory_gib']:.1f} GiB"
        return f"{head}does not fit{memory}"
    count = f"{row['cycles']:,.0f} cycles" if "cycles" in row else f"{row['kernels']:.0f} kernels"
    dearest = ", ".join(f"{part['what']} {part['share']:.0%}" for part in row["top"][:3])
    outside = f"{row['outside_loop_share']:.1%} outside the loop"
    step = f"{1000 * row['step_seconds_predicted']:.3g} ms a step"
    calls = "".join(
        f", {call['times']} x {call['what']} {1000 * call['seconds']:.3g} ms" for call in row.get("calls", [])
    )
    loops = row.get("loops_of_unknown_length", 0)
    once = f"; {loops} loops of unknown length, counted as if run once" if loops else ""
    return f"{head}{step}{calls}, {count}, {outside}, {row['memory_gib']:.2f} GiB; {dearest}{once}"


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """All programs."""
    result = Table(box=None, pad_edge=False)
    result.add_column("chip")
    result.add_column("program")
    names = (
        "compiled in, s",
        "GiB",
        "ms a step",
        "examples/s",
        "cycles | kernels",
        "outside",
        "of peak",
        "of roofline",
    )
    for name in names:
        result.add_column(name, justify="right")
    result.add_column("bound by")
    result.add_column("collectives a step")
    for row in rows:
        if not row["fits"]:
            memory = "?" if row["memory_gib"] is None else f"{row['memory_gib']:.1f}"
            result.add_row(row["chip"], row["row"], "", memory, *[""] * 6, "does not fit", "")
            continue
        collectives = ", ".join(
            f"{totals['count']:.0f} {kind} ({totals['bytes'] / 1e6:.2g} MB)"
            for kind, totals in row["collectives"].items()
        )
        result.add_row(
            row["chip"],
            row["row"],
            # Not kept of a compiler that was halted, or beside which others were at work.
            "-" if row["compile_seconds"] is None else f"{row['compile_seconds']:.0f}",
            f"{row['memory_gib']:.2f}",
            f"{1000 * row['step_seconds_predicted']:.3g}",
            f"{row['examples_per_second_predicted']:,.0f}",
            f"{row['cycles']:,.0f}" if "cycles" in row else f"{row['kernels']:.0f}",
            *(f"{row[name]:.1%}" for name in ("outside_loop_share", "share_of_peak", "share_of_roofline")),
            f"{row['bound_by']} ({row['bounds'][row['bound_by']]:.0%})",
            collectives,
        )
    return result


def markdown(paths: Sequence[Path]) -> str:
    """A page's table of a file of predictions; of two, the second beside what it was in the first.

    Raises:
      InputError: a file is not one of predictions.
    """
    *before, after = ({(row["chip"], row["row"]): row for row in results.read(path, "predictions")} for path in paths)
    lines = [
        "| chip | program | ms a step | examples/s | TPU: million cycles, GPU: kernels | outside the loop | GiB | "
        "of peak | bound by |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for key, row in after.items():
        entries = [rows_by_key[key] for rows_by_key in before if key in rows_by_key] + [row]
        if not row["fits"]:
            lines.append(f"| {key[0]} | {key[1]} | does not fit | | | | {row['memory_gib'] or '?'} | | |")
            continue
        cells = [
            " → ".join(format_cell(entry) if entry["fits"] else "does not fit" for entry in entries)
            for format_cell in (
                lambda entry: f"{1000 * entry['step_seconds_predicted']:.3g}",
                lambda entry: f"{entry['examples_per_second_predicted']:,.0f}",
                lambda entry: f"{entry['cycles'] / 1e6:.3f}" if "cycles" in entry else f"{entry['kernels']:,.0f}",
                lambda entry: f"{entry['outside_loop_share']:.1%}",
                lambda entry: f"{entry['memory_gib']:.2f}",
                lambda entry: f"{entry['share_of_peak']:.1%}",
            )
        ]
        lines.append(f"| {' | '.join([*key, *cells, row['bound_by']])} |")
    return "\n".join(lines) + "\n"
