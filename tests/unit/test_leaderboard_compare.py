"""Tests of the page Compare."""

from __future__ import annotations

import numpy as np
from leaderboard_store import UNITS, open_page, texts, unit_values

from bench.analysis.paired import PairedUnits
from leaderboard.components.pair_charts import BINS, difference_bins, scatter_cells


def test_two_methods_are_compared_unit_by_unit(filled, monkeypatch):
    app = open_page(monkeypatch, filled, "compare", a="bpr", b="mgcn")
    numbers = {element.label: element.value for element in app.metric}
    a, b = (np.mean([unit_values(method, seed) for seed in (0, 1, 2)], axis=0) for method in ("bpr", "mgcn"))
    assert numbers["Difference"] == f"{(b - a).mean():+.4f}"
    assert numbers["Mean bpr"] == f"{a.mean():.4f}"
    assert "mgcn is better than bpr" in texts(app)
    answers = dict(zip(*(app.dataframe[0].value[name] for name in ("question", "answer")), strict=True))
    assert answers["units"] == str(UNITS)
    assert answers["seeds"] == "0, 1, 2"
    assert answers["units by sign"].startswith(f"higher on {int((b > a).sum())}, lower on {int((b < a).sum())}")


def test_the_pair_can_be_turned_round(filled, monkeypatch):
    app = open_page(monkeypatch, filled, "compare")
    app.selectbox(key="a").select("mgcn").run()
    app.selectbox(key="b").select("bpr").run()
    assert not app.exception
    assert "mgcn is better than bpr" in texts(app)


def test_a_table_with_one_method_says_so(filled, monkeypatch):
    app = open_page(monkeypatch, filled, "compare", task="classification")
    assert "takes two methods" in app.info[0].value


def paired(a, b) -> PairedUnits:
    return PairedUnits(np.arange(len(a)), np.array(a, dtype=float), np.array(b, dtype=float), (0,))


def test_differences_of_zero_are_in_no_bin():
    frame = difference_bins(paired([0, 0, 0, 1, 0.5], [0, 1, 0, 0.5, 0.5]))
    assert frame.height == BINS
    assert frame["units"].sum() == 2
    assert frame["units"].to_list()[-1] == 1
    assert frame["low"][0] == -1
    assert frame["high"][-1] == 1
    assert difference_bins(paired([1, 1], [1, 1]))["units"].sum() == 0


def test_equal_points_are_counted_once_and_many_are_put_into_cells():
    few = scatter_cells(paired([0, 0, 1], [1, 1, 1]))
    assert few.rows() == [(0.0, 1.0, 2), (1.0, 1.0, 1)]
    rng = np.random.default_rng(0)
    many = scatter_cells(paired(rng.random(10_000), rng.random(10_000)))
    assert many.height <= 1_600
    assert many["units"].sum() == 10_000
