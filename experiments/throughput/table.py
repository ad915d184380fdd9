"""Results as tables: a line on the console for each row, and the README's table from committed files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from experiments.throughput import results


def line(row: dict[str, Any]) -> str:
    """One measured row in one line."""
    parts = [f"{row['examples_per_s']:,.0f} examples/s"]
    if row["roofline_fraction"] is not None:
        parts.append(f"{row['roofline_fraction']:.0%} of the roofline")
    if "megabytes_per_s" in row:
        parts.append(f"{row['megabytes_per_s']:,.0f} MB/s")
    parts += [f"{peer['ratio']:.2f} x {name}" for name, peer in row["peers"].items()]
    return f"{row['row']}: {', '.join(parts)}"


def console_table(rows: Sequence[dict[str, Any]]) -> Table:
    """All measured rows."""
    table = Table(box=None, pad_edge=False)
    table.add_column("row")
    for name in (
        "examples/s",
        "lowest",
        "highest",
        "ms a step",
        "compiled in, s",
        "of roofline",
        "ours / peer",
        "peer",
    ):
        table.add_column(name, justify="left" if name == "peer" else "right")
    for row in rows:
        fraction, ratio, seconds = row["roofline_fraction"], row["ratio"], row.get("seconds_a_step")
        table.add_row(
            row["row"],
            *(f"{row[key]:,.0f}" for key in ("examples_per_s", "examples_per_s_low", "examples_per_s_high")),
            "" if seconds is None else f"{1000 * seconds:,.3g}",
            f"{row['compile_seconds']:.1f}",
            "" if fraction is None else f"{fraction:.0%}",
            "" if ratio is None else f"{ratio:.2f}",
            row["peer"] or "",
        )
    return table


def markdown(paths: Sequence[Path]) -> str:
    """The README's table of files of results, in Markdown.

    Of each network and kind of step it has a line: one model alone, and the population with the most examples/s over
    all members. On a CPU it is that of float32 and the smallest batch, elsewhere of bfloat16 and the largest. The
    files have the other rows.

    Raises:
      InputError: a file is not one of results.
    """
    lines = [
        "| device | network, step | alone: examples/s | of roofline | x PyTorch | best population: examples/s | "
        "of roofline | x PyTorch |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for path in sorted(paths):
        rows = [row for row in results.read(path, "--table") if row["examples_per_s"] is not None]
        for network, kind in dict.fromkeys((row["network"], row["kind"]) for row in rows):
            lines += _line([row for row in rows if (row["network"], row["kind"]) == (network, kind)])
    return "\n".join(lines) + "\n" if len(lines) > 2 else "No results are committed yet.\n"


def _line(rows: Sequence[dict[str, Any]]) -> list[str]:
    on_cpu = rows[0]["environment"]["backend"] == "cpu"
    dtype_rows = [row for row in rows if row["dtype"] == ("float32" if on_cpu else "bfloat16")] or rows
    batch = (min if on_cpu else max)(row["batch"] for row in dtype_rows)
    shown = [row for row in dtype_rows if row["batch"] == batch]
    single = next((row for row in shown if row["population"] == 1), None)
    best = max(shown, key=lambda row: row["examples_per_s"])
    head = f"{best['network']}, {best['kind']}, {best['dtype']}, batch {batch:,}"
    if best["kind"] == "dump":
        head = f"dump of {batch:,} x {best['network']}'s logits (MB/s; x `np.save`)"
    many = ["-"] * 3 if best is single else [f"{_speed(best)} (P = {best['population']})", *_shares(best)]
    cells = [best["device"], head, *(["-"] * 3 if single is None else [_speed(single), *_shares(single)]), *many]
    return [f"| {' | '.join(cells)} |"]


def _speed(row: dict[str, Any]) -> str:
    return f"{row.get('megabytes_per_s', row['examples_per_s']):,.0f}"


def _shares(row: dict[str, Any]) -> list[str]:
    fraction, ratio = row["roofline_fraction"], row["ratio"]
    peer = "" if row["peer"] is None else f" ({row['peer'].removeprefix('pytorch ')})"
    return ["-" if fraction is None else f"{fraction:.0%}", "-" if ratio is None else f"{ratio:.2f}{peer}"]
