"""A study's examples with all that is measured of them, for the tools in which one looks at examples.

distill-jax points STUDY --to FILE [--format parquet | cartography | cleanlab] [--student kd] [--seed 0] [--split train]
"""

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from distill_jax.bucket.at_hand import brought
from distill_jax.command import command_line
from distill_jax.command.spelling import by_option
from distill_jax.errors import InputError
from distill_jax.extras import needed
from distill_jax.setting import READ

if TYPE_CHECKING:
    from distill_jax.points.chosen import Chosen

PROG = "distill-jax points"
_SPELT = {name: f"--{name}" for name in ("student", "seed", "split", "step", "images", "format")}
_SPELT |= {"workdir": "STUDY", "run.workdir": "--workdir"}
_SUFFIXES = {"parquet": ".parquet", "cleanlab": ".npz"}  # of the formats that are files


@dataclasses.dataclass(frozen=True)
class Setting:
    """Writes a finished study's examples as a file that Embedding Atlas, Spotlight, pandas, DuckDB or cleanlab read
    (docs/points.md says how)."""

    workdir: tyro.conf.Positional[Path | None] = dataclasses.field(default=None, metadata=READ)
    """The --workdir of a study, which may be in a bucket."""
    to: Path | None = None
    """File to write, which must not be there: .parquet, or .npz for cleanlab; for cartography a folder."""
    format: Literal["parquet", "cartography", "cleanlab"] = "parquet"
    """parquet: a row for each example, split, seed and student; cartography: training_dynamics of one model and seed;
    cleanlab: pred_probs and labels of one model and seed."""
    student: tuple[str, ...] = ()
    """kd, one_hot or others by the names of their dumps [default: all; of the other formats one, or teacher]."""
    seed: tuple[int, ...] = ()
    """Numbers of repetitions [default: all; of the other formats one]."""
    split: Literal["train", "test"] | None = None
    """train or test [default: both; of the other formats train]"""
    step: Literal["last", "all"] = "last"
    """last: dumps of the end of training; all: those before too, as rows of their own."""
    images: bool = True
    """The pictures or texts themselves, from the study's data."""


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    setting = command_line.parse(Setting(), PROG, arguments)
    if setting.workdir is None:
        raise InputError("STUDY", None, f"must be given, the --workdir of a study (all options: {PROG} --help)")
    command_line.refuse_idle(_idle(setting), arguments)
    to = _checked(setting.to, setting.format)
    try:
        said = _WRITERS[setting.format](setting, brought("workdir", setting.workdir), to)
    except InputError as error:
        raise by_option(error, _SPELT) from error
    command_line.console().print(f"{said}: {to}", soft_wrap=True)


def _idle(setting: Setting) -> Iterator[tuple[str, str]]:
    if setting.format != "parquet":
        yield "--images", f"--format {setting.format} has none"
        steps = "every dump" if setting.format == "cartography" else "the last dump"
        yield "--step", f"--format {setting.format} is of {steps}"


def _checked(to: Path | None, form: str) -> Path:
    suffix = _SUFFIXES.get(form)
    if to is None:
        raise InputError("--to", None, f"must be given, a {f'file that ends in {suffix}' if suffix else 'new folder'}")
    if suffix is not None and to.suffix != suffix:
        raise InputError("--to", to, f"must end in {suffix} for --format {form}")
    if suffix is None and to.suffix in (*_SUFFIXES.values(), ".json", ".jsonl"):
        raise InputError("--to", to, f"must be a new folder for --format {form}")
    if os.path.lexists(to):  # a link to nothing too
        raise InputError("--to", to, "is there already; must be new")
    command_line.check_writable("--to", to, suffix)
    return to


def _write_parquet(setting: Setting, workdir: Path, to: Path) -> str:
    needed("pyarrow.parquet", "points", "format", "parquet")
    from distill_jax.points import parquet
    from distill_jax.points.chosen import choose
    from distill_jax.points.shown import shown

    splits = () if setting.split is None else (setting.split,)
    chosen = choose(workdir, setting.student, setting.seed, splits, every_step=setting.step == "all")
    count = parquet.write(chosen, to, shown(chosen) if setting.images else None)
    return f"{count:,} rows of {', '.join(chosen.students)}, {_seeds(chosen.seeds)}, {' and '.join(chosen.splits)}"


def _write_cartography(setting: Setting, workdir: Path, to: Path) -> str:
    from distill_jax.points import training_dynamics
    from distill_jax.points.chosen import choose_one

    chosen = choose_one(workdir, setting.student, setting.seed, setting.split or "train", every_step=True)
    return f"{training_dynamics.write(chosen, to)} dumps of {_one(chosen)}"


def _write_cleanlab(setting: Setting, workdir: Path, to: Path) -> str:
    from distill_jax.points import pred_probs
    from distill_jax.points.chosen import choose_one

    chosen = choose_one(workdir, setting.student, setting.seed, setting.split or "train")
    return f"{pred_probs.write(chosen, to):,} examples of {_one(chosen)}"


_WRITERS: dict[str, Callable[[Setting, Path, Path], str]] = {
    "parquet": _write_parquet,
    "cartography": _write_cartography,
    "cleanlab": _write_cleanlab,
}


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds"


def _one(chosen: "Chosen") -> str:
    return f"{chosen.students[0]}, seed {chosen.seeds[0]}, {chosen.splits[0]}"
