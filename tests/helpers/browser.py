"""A headless browser, Playwright's with the Chromium of the system, and what it says of a page.

It wants the extra `browser` and a Chromium: one on the path, or what `playwright install chromium` gives.
"""

import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments import explorer_frames

PHONE, DESKTOP = 390, 1400  # widths of windows, CSS pixels


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A browser of Playwright's synchronous API; skips the test, and says why, where there is none."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("Playwright is not installed: the extra browser")
    from playwright.sync_api import sync_playwright  # pyright: ignore[reportMissingImports]

    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        found = explorer_frames.chromium() or (str(own) if own.exists() else None)
        if found is None:
            pytest.skip("there is no Chromium on the path, nor Playwright's own")
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def opened(browser: Any, path: Path, width: int = DESKTOP, dark: bool = False, **context: Any) -> Iterator[Any]:
    """A file as a page in a window so wide; fails where the page asks for anything else, or throws an error."""
    scheme = "dark" if dark else "light"
    window = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **context)
    try:
        page, asked, errors = window.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(path.absolute().as_uri())
        yield page
        beside = [url for url in asked if not url.startswith(("data:", "blob:")) and url != path.absolute().as_uri()]
        assert not beside, beside
        assert not errors, errors
    finally:
        window.close()


def width_of(page: Any) -> int:
    """How wide a page's content is, CSS pixels: more than its window's where it is scrolled sideways."""
    return page.evaluate("document.documentElement.scrollWidth")


def violations(page: Any) -> list[str]:
    """What axe-core finds wrong with a page: each rule with the first places where it is broken.

    Skips the test where axe's script is not there.
    """
    if importlib.util.find_spec("axe_playwright_python") is None:
        pytest.skip("axe-core is not installed: the extra browser")
    from axe_playwright_python.sync_playwright import Axe  # pyright: ignore[reportMissingImports]

    found = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {rule['help']}: {[node['html'][:120] for node in rule['nodes'][:3]]}" for rule in found]
