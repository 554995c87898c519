"""Tests of the leaderboard as a whole: how it opens stores, and that it changes nothing."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from pathlib import Path

import pytest
import streamlit as st
from leaderboard_store import NASTY, ROOT, filled_store, marked_up, open_page, put, texts
from streamlit.testing.v1 import AppTest

from bench.store import Store
from leaderboard.components import board as board_module

SCHEMAS = ROOT / "tests" / "assets" / "schemas"
PAGES = ("overview", "task", "compare", "search")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_leaves_the_store_as_it_was(filled, monkeypatch, page):
    before = filled.read_bytes()
    app = open_page(monkeypatch, filled, page)
    assert app.title
    assert filled.read_bytes() == before
    assert [entry.name for entry in filled.parent.iterdir()] == ["results.db"]


@pytest.mark.parametrize("page", PAGES)
def test_names_are_never_markdown(filled, monkeypatch, page):
    app = open_page(monkeypatch, filled, page, a=NASTY, b="mgcn", reference="mgcn", method=NASTY)
    said = marked_up(app)
    assert said
    assert not [text for text in said if "<script>" in text or "[y](" in text or ":red[" in text or "**x**" in text]
    assert not [element.label for element in app.metric if "<script>" in element.label or "**x**" in element.label]


def test_only_a_constant_is_html():
    sources = "\n".join(path.read_text() for path in (ROOT / "leaderboard").rglob("*.py"))
    assert "unsafe_allow" not in sources
    assert sources.count("st.html(") == 1
    assert "st.html(STYLE)" in sources
    assert "components.v1" not in sources
    assert "exec_driver_sql" not in sources
    assert ".text(" not in sources.replace("st.text(", "").replace("column_config.text(", "")


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_store_says_how_to_fill_it(tmp_path, monkeypatch, page):
    Store.open(tmp_path / "empty.db").close()
    app = open_page(monkeypatch, tmp_path / "empty.db", page)
    assert "holds no results yet" in app.info[0].value
    assert "bench run specs/quickstart.yaml" in app.code[0].value
    assert not app.dataframe


@pytest.mark.parametrize("page", PAGES)
def test_a_missing_store_is_named_and_not_created(tmp_path, monkeypatch, page):
    app = open_page(monkeypatch, tmp_path / "_no_.db", page)
    assert "cannot be read" in app.error[0].value
    assert str(tmp_path / "_no_.db") in texts(app)
    assert "--store" in app.code[0].value
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_store_is_named(tmp_path, monkeypatch):
    (tmp_path / "notes.db").write_text("not a database, but long enough to be looked at as one" * 20)
    app = open_page(monkeypatch, tmp_path / "notes.db")
    assert "cannot be read" in app.error[0].value
    assert "notes.db" in texts(app)


def test_a_newer_store_says_to_upgrade(tmp_path, monkeypatch):
    path = tmp_path / "newer.db"
    shutil.copyfile(SCHEMAS / "v1.db", path)
    with sqlite3.connect(path) as plain:
        plain.execute("UPDATE bench_alembic_version SET version_num = '9999'")
    app = open_page(monkeypatch, path)
    assert "another version of bench" in app.error[0].value
    assert "pip install -U" in texts(app)


@pytest.mark.parametrize("schema", sorted(SCHEMAS.glob("v*.db")), ids=lambda path: path.stem)
def test_an_older_store_is_shown_and_not_touched(tmp_path, monkeypatch, schema):
    path = Path(shutil.copyfile(schema, tmp_path / "old.db"))
    app = open_page(monkeypatch, path, "task")
    assert "mgcn" in app.dataframe[0].value["method"].tolist()
    assert path.read_bytes() == schema.read_bytes()


def test_a_new_result_is_shown_while_a_run_writes(tmp_path, monkeypatch):
    path = filled_store(tmp_path / "results.db")
    monkeypatch.setattr(board_module, "REFRESH_S", 0)
    app = open_page(monkeypatch, path, "task")
    with Store.open(path) as writer:
        put(writer, "mgcn", 7)
        st.cache_data.clear()
        app.run()
        assert not app.exception
        seeds = dict(zip(app.dataframe[0].value["method"], app.dataframe[0].value["seeds"], strict=True))
        assert seeds["mgcn"] == "4"
        put(writer, "mgcn", 8)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["results.db"]


def test_the_store_argument_wins_over_the_environment(filled, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_STORE", str(tmp_path / "nothing.db"))
    monkeypatch.setattr(sys, "argv", ["app.py", "--store", str(filled)])
    app = AppTest.from_file(str(ROOT / "leaderboard" / "router.py"), default_timeout=120).run()
    assert not app.exception
    assert app.dataframe


def test_an_answer_is_kept_until_the_store_changes(filled):
    st.cache_resource.clear()
    asked = []

    def number_of_runs(store, dataset):
        asked.append(dataset)
        return len(store.runs(dataset=dataset))

    board = board_module.Board(str(filled), (1,))
    assert [board.query(number_of_runs, "baby") for _ in range(3)] == [10, 10, 10]
    assert board.query(number_of_runs, "grocery") == 1
    assert asked == ["baby", "grocery"]
    assert board_module.Board(str(filled), (2,)).query(number_of_runs, "baby") == 10
    assert asked == ["baby", "grocery", "baby"]


def test_links_name_page_and_parameters(filled):
    board = board_module.Board(str(filled), (1,))
    assert board.url("run", run="a b&c") == "/run?run=a+b%26c"
    assert board.url("overview") == "/"


def test_the_server_counts_the_store_before_anybody_asks(filled, tmp_path, monkeypatch):
    from leaderboard.app import warm_up

    asked = []
    monkeypatch.setattr(sys, "argv", ["app.py"])
    monkeypatch.setattr(board_module, "load_index", lambda store: asked.append(len(store.runs())))
    monkeypatch.setenv("BENCH_STORE", str(filled))
    st.cache_data.clear()
    st.cache_resource.clear()
    warm_up()
    assert asked == [20]
    monkeypatch.setenv("BENCH_STORE", str(tmp_path / "missing.db"))
    warm_up()
    assert asked == [20]
    assert list(tmp_path.iterdir()) == []
