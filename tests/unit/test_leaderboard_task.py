"""Tests of the page Task."""

from __future__ import annotations

import csv
import io

import pytest
from leaderboard_store import NASTY, fingerprint, open_page, texts, unit_values

from bench.analysis.intervals import t_interval
from bench.analysis.published import published
from bench.store import Store

BEFORE = "streamlit.delta_generator.DeltaGenerator.download_button"


def test_the_table_shows_means_intervals_and_published_numbers(filled, monkeypatch):
    app = open_page(monkeypatch, filled, "task")
    table = app.dataframe[0].value
    assert table["method"].tolist() == ["mgcn", "bpr", NASTY]
    interval = t_interval([float(unit_values("mgcn", seed).mean()) for seed in (0, 1, 2)])
    assert table["recall@20"].tolist()[0] == pytest.approx(interval.mean)
    assert table["± recall@20"].tolist()[0] == pytest.approx(interval.half_width)
    printed = published("recommendation", "baby", "mmrec-v1")
    assert table["paper recall@20"].tolist()[:2] == [printed["mgcn", "recall@20"].value, 0.0575]
    assert "arXiv 2308.03588" in texts(app)
    assert table["seeds"].tolist() == ["3", "3", "3"]
    assert not app.warning
    assert f"needs {NASTY}" in app.dataframe[1].value["what happened"][0]


def test_generated_data_is_marked(filled, monkeypatch):
    app = open_page(monkeypatch, filled, "task", dataset="baby-twin")
    assert "Generated data" in app.warning[0].value
    assert app.selectbox(key="dataset").value == "baby-twin"
    assert not [name for name in app.dataframe[0].value if name.startswith("paper")]


def test_a_reference_brings_significance(filled, monkeypatch):
    app = open_page(monkeypatch, filled, "task", reference="bpr")
    table = app.dataframe[0].value
    assert table["p recall@20"].tolist()[0].startswith("▲")
    assert table["p recall@20"].tolist()[1] == "reference"
    assert table["p recall@20"].tolist()[2].startswith("▼")
    assert any("Holm" in element.value for element in app.caption)


def test_order_and_metrics_are_asked_for_in_the_address(filled, monkeypatch):
    app = open_page(monkeypatch, filled, "task", order="Method", metrics="ndcg@20")
    table = app.dataframe[0].value
    assert table["method"].tolist() == [NASTY, "bpr", "mgcn"]
    assert "recall@20" not in table
    app.multiselect(key="metrics").set_value([]).run()
    assert not app.exception
    assert "recall@20" in app.dataframe[0].value


def test_a_metric_of_another_task_is_forgotten(filled, monkeypatch):
    app = open_page(monkeypatch, filled, "task", metrics="recall@20")
    app.selectbox(key="task").select("classification").run()
    assert not app.exception
    assert "top1" in app.dataframe[0].value


def test_every_run_has_a_link(filled, monkeypatch):
    app = open_page(monkeypatch, filled, "task", method="bpr")
    links = [element.proto.query_string for element in app.get("page_link")]
    for seed in (0, 1, 2):
        assert f"run={fingerprint('bpr', seed, 'baby')}" in links


def test_the_download_equals_the_store(filled, monkeypatch, downloads):
    open_page(monkeypatch, filled, "task")
    text = downloads["recommendation_baby_mmrec-v1_small.csv"]()
    rows = {row["method"]: row for row in csv.DictReader(io.StringIO(text))}
    with Store.open(filled, read_only=True) as store:
        runs = store.runs(dataset="baby", method="mgcn")
    assert float(rows["mgcn"]["ndcg@20"]) == pytest.approx(sum(run.metrics["ndcg@20"] for run in runs) / 3, rel=1e-15)
    assert set(rows) == {"mgcn", "bpr", NASTY}


def test_charts_download_as_png_svg_and_csv(filled, monkeypatch, downloads):
    open_page(monkeypatch, filled, "task")
    stem = "intervals_recommendation_baby_recall@20"
    assert downloads[f"{stem}.png"]().startswith(b"\x89PNG")
    drawn = downloads[f"{stem}.svg"]()
    assert drawn.startswith("<svg")
    assert "mgcn" in drawn
    assert "<script" not in drawn
    rows = list(csv.DictReader(io.StringIO(downloads[f"{stem}.csv"]())))
    assert [row["method"] for row in rows] == ["mgcn", "bpr", NASTY]
