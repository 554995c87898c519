from __future__ import annotations

import subprocess

import pytest

from bench.execution.provenance import environment_record, git_state, package_versions


def git(folder, *arguments):
    identity = ["-c", "user.name=n", "-c", "user.email=e@x"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (tmp_path / "pyproject.toml").touch()
    git(tmp_path, "init")
    return folder


def test_package_outside_git_has_no_commit(tmp_path):
    (tmp_path / "__init__.py").touch()
    assert git_state(tmp_path) == (None, None)


def test_package_that_is_not_part_of_the_repository_has_no_commit(package):
    git(package.parent, "commit", "--allow-empty", "-m", "first")
    assert git_state(package) == (None, None)


def test_commit_and_dirty_flag_speak_of_the_code_only(package):
    git(package.parent, "add", ".")
    git(package.parent, "commit", "-m", "first")
    state = git_state(package)
    assert len(state.commit) == 40 and state.dirty is False
    (package.parent / "results.db").touch()
    assert git_state(package).dirty is False
    (package / "new.py").touch()
    assert git_state(package).dirty is True


def test_environment_is_collected_once_and_holds_no_secret(monkeypatch):
    environment_record.cache_clear()
    monkeypatch.setenv("MY_TOKEN", "s3cr3t-value")
    record = environment_record()
    assert record is environment_record()
    assert "s3cr3t-value" not in record.model_dump_json()
    assert record.hardware["cores"] >= 1 and record.hardware["cpu"]
    assert len(record.digest) == 64


def test_versions_of_packages_that_decide_results_are_kept():
    versions = package_versions()
    assert {"multimodal-bench", "torch", "numpy", "optuna", "polars"} <= set(versions)
    assert list(versions) == sorted(versions)
