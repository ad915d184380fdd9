"""How smoothly the report's explorer moves: frames a second in a headless Chromium, of a study with many examples.

    python -m experiments.explorer_frames [--examples N] [--json FILE]

The study is made up: one seed, four students, nine steps, ten classes, and as many training examples as are asked for,
all of which are shown. Frames are counted while the pointer moves over a plot, and while the training is played: those
that the browser draws, and how long the page's own script takes of each. Needs the extra `browser` and a Chromium.
"""

import dataclasses
import shlex
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.markdown import Markdown

from distill_jax.command import command_line
from distill_jax.dumps import DumpReader, dump_path, write_dumps
from distill_jax.errors import InputError
from distill_jax.extras import needed
from distill_jax.machine.environment import environment
from distill_jax.measures.study_summary import StudySummary, summarise
from distill_jax.report import explorer
from distill_jax.students import KINDS, MODELS, TEACHER
from experiments.markdown_table import markdown_table

PROG = "python -m experiments.explorer_frames"
STEPS = tuple(range(100, 1000, 100))
CLASSES = 10
MOVES = 250  # of the pointer
PLAYED = 6000  # milliseconds
_NAMES = ("chromium", "chromium-browser", "google-chrome")
# Of each frame when it was drawn, and how long the page's script took, milliseconds.
_WATCH = """(() => {
  const frame = window.requestAnimationFrame.bind(window), drawn = [], script = [];
  window.frames_seen = {drawn, script};
  window.requestAnimationFrame = (work) => frame((now) => {
    const start = performance.now(); work(now); script.push(performance.now() - start);
  });
  const count = (now) => { drawn.push(now); frame(count); };
  frame(count);
})()"""
_CLEAR = "() => { frames_seen.drawn.length = 0; frames_seen.script.length = 0; }"


@dataclasses.dataclass(frozen=True)
class Setting:
    """Counts the explorer's frames."""

    examples: int = 50_000
    """Training examples, each a point in both plots."""
    scales: tuple[int, ...] = (1, 2)
    """Pixels of the screen for a pixel of the page: 2 of most laptops."""
    json: Path | None = None
    """File for the result."""


def chromium() -> str | None:
    """The Chromium on the path; None where there is none, as Playwright takes its own then."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


def made_up(folder: Path, examples: int) -> StudySummary:
    """Writes a made-up study's dumps, whose students come nearer to the labels from step to step."""
    for split, count in {"train": examples, "test": 1000}.items():
        random = np.random.default_rng(len(split))
        label = random.integers(CLASSES, size=count, dtype=np.int32)
        of_label = np.eye(CLASSES, dtype=np.float32)[label]
        common, items = random.normal(size=(count, CLASSES)).astype(np.float32), []
        for model in MODELS:
            own = random.normal(size=(count, CLASSES)).astype(np.float32)
            for step in STEPS:
                logits = common + 0.5 * own + 6 * step / STEPS[-1] * of_label
                attributes = {"model": model, "seed": 0, "step": step, "split": split, "num_classes": CLASSES}
                items.append((dump_path(folder, model, 0, step, split), logits, attributes | {"setting": "made up"}))
        write_dumps(items, label, label, np.arange(count))
    students = {name: KINDS[name].label for name in MODELS if name != TEACHER}
    setting = {"data": {"dataset": "made up"}}
    return summarise(
        DumpReader(folder), setting, {}, {}, seeds=1, total_steps=STEPS[-1], switch_step=STEPS[4], students=students
    )


def frames(page: Any, work: Callable[[], None]) -> dict[str, float]:
    """Frames while something is done: a second, and milliseconds between them and of the script within them."""
    page.evaluate(_CLEAR)
    work()
    drawn, script = (np.array(page.evaluate(f"() => frames_seen.{name}")) for name in ("drawn", "script"))
    gaps = np.diff(drawn)
    script = script if len(script) else np.zeros(1)
    return {
        "frames_a_second": float(1000 / gaps.mean()),
        **{f"gap_ms_{q}": float(np.percentile(gaps, q)) for q in (50, 95, 99)},
        **{f"script_ms_{q}": float(np.percentile(script, q)) for q in (50, 95, 99)},
    }


def measure(browser: Any, path: Path, scale: int) -> list[dict[str, Any]]:
    """Frames while the pointer moves over the right plot and while the training plays."""
    window = browser.new_context(viewport={"width": 1400, "height": 1000}, device_scale_factor=scale)
    window.add_init_script(_WATCH)
    page = window.new_page()
    page.goto(path.absolute().as_uri())
    page.wait_for_selector("#x-tiles button", timeout=120_000)
    page.wait_for_timeout(1500)
    box = page.locator("#x-right .x-over").bounding_box()

    def hover() -> None:
        for k in range(MOVES):
            page.mouse.move(box["x"] + 60 + (7 * k) % 250, box["y"] + 80 + (3 * k) % 200)

    def play() -> None:
        page.locator("#x-play").click()
        page.wait_for_timeout(PLAYED)

    doing = {"pointing": hover, "playing": play}
    rows = [{"doing": name, "scale": scale, **frames(page, work)} for name, work in doing.items()]
    window.close()
    return rows


def lines(result: Mapping[str, Any]) -> str:
    """The frames as a table in Markdown."""
    head = ["while", "pixels", "frames a second", "ms between frames: median, 95%, 99%", "ms of script in each"]
    cells = []
    for row in result["rows"]:
        gaps, script = (", ".join(f"{row[f'{name}_ms_{q}']:.1f}" for q in (50, 95, 99)) for name in ("gap", "script"))
        cells.append([row["doing"], f"{row['scale']}x", f"{row['frames_a_second']:.1f}", gaps, script])
    return markdown_table(head, cells)


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    setting = command_line.parse(Setting(), PROG, arguments)
    if not 100 <= setting.examples <= 10**6:
        raise InputError("--examples", setting.examples, "must be 100 to 1,000,000")
    if not setting.scales or not all(1 <= scale <= 4 for scale in setting.scales):
        raise InputError("--scales", " ".join(map(str, setting.scales)), "must be 1 to 4 each")
    command_line.check_writable("--json", setting.json, ".json")
    api = needed("playwright.sync_api", "browser", "--examples", setting.examples)
    console = command_line.console()
    with tempfile.TemporaryDirectory() as folder, api.sync_playwright() as playwright:
        summary = made_up(Path(folder), setting.examples)
        path = explorer.write_folder(DumpReader(Path(folder)), summary)
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        rows = [row for scale in setting.scales for row in measure(browser, path, scale)]
        version = browser.version
        browser.close()
    result = {"examples": setting.examples, "browser": f"Chromium {version}, headless", "rows": rows}
    console.print(Markdown(lines(result)))
    command_line.write_json(setting.json, result | {"environment": environment(f"{PROG} {shlex.join(arguments)}")})


if __name__ == "__main__":
    command_line.run(main)
