"""Tests of the page Overview."""

from __future__ import annotations

import csv
import io

import pytest
from leaderboard_store import NASTY, filled_store, open_page, texts

from bench.analysis.index import result_index, tables, task_grid
from bench.store import Store
from bench.store.index import result_groups
from leaderboard.components.downloads import csv_text
from leaderboard.views.overview import everything, standing


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    return filled_store(tmp_path_factory.mktemp("store") / "results.db")


def test_every_family_is_there_with_ranks_and_coverage(filled, monkeypatch):
    app = open_page(monkeypatch, filled)
    assert [element.value for element in app.subheader] == ["Recommendation", "Classification", "Generation", "VQA"]
    grid = app.dataframe[0].value
    assert grid["method"].tolist() == ["mgcn", "bpr", NASTY, "vbpr"]
    assert grid["coverage"].tolist() == ["2 of 2", "2 of 2", "2 of 2", "0 of 2"]
    assert grid["mean_rank"].tolist()[:3] == [1.0, 2.0, 3.0]
    assert grid["borda"].tolist()[:3] == [4.0, 2.0, 0.0]
    assert grid["table 0"].tolist()[:3] == [1.0, 2.0, 3.0]
    assert grid["place"].isna().tolist() == [False, False, False, True]
    assert "No results yet. A spec that makes some:" in texts(app)
    assert {element.value for element in app.code} == {
        "bench run specs/generation_all.yaml",
        "bench run specs/vqa_all.yaml",
    }


def test_filters_come_from_the_address(filled, monkeypatch):
    app = open_page(monkeypatch, filled, family="recommendation", data="Generated data", cells="Score")
    assert [element.value for element in app.subheader] == ["Recommendation"]
    grid = app.dataframe[0].value
    assert [name for name in grid if name.startswith("table")] == ["table 0"]
    assert grid["coverage"].tolist()[:1] == ["1 of 1"]
    assert 0.3 < grid["table 0"].tolist()[0] < 0.7


def test_filters_work_together(filled, monkeypatch):
    app = open_page(monkeypatch, filled)
    app.selectbox(key="data").select("Generated data").run()
    app.text_input(key="find").set_value("mgc").run()
    assert not app.exception
    assert app.dataframe[0].value["method"].tolist() == ["mgcn"]


def test_nonsense_in_the_address_is_ignored(filled, monkeypatch):
    app = open_page(monkeypatch, filled, family="alchemy", data="<b>", budget="none", page="-4")
    assert len(app.dataframe) == 2


def test_a_method_is_searched_for_letter_by_letter(filled, monkeypatch):
    app = open_page(monkeypatch, filled, find="://Z")
    assert app.dataframe[0].value["method"].tolist() == [NASTY]


def test_the_download_holds_every_table_in_full_precision(filled):
    with Store.open(filled, read_only=True) as store:
        index = result_index(result_groups(store))
        runs = store.runs(dataset="baby", method="mgcn")
    mine = index.filter(index["task"] == "recommendation")
    laid = task_grid(mine, tables(mine))
    rows = list(csv.DictReader(io.StringIO(csv_text(everything(laid)))))
    assert len(rows) == 8
    (row,) = [row for row in rows if row["method"] == "mgcn" and row["dataset"] == "baby"]
    mean = sum(run.metrics["recall@20"] for run in runs) / 3
    assert float(row["mean"]) == pytest.approx(mean, rel=1e-11)
    assert row["rank"] == "1.0"
    assert {row["generated"] for row in rows} == {"true", "false"}
    assert standing(laid, True, [0, 1])["wins"].to_list() == [2, 0, 0, None]
