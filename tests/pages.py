"""The pages that quote committed results: README.md, and the one beside the results."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "experiments" / "results" / "README.md")


def blocks(kind: str) -> list[tuple[str, str]]:
    """What blocks of a kind are made from, and what they say."""
    text = "".join(page.read_text("utf-8") for page in PAGES)
    return re.findall(f"<!-- {kind}: ([^\n]*) -->\n(.*?)<!-- end -->", text, re.DOTALL)
