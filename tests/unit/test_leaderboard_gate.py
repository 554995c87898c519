"""Tests of the page Gate."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest
from leaderboard_store import NASTY, marked_up, open_page, texts
from store_factories import NOON, make_environment, make_run

from bench.analysis.baseline import Baseline, measure, write_baseline
from bench.store import Store
from leaderboard.views.gate import ANY, FOLDER, baselines

OLD = [0.50, 0.51, 0.49, 0.52, 0.48]
HASHES = {"e1": "1" * 40, "e2": "2" * 40}


def runs(values, environment, days, method="mgcn"):
    return [
        make_run(
            method, seed, fingerprint=f"{method}{environment}{seed}", environment=environment, valid={},
            metrics={"recall@20": value, "ndcg@20": value / 2}, created=NOON + timedelta(days=days),
        )
        for seed, value in enumerate(values)
    ]  # fmt: skip


@pytest.fixture
def gate(tmp_path, monkeypatch):
    """A working directory with a store of two commits, and a baseline that the second falls below."""
    with Store.open(tmp_path / "results.db") as store:
        for digest, commit in HASHES.items():
            store.put_environment(make_environment(digest=digest, git_commit=commit))
        for run in [
            *runs(OLD, "e1", 0),
            *runs(OLD, "e1", 0, NASTY),
            *runs([0.3] * 5, "e2", 1),
            *runs(OLD, "e2", 1, NASTY),
        ]:
            store.put_run(run)
    (tmp_path / FOLDER).mkdir(parents=True)
    cells = measure([*runs(OLD, "e1", 0), *runs(OLD, "e1", 0, NASTY)], lambda _: None, ["recall@20", "ndcg@20"])
    write_baseline(tmp_path / FOLDER / "mine.json", Baseline(spec="gate", cells=cells))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results.db"


def test_the_newest_commit_is_judged_and_the_worst_comes_first(gate, monkeypatch):
    app = open_page(monkeypatch, gate, "gate")
    assert app.selectbox(key="gate").options == ["mine", ANY]
    assert app.selectbox(key="commit").value == "2222222 · 2026-01-03 12:00"
    table = app.dataframe[0].value
    assert table["verdict"].tolist() == ["▼ regress"] * 2 + ["● pass"] * 2
    assert table["method"].tolist() == ["mgcn", "mgcn", NASTY, NASTY]
    assert table["change"].tolist()[1] == pytest.approx(-0.2)
    assert app.selectbox(key="cell").value == "mgcn on baby"


def test_an_older_commit_can_be_looked_at(gate, monkeypatch):
    app = open_page(monkeypatch, gate, "gate", commit="1111111 · 2026-01-02 12:00")
    assert set(app.dataframe[0].value["verdict"]) == {"● pass"}


def test_history_can_be_downloaded_with_its_verdicts(gate, monkeypatch):
    made = {}
    monkeypatch.setattr("streamlit.download_button", lambda label, data, **how: made.update({how["file_name"]: data}))
    open_page(monkeypatch, gate, "gate", metric="recall@20")
    (text,) = [make() for name, make in made.items() if "recall" in name and name.endswith(".csv")]
    header, first, second = text.splitlines()
    assert header.startswith("commit,when,mean,low,high,seeds,verdict")
    assert first.startswith("1111111") and first.endswith(",5,pass") and second.endswith(",5,regress")


def test_a_store_without_the_gates_runs_says_how_to_get_them(gate, tmp_path_factory, monkeypatch):
    other = tmp_path_factory.mktemp("other") / "results.db"
    with Store.open(other) as store:
        store.put_run(make_run(dataset="tiktok"))
    app = open_page(monkeypatch, other, "gate")
    assert "no run of this gate" in app.info[0].value
    assert "specs/gate/mine.yaml --baseline specs/gate/mine.json --store" in app.code[0].value
    assert app.dataframe[0].value["mean"].tolist() == pytest.approx([0.25, 0.5, 0.25, 0.5])


def test_any_table_has_a_history(gate, monkeypatch):
    app = open_page(monkeypatch, gate, "gate", gate=ANY, metric="recall@20")
    table = app.dataframe[0].value
    assert table[["commit", "method"]].to_numpy().tolist()[:2] == [
        ["2222222 · 2026-01-03 12:00", NASTY], ["2222222 · 2026-01-03 12:00", "mgcn"],
    ]  # fmt: skip
    assert table["mean"].tolist() == pytest.approx([0.5, 0.3, 0.5, 0.5])


def test_a_damaged_baseline_is_told(gate, monkeypatch):
    (gate.parent / FOLDER / "mine.json").write_text("{")
    app = open_page(monkeypatch, gate, "gate")
    assert app.error[0].value == "The baseline cannot be read." and "mine.json" in texts(app)


def test_elsewhere_the_packages_own_baselines_are_used(gate, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
    assert "recommendation" in baselines()


def test_without_baselines_tables_are_left(gate, monkeypatch):
    shutil.rmtree(gate.parent / FOLDER)
    monkeypatch.setattr("leaderboard.views.gate.baselines", dict)
    app = open_page(monkeypatch, gate, "gate")
    assert app.selectbox(key="gate").options == [ANY]


def test_names_are_no_markup(gate, monkeypatch):
    assert not any(
        "<script>" in text for text in marked_up(open_page(monkeypatch, gate, "gate", cell=f"{NASTY} on baby"))
    )
