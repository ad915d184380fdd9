"""Pages made from result files: figures of the small scale, the statements of the theory, and a list of all."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from distill_jax.extras import needed
from distill_jax.measures.study_summary import FILE, read_summary
from distill_jax.report.headline import headline

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "experiments" / "results"
_STATEMENTS = ROOT / "theory" / "results" / "statements.json"
_PAPER = RESULTS / "paper-small"
SMALL = 560  # pixels that a picture in the list is wide


def figures() -> str:
    """The figures that are kept of `python -m experiments.paper all --scale small`, with their captions."""
    results = json.loads((_PAPER / "results.json").read_text("utf-8"))
    kept = [
        {
            "name": name,
            "title": figure["paper"] or name.capitalize(),
            "caption": figure["caption"],
            "image": _webp(path),
        }
        for name, figure in results["figures"].items()
        if (path := _PAPER / f"{name}.png").is_file()
    ]
    return _page("figures", figures=kept, environment=results["environment"])


def theory() -> str:
    """Every statement of the theory with its verdict, and what holds where the printed form does not.

    Raises:
      InputError: what writes formulas for browsers is not installed.
    """
    needed("latex2mathml", "docs", "theory.html")
    return _page("theory", rows=statements())


def statements() -> list[dict[str, Any]]:
    """The statements of the theory, each with its verdict, its formulas as MathML, and how it was checked in words."""
    from theory.formulas import mathml
    from theory.statements import STATEMENTS

    found = {row["id"]: row for row in json.loads(_STATEMENTS.read_text("utf-8"))["statements"]}
    return [
        {
            "statement": statement,
            "says": f"{statement.says[0].upper()}{statement.says[1:]}.",
            "printed": mathml(statement.printed),
            "corrected": None if statement.corrected is None else mathml(statement.corrected),
            "verdict": found[statement.id]["as_printed"],
            "checked": _checked(statement, found[statement.id]),
        }
        for statement in STATEMENTS
    ]


def _checked(statement: Any, found: dict[str, Any]) -> str:
    unit = "boxes" if found["evidence"] == "certified" else "points"
    return f"{found['evidence'].capitalize()}, {found['points']:,} {unit}; for {statement.domain}."


def index(folder: Path) -> str:
    """The list of the pages that are in a folder, each with a small picture; small studies first."""
    studies: list[dict[str, Any]] = []
    for path in sorted(RESULTS.glob(f"*/{FILE}")):
        if (folder / f"{path.parent.name}.html").is_file():
            summary, image = read_summary(path), _webp(path.with_name("scatter.png"), SMALL)
            studies.append(
                {"name": path.parent.name, "summary": summary, "headline": headline(summary), "image": image}
            )
    studies.sort(key=lambda of: of["summary"].study.train_examples)
    return _page("index", studies=studies, figures=_webp(_PAPER / "prediction.png", SMALL))


def _webp(picture: Path, width: int | None = None) -> str:
    """The same picture in fewer bytes, in base64: without loss, or so many pixels wide."""
    content = io.BytesIO()
    with Image.open(picture) as image:
        shown = image.convert("RGB")
        if width is None:
            shown.save(content, "WEBP", lossless=True, method=6)
        else:
            small = shown.resize((width, round(width * shown.height / shown.width)), Image.Resampling.LANCZOS)
            small.save(content, "WEBP", quality=70, method=6)
    return base64.b64encode(content.getvalue()).decode()


def _page(name: str, **values: Any) -> str:
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(f"{name}.html.jinja").render(**values)
