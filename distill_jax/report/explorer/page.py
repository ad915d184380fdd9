"""The explorer as a fragment of a report, with its data in it, or as a page of its own with its data beside it."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np

from distill_jax import class_names
from distill_jax.dumps import DumpReader
from distill_jax.files import write_result
from distill_jax.measures import comparisons
from distill_jax.measures.study_summary import SPLITS, StudySummary
from distill_jax.report.explorer import collecting, thumbnails
from distill_jax.report.explorer.parts import LEVELS, MISSING
from distill_jax.report.explorer.shown import GALLERY, Shown, everything, part
from distill_jax.report.plots.style import SPLITS as TITLES
from distill_jax.students import CONTROL, KD, KINDS, TEACHER

if TYPE_CHECKING:
    from distill_jax.data.examples import Examples

FOLDER = "explorer"  # in a study's folder
_PER_FILE = 2048  # pictures or texts


def explorer(
    read: DumpReader, summary: StudySummary, examples: Mapping[str, Examples] | None = None, folder: bool = False
) -> str:
    """An explorer of the examples that a report has room for, as HTML for the middle of a page.

    Args:
      read: of the study's dumps.
      summary: of it.
      examples: by split, what is shown of them; None for their numbers alone.
      folder: whether `write_folder` writes one of all examples beside the report, which is then named.

    Raises:
      InputError: a dump is missing or damaged, or the examples are those of other data.
    """
    shown, inline = part(read, summary), dict[str, Any]()
    facts, total = _described(read, summary, shown), sum(map(len, shown.rows.values()))
    _store_numbers(read, summary, shown, inline.__setitem__)
    for split, of in (examples or {}).items():
        ids = _ids(read, summary, shown, split)
        if of.are_pictures:
            sheet = thumbnails.sheet(of, ids, thumbnails.PICTURES * len(ids) // total)
            source = "data:image/webp;base64," + base64.b64encode(sheet.data).decode()
            facts["pictures"][split] = _tiles(sheet, [source], len(ids))
        else:
            name = f"{split}-texts"
            inline[name] = {"json": thumbnails.texts(of, ids, thumbnails.TEXTS * len(ids) // total)}
            facts["texts"][split] = {"per": len(ids), "parts": [name]}
    return _page("explorer.html.jinja", facts | {"inline": inline}, level=3, folder=FOLDER if folder else None)


def write_folder(read: DumpReader, summary: StudySummary, examples: Mapping[str, Examples] | None = None) -> Path:
    """Writes an explorer of all examples, seeds and steps into the study's folder `explorer/`.

    Its page loads what it shows when it shows it, from scripts and pictures beside it, so that it works from a disk.

    Returns:
      The path of its page.

    Raises:
      InputError: as `explorer`.
      RunError: a file cannot be written.
    """
    shown, folder = everything(read, summary), read.workdir / FOLDER
    facts = _described(read, summary, shown)

    def store(name: str, value: Any) -> None:
        text = f"explorerPart({json.dumps(name)}, {json.dumps(value)});\n"
        write_result(folder / "data" / f"{name}.js", text.encode())

    _store_numbers(read, summary, shown, store)
    for split, of in (examples or {}).items():
        ids = _ids(read, summary, shown, split)
        pieces = [ids[start : start + _PER_FILE] for start in range(0, len(ids), _PER_FILE)]
        names = [f"{split}-{'pictures' if of.are_pictures else 'texts'}-{number}" for number in range(len(pieces))]
        for name, piece in zip(names, pieces, strict=True):
            if not of.are_pictures:
                store(name, {"json": thumbnails.texts(of, piece)})
                continue
            sheet = thumbnails.sheet(of, piece, like=min(_PER_FILE, len(ids)))
            write_result(folder / "data" / f"{name}.webp", sheet.data)
            facts["pictures"].setdefault(split, _tiles(sheet, [f"data/{name}.webp" for name in names], _PER_FILE))
        if not of.are_pictures:
            facts["texts"][split] = {"per": _PER_FILE, "parts": names}
    path, name = folder / "index.html", Path(str(summary.setting.get("data", {}).get("dataset", "a study"))).name
    write_result(path, _page("explorer_page.html.jinja", facts | {"files": "data/"}, level=2, name=name).encode())
    return path


def _store_numbers(read: DumpReader, summary: StudySummary, shown: Shown, store: Callable[[str, Any], None]) -> None:
    for split in SPLITS:
        store(split, collecting.of_split(read, summary, shown, split))
        for seed in shown.seeds:
            store(f"{split}-seed-{seed}", collecting.of_seed(read, summary, shown, split, seed))


def _described(read: DumpReader, summary: StudySummary, shown: Shown) -> dict[str, Any]:
    """What the script is told beside the numbers."""
    last, study = summary.study.total_steps, summary.study
    classes = class_names.read(read.workdir) or list(map(str, range(study.classes)))
    who = "control" if study.selecting == CONTROL else "teacher"
    others = [comparisons.selecting_seed(seed, study.seeds) for seed in shown.seeds]
    splits = {}
    for split in SPLITS:
        total, n = len(read(TEACHER, 0, last, split).label), len(shown.rows[split])
        extremes = None if shown.extremes is None else shown.extremes[split]
        splits[split] = {"title": TITLES[split], "total": total, "shown": n, "extremes": extremes}
    return {
        "classes": classes,
        "students": [[name, label] for name, label in study.students.items()],
        "teacher": KINDS[TEACHER].label,
        "control": CONTROL,
        "start": KD,
        "steps": list(shown.steps),
        "seeds": list(shown.seeds),
        "choosers": None if None in others else [f"the {who} of seed {seed}" for seed in others],
        "splits": splits,
        "levels": LEVELS,
        "missing": MISSING,
        "gallery": GALLERY,
        "pictures": {},
        "texts": {},
    }


def _ids(read: DumpReader, summary: StudySummary, shown: Shown, split: str) -> np.ndarray:
    return read(TEACHER, 0, summary.study.total_steps, split).id[shown.rows[split]]


def _tiles(sheet: thumbnails.Sheet, sources: list[str], per: int) -> dict[str, Any]:
    size = {name: value for name, value in dataclasses.asdict(sheet).items() if name != "data"}
    return size | {"sources": sources, "per": per}


def _page(template: str, facts: dict[str, Any], level: int, folder: str | None = None, name: str = "") -> str:
    here = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here, encoding="utf-8"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        script=(here / "explorer.js").read_text("utf-8"),
        style=(here / "explorer.css").read_text("utf-8"),
        data=embedded(facts),
        folder=folder,
        level=level,
        name=name,
    )


def embedded(value: Any) -> str:
    r"""JSON that may stand in a script element whatever texts it has: none of them can end it.

    >>> embedded("</script><!--"), json.loads(embedded("</script>"))
    ('"\\u003c/script\\u003e\\u003c!--"', '</script>')
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
