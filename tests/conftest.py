"""Every test runs on its own cache and store; real data is seen only by tests that ask for it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# A loaded machine makes any example slow once; time is measured in benchmarks/, never asserted here.
settings.register_profile("bench", deadline=None)
settings.load_profile("bench")

REAL_DATA = os.environ.pop("BENCH_DATA", "")
_NEEDED = ("baby/interactions.parquet", "tiktok/interactions.parquet", "sports/interactions.parquet")


def pytest_configure(config: pytest.Config) -> None:
    folder = Path(tempfile.mkdtemp(prefix="bench-tests-"))
    config.stash[_FOLDER] = folder
    os.environ["BENCH_CACHE"] = str(folder / "cache")
    os.environ["BENCH_STORE"] = str(folder / "results.db")


def pytest_unconfigure(config: pytest.Config) -> None:
    folder = config.stash.get(_FOLDER, None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


_FOLDER = pytest.StashKey[Path]()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of $BENCH_DATA that holds the real data sets; skips the test where there is none."""
    for entry in REAL_DATA.split(os.pathsep):
        folder = Path(entry).expanduser().resolve()
        if entry and all((folder / name).is_file() for name in _NEEDED):
            return folder
    pytest.skip(f"real data: no folder of BENCH_DATA={REAL_DATA!r} holds {', '.join(_NEEDED)}")


@pytest.fixture(autouse=True)
def _only_real_data_tests_see_it(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets $BENCH_DATA for tests marked `realdata` (or that use `real_data`) and hides it from all others."""
    if request.node.get_closest_marker("realdata") or "real_data" in request.fixturenames:
        monkeypatch.setenv("BENCH_DATA", str(request.getfixturevalue("real_data")))
    else:
        monkeypatch.delenv("BENCH_DATA", raising=False)


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty $BENCH_CACHE of this test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("BENCH_CACHE", str(folder))
    return folder


@pytest.fixture
def data_folder(tmp_path: Path, fresh_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty $BENCH_DATA of this test's own; what is read from it is not in the cache."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("BENCH_DATA", str(folder))
    return folder
