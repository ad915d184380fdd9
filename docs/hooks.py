"""The site beside docs/: pages that lie elsewhere in the repository, reports of committed studies, the theory's table.

MkDocs calls the functions `on_...`. A link of a page is to where it leads in the repository; here it becomes one to the
page of the site that shows it, or to a copy of the file.
"""

import base64
import posixpath
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results"
GALLERY = ROOT / "docs" / "gallery"
# Pages of the site by where they lie in the repository; those in docs/ have their own names.
ELSEWHERE = {
    "README.md": "index.md",
    "experiments/results/README.md": "results.md",
    "theory/README.md": "theory.md",
    "tests/wild/README.md": "what-strangers-bring.md",
    "BUILD_NOTES.md": "build-notes.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changes.md",
}
COPIES = "files"  # the folder of the site with what pages link to and is no page
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
_PICTURES = (".png", ".svg")


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages that are not in docs/, and a copy of every file that a page links to."""
    from mkdocs.structure.files import File

    sys.path[:0] = [str(ROOT)]  # the theory and `experiments`, which are not installed

    def add(uri: str, content: str | bytes) -> None:
        if files.get_file_from_path(uri) is None:
            files.append(File.generated(config, uri, content=content))

    for path, uri in ELSEWHERE.items():
        add(uri, (ROOT / path).read_text("utf-8"))
    add("statements.md", _statements())
    studies = list(_reports())
    for name, page, _ in studies:
        if page is not None:
            add(f"reports/{name}.html", page)
    add("reports.md", _report_list(studies))
    for file in list(files.documentation_pages()):
        for _, link, _ in _LINK.findall(_text(file)):
            target = _target(file.src_uri, link.partition("#")[0])
            if target is not None and (ROOT / target).is_dir():
                add(f"{COPIES}/{target}.md", _gallery(target))
                for path in _files(target):
                    add(f"{COPIES}/{target}/{path}", (ROOT / target / path).read_bytes())
            elif target is not None and _uri(target).startswith(COPIES):
                add(_uri(target), (ROOT / target).read_bytes())
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turns links into the repository into links within the site; tables need no comments about them."""
    del config, files
    source = page.file.src_uri

    def linked(match: re.Match[str]) -> str:
        path, mark, anchor = match[2].partition("#")
        target = _target(source, path)
        if target is None:
            return match[0]
        uri = _uri(target)
        return match[1] + posixpath.relpath(uri, posixpath.dirname(source) or ".") + mark + anchor + match[3]

    return re.sub(r"<!--.*?-->\n?", "", _LINK.sub(linked, markdown), flags=re.DOTALL)


def _text(file: Any) -> str:
    """A page's Markdown; nothing of a notebook, which links to nothing here."""
    return file.content_string if file.src_uri.endswith(".md") else ""


def _target(source: str, link: str) -> str | None:
    """Where a page's link leads in the repository; None where it leads elsewhere, or within the site's own pages."""
    homes = {uri: path for path, uri in ELSEWHERE.items()}
    home = homes.get(source, f"docs/{source}")
    if not link or ":" in link or (source not in homes and not link.startswith("..")):
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(home), link))
    if not (ROOT / path).exists():
        raise FileNotFoundError(f"{home} links to {link}, which is not there")
    return path


def _uri(path: str) -> str:
    """What of the site shows a path of the repository."""
    if (ROOT / path).is_dir():
        return f"{COPIES}/{path}.md"
    return ELSEWHERE.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else f"{COPIES}/{path}")


def _files(folder: str) -> list[str]:
    """What of a folder is copied: all but pages, which the site has."""
    paths = sorted(path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix != ".md")
    return [path.relative_to(ROOT / folder).as_posix() for path in paths]


def _gallery(folder: str) -> str:
    """A page of a folder: its files to be saved, and its own pictures."""
    paths, name = _files(folder), posixpath.basename(folder)
    lines = [f"# {name}", "", f"The files of `{folder}`.", "", *(f"- [{path}]({name}/{path})" for path in paths)]
    if not any("/" in path for path in paths):
        for path in paths:
            if path.endswith(_PICTURES):
                lines += ["", f"## {path}", "", f"![{path}]({name}/{path})"]
    return "\n".join(lines) + "\n"


def _reports() -> Iterator[tuple[str, str | None, Any]]:
    """Studies whose results are kept: name, the report made from these if the gallery has none, and the summary."""
    from distill_jax.measures.study_summary import read_summary
    from distill_jax.report.study_report import render

    for path in sorted(RESULTS.glob("*/summary.json")):
        summary = read_summary(path)
        if (GALLERY / f"{path.parent.name}.html").is_file():
            yield path.parent.name, None, summary
            continue
        images = {p.stem: base64.b64encode(p.read_bytes()).decode() for p in path.parent.glob("*.png")}
        yield path.parent.name, render(summary, images), summary


def _report_list(studies: list[tuple[str, str | None, Any]]) -> str:
    lines = [
        "# Reports",
        "",
        "What `python -m distill_jax` writes at its end, of the studies whose results are kept here. Those of the "
        "[gallery](gallery/index.html) are whole. The others are made again from their `summary.json` and the figures "
        "that are kept: a report of your own has more of these, and every example.",
        "",
        "| study | seeds | students | steps |",
        "| --- | --- | --- | --- |",
    ]
    for name, page, summary in studies:
        study, folder = summary.study, "gallery" if page is None else "reports"
        students = ", ".join(f"`{student}`" for student in study.students)
        lines.append(f"| [{name}]({folder}/{name}.html) | {study.seeds} | {students} | {study.total_steps} |")
    return "\n".join(lines) + "\n"


def _statements() -> str:
    """Every statement of the theory as it is printed, with its verdict and what holds in its place."""
    from experiments.gallery.pages import statements

    lines = [
        "# The theory, formula by formula",
        "",
        "Every statement that `python -m theory` checks, as the paper prints it, and what holds where that does not. "
        "The signs are explained, and the verdicts argued, in [Theory](theory.md).",
    ]
    for row in statements():
        lines += [
            "",
            f"## {row['statement'].id}: {row['verdict']}",
            "",
            row["says"],
            "",
            f'<div class="formula">{row["printed"]}</div>',
            "",
            f'<p class="verdict">{row["checked"]}</p>',
        ]
        if row["corrected"] is not None:
            lines += ["", "What holds:", "", f'<div class="formula">{row["corrected"]}</div>']
    return "\n".join(lines) + "\n"
