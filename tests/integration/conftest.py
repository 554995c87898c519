"""The leaderboard served over a test's own `store`, and a browser to open it in."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# The stores that the pages show are filled by the factories of the unit tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from browser import launched, served, window


@pytest.fixture(scope="module")
def address(store):
    """Where the leaderboard over the module's `store` is served."""
    with served(store) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture
def page(browser):
    """A window of this test's own."""
    page = window(browser)
    yield page
    page.context.close()
