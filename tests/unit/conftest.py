"""Stores that the tests of pages and verbs read."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """The path of a `filled_store`."""
    from leaderboard_store import filled_store

    return filled_store(tmp_path_factory.mktemp("store") / "results.db")


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    """The path of a `sampled_store`."""
    from sample_factories import sampled_store

    return sampled_store(tmp_path_factory.mktemp("sampled") / "results.db")


@pytest.fixture
def downloads(monkeypatch):
    """What the page's buttons would download: name of the file to how it is made."""
    made = {}
    monkeypatch.setattr("streamlit.download_button", lambda label, data, **how: made.update({how["file_name"]: data}))
    return made
