import pytest
from browser import chromium


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium; tests that ask for it have the marker `browser`."""
    with chromium() as opened:
        yield opened
