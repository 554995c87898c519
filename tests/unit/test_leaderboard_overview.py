"""Tests of the page Overview."""

from __future__ import annotations

import csv
import io

import pytest
from leaderboard_store import NASTY, filled_store, marked_up, open_page, put, texts
from store_factories import make_environment, make_experiment

from bench.analysis.index import result_index, tables, task_grid
from bench.analysis.ranks import CriticalDifference
from bench.store import Store
from bench.store.index import result_groups
from leaderboard.components.downloads import csv_text
from leaderboard.components.rank_charts import rank_frame
from leaderboard.views.overview import everything, standing


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


def test_a_dataset_counts_once_however_many_settings_it_has(tmp_path, monkeypatch):
    path = filled_store(tmp_path / "results.db")
    with Store.open(path) as store:
        for method in ("mgcn", "bpr"):
            put(store, method, 7, budget="full", budget_detail={"trials": 9, "seeds": [7]})
    app = open_page(monkeypatch, path, family="recommendation")
    grid = app.dataframe[0].value
    assert grid["coverage"].tolist() == ["2 of 2", "2 of 2", "2 of 2", "0 of 2"], "the wider table stands for baby"
    assert any("1 table of other settings left out, as a dataset counts once" in text for text in marked_up(app))
    app.selectbox(key="budget").select("full").run()
    grid = app.dataframe[0].value
    assert grid["method"].tolist() == ["mgcn", "bpr"] and grid["coverage"].tolist() == ["1 of 1", "1 of 1"]
    assert not any("left out" in text for text in marked_up(app))


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


def test_the_critical_difference_says_that_two_datasets_are_too_few(filled, monkeypatch):
    app = open_page(monkeypatch, filled, **{"family": "recommendation", "cd-recommendation": "true"})
    assert "Too few: 2 datasets; with 3 methods no difference can show below 3." in texts(app)


def test_the_critical_difference_tells_methods_apart_that_always_rank_alike(tmp_path, monkeypatch):
    path = tmp_path / "results.db"
    with Store.open(path) as store:
        store.put_environment(make_environment())
        store.put_experiment(make_experiment())
        for dataset in ("d" * length for length in range(1, 7)):
            for method in ("mgcn", "bpr", NASTY):
                put(store, method, 0, dataset=dataset, study=None, budget_detail={"trials": 0, "seeds": [0]})
    app = open_page(monkeypatch, path, family="recommendation")
    assert not any("Nemenyi" in text for text in marked_up(app))
    app.toggle(key="cd-recommendation").set_value(True).run()
    assert not app.exception
    # q(0.05; 3 methods) = 2.343 (Demšar 2006, table 5); 2.343 sqrt(3 * 4 / (6 * 6)) = 1.353.
    (caption,) = [text for text in marked_up(app) if "Nemenyi" in text]
    assert caption.startswith(
        "3 methods that have all 6 datasets shown. Friedman's test: p < 0.001, the methods differ."
    )
    assert "closer than 1.35 are not told apart" in caption
    # Six wins of six: Wilcoxon's exact p is 2 / 2^6, and there are three pairs.
    pairs = next(table.value for table in app.dataframe if "p (Holm)" in table.value)
    assert len(pairs) == 3
    assert pairs["p (Holm)"].tolist() == pytest.approx([3 * 2 / 64] * 3)
    assert sorted(zip(pairs["second is better"], pairs["first is better"], strict=True))[0] in ((0, 6), (6, 0))


def test_the_critical_difference_chart_spans_half_of_it_to_each_side():
    found = CriticalDifference(("x", "y", "z"), (1.0, 2.0, 3.0), 1.353, ((0, 1), (1, 2)), 12.0, 0.0, 0.05, 6)
    frame = rank_frame(found)
    assert frame["low"].to_list() == pytest.approx([0.3235, 1.3235, 2.3235])
    assert frame["high"].to_list() == pytest.approx([1.6765, 2.6765, 3.6765])
    assert frame["groups"].to_list() == ["1", "1 2", "2"]


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
