"""Tests of the page Search."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from leaderboard_store import STUDY, open_page, put, texts
from store_factories import make_study

from bench.store import Store
from bench.store.index import studies
from leaderboard.components.charts import to_svg
from leaderboard.components.search_charts import history, parallel_frame
from leaderboard.views.search import trials_frame


@pytest.fixture(scope="module")
def study(filled):
    with Store.open(filled, read_only=True) as store:
        (found,) = studies(store)
        return found, store.trials(STUDY)


def test_a_search_is_told_in_numbers(filled, monkeypatch):
    app = open_page(monkeypatch, filled, "search")
    numbers = {element.label: element.value for element in app.metric}
    assert numbers["Trials"] == "14 of 14"
    assert numbers["Pruned"] == "2"
    assert numbers["Not finished"] == "1"
    assert numbers["Best recall\\@20"] == "0.4000"
    trials = app.dataframe[0].value
    assert trials["trial"].tolist()[0] == 4
    assert trials["trial"].tolist()[-1] == 13
    assert trials["what happened"].tolist()[-1] == "boom"
    assert trials["status"].tolist().count("pruned") == 2


def test_the_page_opens_where_something_was_searched(tmp_path, monkeypatch):
    store = tmp_path / "results.db"
    with Store.open(store) as opened:
        put(opened, "bpr", 0, dataset="baby", environment=None, spec_digest=None)
        put(opened, "bpr", 0, dataset="tiktok", environment=None, spec_digest=None)
        opened.put_study(make_study(dataset="tiktok"))
    app = open_page(monkeypatch, store, "search")
    assert app.selectbox(key="dataset").value == "tiktok"
    assert not any("Nothing was searched" in element.value for element in app.info)
    asked = open_page(monkeypatch, store, "search", dataset="baby")
    assert asked.selectbox(key="dataset").value == "baby"
    assert "Nothing was searched here" in asked.info[0].value


def test_the_link_of_a_run_opens_its_own_search(filled, monkeypatch):
    with Store.open(filled, read_only=True) as store:
        run = next(run for run in store.runs(method="mgcn", status="done") if run.study == STUDY)
    page = open_page(monkeypatch, filled, "run", run=run.fingerprint)
    links = [parse_qs(element.proto.query_string) for element in page.get("page_link")]
    (link,) = [found for found in links if "study" in found]
    assert link["study"] == [STUDY]
    assert (link["task"], link["dataset"], link["method"]) == ([run.task], [run.dataset], [run.method])
    followed = open_page(monkeypatch, filled, "search", **{name: value for name, (value,) in link.items()})
    assert followed.selectbox(key="setting").value == link["setting"][0]
    assert followed.selectbox(key="study").value == STUDY


def test_a_table_without_a_search_says_so_and_names_one_that_has(filled, monkeypatch):
    app = open_page(monkeypatch, filled, "search", dataset="baby-twin")
    assert "Nothing was searched here" in app.info[0].value
    assert not app.metric
    link = parse_qs([element.proto.query_string for element in app.get("page_link")][-1])
    assert (link["task"], link["dataset"]) == (["recommendation"], ["baby"])
    followed = open_page(monkeypatch, filled, "search", **{name: value for name, (value,) in link.items()})
    assert followed.selectbox(key="setting").value == link["setting"][0]
    assert {element.label for element in followed.metric} >= {"Trials", "Pruned"}


def test_a_store_without_any_search_says_how_to_get_one(tmp_path, monkeypatch):
    with Store.open(tmp_path / "results.db") as store:
        put(store, "bpr", 0, environment=None, spec_digest=None)
    app = open_page(monkeypatch, tmp_path / "results.db", "search")
    assert "No run in this store had a search." in texts(app)
    assert "trials: 20" in app.code[0].value


def test_history_keeps_the_best_finished_value(study):
    frame = history(*study)
    assert frame["trial"].to_list() == list(range(13))
    assert frame["best"][0] == pytest.approx(0.4 - 16 / 500)
    assert frame.filter(frame["trial"] >= 4)["best"].unique().to_list() == [0.4]
    assert frame["status"].to_list().count("pruned") == 2


def test_parallel_coordinates_lie_between_the_bounds(study):
    lines, ticks = parallel_frame(*study)
    assert lines["place"].min() >= 0
    assert lines["place"].max() <= 1
    first = lines.filter((lines["trial"] == 0) & (lines["axis"] == "lr"))
    assert first["place"][0] == pytest.approx(0)
    middle = lines.filter((lines["trial"] == 1) & (lines["axis"] == "layers"))
    assert middle["place"][0] == 0.5
    assert ticks.filter(ticks["axis"] == "layers")["setting"].to_list() == ["1", "2", "3"]


def test_a_metric_to_minimise_puts_the_smallest_first(study):
    found, trials = study
    frame = trials_frame(found.model_copy(update={"direction": "minimize"}), trials)
    assert frame[found.select].to_list()[0] == min(trial.value for trial in trials if trial.value is not None)


def test_every_chart_can_be_drawn(filled, monkeypatch):
    drawn = []

    def show_chart(chart, data, *, name, alt, key=None):
        drawn.append((key, to_svg(chart), data.height))

    monkeypatch.setattr("leaderboard.components.search_charts.show_chart", show_chart)
    open_page(monkeypatch, filled, "search")
    assert [key for key, _, _ in drawn] == ["history", "importances", "expected", "parallel"]
    assert all(svg.startswith("<svg") and rows for _, svg, rows in drawn)
