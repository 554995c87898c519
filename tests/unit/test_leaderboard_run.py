"""Tests of the page Run."""

from __future__ import annotations

import csv
import io
import json

import pytest
import yaml
from leaderboard_store import NASTY, fingerprint, marked_up, open_page, texts, unit_values
from sample_factories import CLASSES, PROMPTS, SCRIPT
from store_factories import make_run, make_view

from bench.store import Store
from bench.store.records import CurvePoint
from leaderboard.components.text import ABSENT
from leaderboard.views.run import load_whole, repeating_spec

MGCN = fingerprint("mgcn", 1, "baby")


def test_a_run_is_shown_with_its_numbers_and_curves(filled, monkeypatch, downloads):
    app = open_page(monkeypatch, filled, "run", run=MGCN)
    assert app.header[0].value == "mgcn"
    assert "recommendation · baby (mmrec-v1) · seed 1 · budget small: 2 trials, 3 epochs" in texts(app)
    metrics, facts = app.dataframe[0].value, app.dataframe[1].value
    assert metrics["metric"].tolist()[0] == "recall@20"
    assert metrics["test"].tolist()[0] == pytest.approx(unit_values("mgcn", 1).mean())
    assert dict(zip(facts["field"], facts["value"], strict=True))["fingerprint"] == MGCN
    assert app.selectbox(key="metric").options == ["recall@20"]
    assert any("dashed line is the best epoch" in caption.value for caption in app.caption)
    units = list(csv.DictReader(io.StringIO(downloads[f"units_{MGCN[:12]}.csv"]())))
    assert [float(row["recall@20"]) for row in units] == unit_values("mgcn", 1).tolist()
    stored = json.loads(downloads[f"run_{MGCN[:12]}.json"]())["run"]
    assert stored["fingerprint"] == MGCN and stored["config"] == {"lr": 1e-3, "dim": 64}


def test_a_closed_form_has_no_epochs_to_draw(tmp_path, monkeypatch):
    point = CurvePoint(epoch=1, values={"valid/recall@20": 0.1})
    seconds = {"train": 4.5, "total": 1234.0}
    with Store.open(tmp_path / "results.db") as store:
        store.put_run(make_run("ease", epochs=0, best_epoch=0, curve=[point], seconds=seconds, fingerprint="f" * 32))
    app = open_page(monkeypatch, tmp_path / "results.db", "run", run="f")
    facts = app.dataframe[1].value
    told = dict(zip(facts["field"], facts["value"], strict=True))
    assert told["best epoch"] == ABSENT
    assert (told["train (s)"], told["total (s)"]) == ("4.5", "1,234.0")
    assert not any("dashed line" in caption.value for caption in app.caption)


def test_learned_and_frozen_parameters_are_told_apart(tmp_path, monkeypatch):
    with Store.open(tmp_path / "results.db") as store:
        store.put_run(make_run(fingerprint="f" * 32, parameters=600, notes={"frozen_parameters": 9400}))
    app = open_page(monkeypatch, tmp_path / "results.db", "run", run="f")
    facts = app.dataframe[1].value
    told = dict(zip(facts["field"], facts["value"], strict=True))["parameters"]
    assert told == "600 learned, 9,400 frozen (6.0 % learned)"


def test_the_beginning_of_a_fingerprint_is_enough(sampled, monkeypatch):
    app = open_page(monkeypatch, sampled, "run", run=" A6a6")
    assert app.header[0].value == "resnet"


@pytest.mark.parametrize("wanted", ["zz", "a", "' or 1=1 --", "%"])
def test_a_run_that_is_not_there_says_so(sampled, monkeypatch, wanted):
    app = open_page(monkeypatch, sampled, "run", run=wanted)
    assert app.error[0].value == "This cannot be shown."
    assert "begin" in texts(app) and not app.header


def test_without_a_fingerprint_a_run_is_chosen(filled, monkeypatch):
    app = open_page(monkeypatch, filled, "run", dataset="baby", method="bpr", seed="2")
    assert app.selectbox(key="seed").value == "2"
    assert app.dataframe[1].value["value"].tolist()[0] == fingerprint("bpr", 2, "baby")
    app.selectbox(key="method").select("mgcn").run()
    assert not app.exception and app.header[0].value == "mgcn"


def test_another_run_can_be_chosen(filled, monkeypatch):
    app = open_page(monkeypatch, filled, "run", run=MGCN)
    assert not [box for box in app.selectbox if box.key == "method"]
    app.button[0].click().run()
    assert not app.exception and [box for box in app.selectbox if box.key == "method"]


def test_generated_data_and_failures_are_marked(filled, tmp_path, monkeypatch):
    app = open_page(monkeypatch, filled, "run", run=fingerprint("mgcn", 0, "baby-twin"))
    assert "Generated data" in app.warning[0].value
    with Store.open(tmp_path / "results.db") as store:
        store.put_run(make_run(fingerprint="f" * 32, status="failed", metrics={}, valid={}, error=f"Boom {SCRIPT}"))
    app = open_page(monkeypatch, tmp_path / "results.db", "run", run="f")
    assert f"Boom {SCRIPT}" in [code.value for code in app.code]


def test_configuration_shows_the_search_and_the_graphs(filled, monkeypatch):
    app = open_page(monkeypatch, filled, "run", run=MGCN, part="Configuration")
    config = app.dataframe[0].value
    assert dict(zip(config["field"], config["value"], strict=True)) == {"lr": "0.001", "dim": "64"}
    assert any("among 14 trials" in caption.value for caption in app.caption)


def test_provenance_shows_commit_packages_and_identity(filled, monkeypatch):
    app = open_page(monkeypatch, filled, "run", run=MGCN, part="Provenance")
    made = app.dataframe[0].value
    fields = dict(zip(made["field"], made["value"], strict=True))
    assert fields["commit"] == "abc" and fields["method's source"].endswith("(has changed since)")
    assert fields["spec"].startswith("quickstart")
    packages = app.dataframe[2].value
    assert dict(zip(packages["field"], packages["value"], strict=True)) == {"torch": "2.13.0"}
    assert json.loads(app.code[0].value)["method"] == "mgcn"


def test_the_spec_repeats_the_run_and_can_be_downloaded(filled, monkeypatch, downloads):
    app = open_page(monkeypatch, filled, "run", run=MGCN, part="Repeat it")
    (text,) = [make() for name, make in downloads.items() if name.endswith(".yaml")]
    assert text.rstrip() == app.code[0].value
    spec = yaml.safe_load(text)
    (experiment,) = spec["experiments"]
    assert experiment["methods"] == [{"method": "mgcn", "set": {"lr": 1e-3, "dim": 64}}]
    assert spec["budgets"]["repeat"]["seeds"] == [1] and experiment["metrics"] == ["ndcg@20", "recall@20"]
    assert "version: 1" in [code.value for code in app.code][-1]


def test_the_graphs_of_a_run_are_written_into_its_spec(tmp_path):
    with Store.open(tmp_path / "results.db") as store:
        store.put_view(make_view())
        store.put_run(make_run(fingerprint="a" * 32, method="two\nlines"))
        text = repeating_spec(load_whole(store, "a"))
    spec = yaml.safe_load(text)
    assert spec["experiments"][0]["methods"][0]["views"] == {"ui": ["bipartite", {"sym_norm": {"eps": 0.0}}]}
    assert spec["experiments"][0]["methods"][0]["method"] == "two\nlines"


def test_a_skipped_cell_has_nothing_to_repeat(filled, monkeypatch):
    app = open_page(monkeypatch, filled, "run", run=fingerprint("vbpr", 0, "baby"), part="Repeat it")
    assert "skipped" in app.info[0].value and f"needs {NASTY}" in texts(app)


def test_prompts_stand_beside_their_images(sampled, monkeypatch):
    app = open_page(monkeypatch, sampled, "run", run="a1a1", part="Samples")
    assert [text for text in (element.value for element in app.text) if text in PROMPTS] == PROMPTS
    headings = [caption.value for caption in app.caption]
    assert headings[:2] == ["drawn", "real"]
    assert len(app.get("image")) == 6


def test_the_confusion_matrix_lists_the_worst_confusions(sampled, monkeypatch, downloads):
    app = open_page(monkeypatch, sampled, "run", run="a6a6", part="Samples")
    listed = app.dataframe[0].value
    assert listed[["true", "taken for", "images"]].to_numpy().tolist()[0] == ["apple", "pear", 3]
    assert "22 test images of 4 classes, 16 named right" in app.caption[0].value
    (cells,) = [make() for name, make in downloads.items() if name.startswith("confusion") and name.endswith(".csv")]
    found = {(row["true"], row["predicted"]): int(row["images"]) for row in csv.DictReader(io.StringIO(cells))}
    assert found["leek", "pear"] == 2 and sum(found.values()) == 22
    (classes,) = [make() for name, make in downloads.items() if name.startswith("accuracy-by-class")]
    assert {row["true"] for row in csv.DictReader(io.StringIO(classes))} == set(CLASSES)
    (picture,) = [make() for name, make in downloads.items() if name.startswith("confusion-matrix")]
    assert picture.startswith(b"\x89PNG")


def test_clips_kept_and_the_table_are_chosen_by_the_address(sampled, monkeypatch, downloads):
    app = open_page(monkeypatch, sampled, "run", run="a4a4", part="Samples", show="clips kept")
    assert len(app.get("image")) == 1
    (weights,) = [make() for name, make in downloads.items() if name.endswith(".csv")]
    rows = list(csv.DictReader(io.StringIO(weights)))
    first = {
        row["place"]: float(row["weight"]) for row in rows if row["weights"] == "appearance" and row["cycle"] == "1"
    }
    assert first == {"1": 0.9, "2": 0.8, "3": 0.1}
    assert [row["word"] for row in rows if row["weights"] == "words 1"] == ["how", "many", "red", "things"]
    app = open_page(monkeypatch, sampled, "run", run="a4a4", part="Samples", show="accuracy by type")
    assert app.dataframe[0].value["accuracy"].tolist() == [0.25]


def test_a_run_without_samples_says_so(sampled, monkeypatch):
    app = open_page(monkeypatch, sampled, "run", run="a7a7", part="Samples")
    assert "numbers only" in app.info[0].value


def test_nothing_of_a_run_is_read_as_markup(sampled, monkeypatch):
    app = open_page(monkeypatch, sampled, "run", run="a2a2", part="Samples")
    assert not any(SCRIPT in text for text in marked_up(app))
    assert app.header[0].value.startswith("\\<script\\>alert")


def test_the_page_leaves_the_store_as_it_is(sampled, monkeypatch):
    before = sampled.read_bytes()
    for part in ("Results", "Samples", "Configuration", "Provenance", "Repeat it"):
        open_page(monkeypatch, sampled, "run", run="a4a4", part=part)
    assert sampled.read_bytes() == before
