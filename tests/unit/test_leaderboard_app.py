"""Tests of the leaderboard's pages, run in Streamlit's own test harness."""

from __future__ import annotations

import csv
import io
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest
from store_factories import NOON, make_run
from streamlit.testing.v1 import AppTest

from bench.analysis.summary import summarise
from bench.store import Store

ROOT = Path(__file__).parents[2]
ASSET = ROOT / "tests" / "assets" / "schemas" / "v1.db"
NASTY = "<b>bold</b> **x** :red[y] $z$"


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "results.db"
    with Store.open(path) as store:
        for seed, (bpr, mgcn) in enumerate([(0.10, 0.30), (0.12, 0.32)]):
            detail = {"trials": 2, "epochs": 3, "seeds": [0, 1]}
            for dataset in ("baby", "baby-twin"):
                common = {"dataset": dataset, "generated": dataset == "baby-twin", "budget_detail": detail}
                for method, value in (("bpr", bpr), ("mgcn", mgcn), (NASTY, 0.05)):
                    metrics = {"recall@10": value / 2, "recall@20": value, "ndcg@10": 0.1, "ndcg@20": 0.2}
                    store.put_run(
                        make_run(method, seed, fingerprint=f"{method}{seed}{dataset}", metrics=metrics, **common)
                    )
        store.put_run(make_run("vbpr", status="skipped", reason=f"needs {NASTY}", metrics={}, budget_detail=detail))
        store.put_run(make_run("ease", protocol="mmrec-tv-v1", budget="full", created=NOON))
    return path


def show(path, monkeypatch) -> AppTest:
    monkeypatch.setenv("BENCH_STORE", str(path))
    monkeypatch.setattr(sys, "argv", ["app.py"])
    app = AppTest.from_file(str(ROOT / "leaderboard" / "app.py"), default_timeout=120).run()
    assert not app.exception
    return app


def texts(app: AppTest) -> str:
    return "\n".join(element.value for element in app.text)


def test_the_first_page_shows_real_data_first_and_follows_the_pickers(filled, monkeypatch):
    before = filled.read_bytes()
    app = show(filled, monkeypatch)
    assert {box.label: box.options for box in app.selectbox} == {
        "Task": ["recommendation"],
        "Dataset": ["baby", "baby-twin"],
        "Protocol": ["mmrec-v1", "mmrec-tv-v1"],
        "Budget": ["small"],
    }
    (table,) = [element.value for element in app.dataframe]
    assert table["method"].tolist() == ["mgcn", "bpr", NASTY, "vbpr"]
    assert table["recall@20"].tolist()[:3] == pytest.approx([0.31, 0.11, 0.05])
    assert table["±95 % recall@20"].tolist()[0] == pytest.approx(12.7062047 * 0.01, rel=1e-6)
    assert table["seeds"].tolist() == ["2", "2", "2", "–"]
    assert table["status"].tolist() == ["done", "done", "done", "skipped"]
    assert set(table["data"]) == {"real"}
    assert set(table["code"]) == {"older"}  # these digests are made up
    assert not app.warning
    assert "recommendation · baby (mmrec-v1) · budget small: 2 trials, 3 epochs" in texts(app)

    app.selectbox(key="dataset").select("baby-twin").run()
    assert not app.exception
    assert "Generated data" in app.warning[0].value
    assert set(app.dataframe[0].value["data"]) == {"generated"}

    app.selectbox(key="dataset").select("baby").run()
    app.selectbox(key="protocol").select("mmrec-tv-v1").run()
    assert app.selectbox(key="budget").options == ["full"]
    assert app.dataframe[0].value["method"].tolist() == ["ease"]
    assert filled.read_bytes() == before
    assert [entry.name for entry in filled.parent.iterdir()] == ["results.db"]


def test_metrics_can_be_added_and_names_are_plain_text(filled, monkeypatch):
    app = show(filled, monkeypatch)
    (metrics,) = app.multiselect
    assert metrics.value == ["recall@20", "ndcg@20"]
    metrics.set_value(["recall@10"]).run()
    assert not app.exception
    assert "recall@10" in app.dataframe[0].value
    assert "recall@20" not in app.dataframe[0].value
    formatted = [*app.markdown, *app.caption, *app.title, *app.info, *app.warning, *app.error]
    assert not [element.value for element in formatted if "bold" in element.value]
    assert f"vbpr · skipped: needs {NASTY}" in texts(app)


def test_the_download_holds_the_table_in_full_precision(filled, monkeypatch):
    downloads = {}

    def download_button(self, label, data, *, file_name, **options):
        downloads[file_name] = data

    monkeypatch.setattr("streamlit.delta_generator.DeltaGenerator.download_button", download_button)
    show(filled, monkeypatch)
    ((name, text),) = downloads.items()
    assert name == "recommendation_baby_mmrec-v1_small.csv"
    rows = list(csv.DictReader(io.StringIO(text)))
    with Store.open(filled, read_only=True) as store:
        (table,) = summarise(store.runs(dataset="baby", protocol="mmrec-v1"))
    assert float(rows[0]["recall@20"]) == table.row("mgcn").scores["recall@20"].mean
    assert [row["method"] for row in rows] == ["mgcn", "bpr", NASTY, "vbpr"]


def test_an_empty_store_says_how_to_fill_it(tmp_path, monkeypatch):
    Store.open(tmp_path / "empty.db").close()
    app = show(tmp_path / "empty.db", monkeypatch)
    assert "holds no results yet" in app.info[0].value
    assert "bench run specs/quickstart.yaml" in app.code[0].value
    assert not app.dataframe


def test_a_missing_store_is_named_and_not_created(tmp_path, monkeypatch):
    app = show(tmp_path / "_no_.db", monkeypatch)
    assert "cannot be read" in app.error[0].value
    assert str(tmp_path / "_no_.db") in texts(app)
    assert "--store" in app.code[0].value
    assert list(tmp_path.iterdir()) == []


def test_a_newer_store_says_to_upgrade(tmp_path, monkeypatch):
    path = tmp_path / "newer.db"
    shutil.copyfile(ASSET, path)
    with sqlite3.connect(path) as plain:
        plain.execute("UPDATE bench_alembic_version SET version_num = '9999'")
    app = show(path, monkeypatch)
    assert "another version of bench" in app.error[0].value
    assert "pip install -U" in texts(app)


def test_the_store_argument_wins_over_the_environment(filled, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_STORE", str(tmp_path / "nothing.db"))
    monkeypatch.setattr(sys, "argv", ["app.py", "--store", str(filled)])
    app = AppTest.from_file(str(ROOT / "leaderboard" / "app.py"), default_timeout=120).run()
    assert not app.exception
    assert app.dataframe
