"""A small store with everything the pages can show, and a way to open a page on it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st
from store_factories import make_environment, make_experiment, make_run, make_study, make_trial
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from bench.store import Store, codec
from bench.store.records import CurvePoint, UnitScores

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]
NASTY = "<script>alert(1)</script> **x** [y](http://z) :red[w] $v$"
DETAIL = {"trials": 2, "epochs": 3, "patience": 20, "seeds": [0, 1, 2]}
UNITS = 40
METRICS = ("recall@20", "ndcg@20")
QUALITY = {"mgcn": 0.5, "bpr": 0.3, NASTY: 0.1}
STUDY = "5" * 32


def unit_values(method: str, seed: int) -> np.ndarray:
    """Returns the test scores of a run's units, (UNITS,), that its metric is the mean of."""
    rng = np.random.default_rng([sum(map(ord, method)), seed])
    return np.round(np.clip(QUALITY[method] + rng.normal(0, 0.15, UNITS), 0, 1), 3)


def filled_store(path: Path) -> Path:
    """Fills a store: two recommendation datasets (one generated), a search, a row that was skipped, another family."""
    with Store.open(path) as store:
        store.put_environment(make_environment())
        store.put_experiment(make_experiment())
        store.put_study(make_study(fingerprint=STUDY, trials=14, best_trial=4, space=_space()))
        for number in range(14):
            store.put_trial(_trial(number))
        for dataset in ("baby", "baby-twin"):
            for method in QUALITY:
                for seed in (0, 1, 2):
                    put(store, method, seed, dataset=dataset, generated=dataset == "baby-twin")
        store.put_run(_plain("vbpr", status="skipped", reason=f"needs {NASTY}", metrics={}))
        vision = {"family": "classification", "task": "classification", "protocol": "official-v1", "select": "top1"}
        store.put_run(_plain("resnet", dataset="grocery", metrics={"top1": 0.5, "nll": 2.0}, **vision))
    return path


def put(store: Store, method: str, seed: int, **changes: Any) -> None:
    """Stores a finished run with unit scores and a curve."""
    values = unit_values(method, seed)
    scores = {"recall@20": values, "ndcg@20": values / 2}
    curve = [CurvePoint(epoch=e, values={"loss": 1 / e, "valid/recall@20": values.mean() * e / 3}) for e in (1, 2, 3)]
    changes = {"environment": "e" * 64, "spec_digest": "d" * 64, "study": STUDY if method == "mgcn" else None} | changes
    run = _plain(
        method, seed, metrics={name: float(score.mean()) for name, score in scores.items()}, curve=curve, **changes
    )
    blob = codec.encode_units(np.arange(UNITS), scores)
    store.put_run(run, UnitScores(run=run.fingerprint, arrow=blob))


def fingerprint(method: str, seed: int, dataset: str) -> str:
    """Returns the fingerprint of a run of `filled_store`."""
    letters = "".join(f"{ord(letter):x}" for letter in f"{method}{seed}{dataset}")
    return f"{letters[:24]:0<24}{seed}{len(dataset):x}"


def _plain(method: str, seed: int = 0, **changes: Any) -> Any:
    changes = {"budget_detail": DETAIL, "dataset": "baby"} | changes
    name = fingerprint(method, seed, changes["dataset"])
    identity = {"dataset": changes["dataset"], "task": changes.get("task", "recommendation")}
    return make_run(method, seed, fingerprint=name, identity=identity, **changes)


def _space() -> dict[str, Any]:
    return {"lr": {"log": [1e-4, 1e-1]}, "layers": {"choices": [1, 2, 3]}}


def _trial(number: int) -> Any:
    lr, layers = 10 ** (-4 + 3 * number / 13), number % 3 + 1
    status = "failed" if number == 13 else "pruned" if number % 5 == 3 else "done"
    changes: dict[str, Any] = {"error": "boom"} if status == "failed" else {}
    value = None if status == "failed" else 0.4 - (number - 4) ** 2 / 500
    params = {"lr": lr, "layers": layers}
    return make_trial(number, study=STUDY, status=status, params=params, value=value, **changes)


def open_page(monkeypatch: pytest.MonkeyPatch, path: Path, page: str = "overview", **params: str) -> AppTest:
    """Runs a page of the leaderboard as a browser with this address would; it must not raise."""
    monkeypatch.setenv("BENCH_STORE", str(path))
    monkeypatch.setattr(sys, "argv", ["app.py"])
    st.cache_data.clear()
    st.cache_resource.clear()
    app = AppTest.from_file(str(ROOT / "leaderboard" / "router.py"), default_timeout=120)
    for name, value in params.items():
        app.query_params[name] = value
    if page != "overview":
        # `switch_page` knows pages that are files only; ours are functions, known by their address.
        app._page_hash = calc_hash(page)
    app.run()
    assert not app.exception, [element.value for element in app.exception]
    return app


def texts(app: AppTest) -> str:
    """Returns everything that is shown as plain text."""
    return "\n".join(element.value for element in app.text)


def marked_up(app: AppTest) -> list[str]:
    """Returns everything that Streamlit reads as Markdown."""
    kinds = (app.markdown, app.caption, app.title, app.subheader, app.info, app.warning, app.error)
    return [element.value for kind in kinds for element in kind]
