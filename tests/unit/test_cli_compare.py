"""`bench compare`, `bench report --reference` and `bench leaderboard`, on a small store made of records."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import typer
from store_factories import NOON, make_run
from typer.testing import CliRunner

from bench.analysis.multiple import holm
from bench.analysis.summary import summarise
from bench.cli import compare, leaderboard, report
from bench.cli.app import BenchGroup
from bench.errors import UserError
from bench.store import Store, encode_units
from bench.store.records import UnitScores

if TYPE_CHECKING:
    from pathlib import Path

app = typer.Typer(cls=BenchGroup)
for name, module in {"compare": compare, "report": report, "leaderboard": leaderboard}.items():
    app.command(name)(module.command)


def fill(path: Path) -> None:
    base = np.random.default_rng(0).random(200)
    with Store.open(str(path)) as store:
        for method, gain, seeds in (("mgcn", 0.1, 4), ("bpr", 0.0, 4), ("vbpr", 0.1, 2), ("alone", 0.0, 3)):
            dataset = "tiktok" if method == "alone" else "baby"
            for seed in range(seeds):
                noise = np.random.default_rng([seed, len(method)]).normal(0, 0.02, 200)
                scores = {"recall@20": base + gain + noise, "ndcg@20": base / 2 + gain}
                scores["ndcg@20"][:7] = np.nan
                means = {metric: float(np.nanmean(values)) for metric, values in scores.items()}
                detail = {"trials": 0, "epochs": 3, "seeds": list(range(seeds))}
                run = make_run(method, seed, metrics=means, budget_detail=detail, dataset=dataset)
                store.put_run(run, UnitScores(run=run.fingerprint, arrow=encode_units(np.arange(200), scores)))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("compare") / "results.db"
    fill(path)
    return str(path)


def bench(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result.output


def as_json(store: str, *arguments: str) -> Any:
    return json.loads(bench("compare", *arguments, "--resamples", "500", "--store", store, "--json"))["comparisons"]


def test_the_difference_is_the_first_minus_the_second(store: str) -> None:
    (one,) = as_json(store, "mgcn", "bpr")
    (turned,) = as_json(store, "bpr", "mgcn")
    assert one["metric"] == "recall@20"
    assert one["difference"] == pytest.approx(one["mean_a"] - one["mean_b"])
    assert one["difference"] == pytest.approx(0.1, abs=0.01)
    assert turned["difference"] == pytest.approx(-one["difference"])
    assert one["interval"][0] < one["difference"] < one["interval"][1]
    assert (one["units"], one["seeds"]) == (200, [0, 1, 2, 3])
    assert one["verdict"] == turned["verdict"] == "mgcn is better than bpr, over units and over seeds"
    assert one["effect"]["higher"] + one["effect"]["lower"] + one["effect"]["equal"] == 200
    assert set(one["by_seed"]) == {"0", "1", "2", "3"}


def test_the_correction_covers_all_pairs_and_metrics_shown(store: str) -> None:
    found = as_json(store, "mgcn", "bpr", "vbpr", "--metric", "recall@20", "--metric", "ndcg@20")
    assert len(found) == 6
    assert [pair["p_corrected"] for pair in found] == pytest.approx(holm([pair["p_value"] for pair in found]))


def test_settings_of_one_method_are_compared_by_their_rows_names(tmp_path: Path) -> None:
    path = str(tmp_path / "variants.db")
    with Store.open(path) as opened:
        for units, gain in ((1, 0.0), (4, 0.25)):
            for seed in range(2):
                config = {"units": units}
                identity = {"seed": seed, "method": "dualvgr", "config": config}
                scores = {"accuracy": np.arange(50) % 2 * 0.5 + gain}
                metrics = {"accuracy": float(scores["accuracy"].mean())}
                own = {"config": config, "identity": identity, "fingerprint": f"{units}{seed}" * 16}
                own["created"] = NOON + timedelta(hours=units)
                run = make_run("dualvgr", seed, metrics=metrics, **own)
                opened.put_run(run, UnitScores(run=run.fingerprint, arrow=encode_units(np.arange(50), scores)))
    (one,) = as_json(path, "dualvgr (units=4)", "dualvgr")
    assert (one["a"], one["b"], one["difference"]) == ("dualvgr (units=4)", "dualvgr", 0.25)
    assert "dualvgr (units=4) is better than dualvgr on these units" in one["verdict"]
    with Store.open(path, read_only=True) as opened:
        (table,) = summarise(opened.runs())
        assert table.names() == ["dualvgr (units=4)", "dualvgr"]
        rows = (replace(table.rows[0], older=True), table.rows[1])
        assert replace(table, rows=rows).names() == ["dualvgr"]
    said = bench("compare", "dualvgr (units=3)", "dualvgr", "--store", path, code=2)
    assert "dualvgr, dualvgr (units=4)" in " ".join(said.split())


def test_units_about_which_a_metric_says_nothing_are_left_out(store: str) -> None:
    (one,) = as_json(store, "mgcn", "bpr", "--metric", "ndcg@20")
    assert (one["units"], one["units_left_out"]) == (193, 7)


def test_too_few_seeds_is_said(store: str) -> None:
    (one,) = as_json(store, "vbpr", "bpr")
    assert one["over_seeds"]["too_few"]["need"] == 3
    assert one["seed_permutation_p_value"]["too_few"]["have"] == 2
    assert one["verdict"].endswith("too few seeds to say so of the methods")
    text = bench("compare", "vbpr", "bpr", "--resamples", "500", "--store", store)
    assert "over seeds: too few: 2 seeds per method; 3 are needed" in text


def test_a_person_reads_all_that_was_asked_for(store: str) -> None:
    text = bench("compare", "mgcn", "bpr", "--dataset", "baby", "--resamples", "500", "--store", store)
    for said in ("mgcn − bpr", "+0.10", "p (Holm)", "d_z", "Cliff's δ", "200", "Welch's t", "1 comparison"):
        assert said in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("mgcn",), "at least two different methods"),
        (("mgcn", "mgcn"), "at least two different methods"),
        (("mgcn", "bpx"), "no run of method 'bpx'"),
        (("mgcn", "bpx"), "Did you mean 'bpr'?"),
        (("mgcn", "bpr", "--dataset", "babe"), "Did you mean 'baby'?"),
        (("mgcn", "bpr", "--metric", "recal@20"), "Did you mean 'recall@20'?"),
        (("mgcn", "bpr", "--budget", "full"), "no run of budget 'full'"),
        (("mgcn", "bpr", "--dataset", "tiktok"), "has dataset tiktok"),
        (("mgcn", "alone"), "they share no dataset, protocol and budget"),
    ],
)
def test_what_cannot_be_compared_is_told(store: str, arguments: tuple[str, ...], said: str) -> None:
    assert said in bench("compare", *arguments, "--store", store, code=2)


def test_an_empty_store_is_told(tmp_path: Path) -> None:
    Store.open(str(tmp_path / "empty.db")).close()
    assert "holds no run yet" in bench("compare", "a", "b", "--store", str(tmp_path / "empty.db"), code=2)


def test_a_report_with_a_reference_marks_rows_in_the_terminal(store: str) -> None:
    text = bench("report", "--dataset", "baby", "--reference", "bpr", "--store", store)
    assert "*" in next(line for line in text.splitlines() if line.startswith(" mgcn"))
    assert "better, † worse than bpr" in text
    assert "reference 'bpx'" in bench("report", "--reference", "bpx", "--store", store, code=2)


def test_a_report_goes_to_a_file_in_the_format_its_name_says(store: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert "2 tables written" in bench("report", "--out", str(page), "--store", store)
    assert page.read_text().startswith("<!doctype html>")
    bench("report", "--format", "tex", "--out", str(tmp_path / "table.txt"), "--store", store)
    assert r"\toprule" in (tmp_path / "table.txt").read_text()
    assert "in which format" in bench("report", "--out", str(tmp_path / "x.doc"), "--store", store, code=2)
    assert "cannot be written" in bench("report", "--out", str(tmp_path / "no" / "x.md"), "--store", store, code=2)
    assert bench("report", "--format", "html", "--store", store).startswith("<!doctype html>")


def test_the_leaderboard_is_started_on_this_store_and_this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    class Ended:
        returncode = 0

    monkeypatch.setattr(leaderboard.subprocess, "run", lambda command, check: asked.append(command) or Ended())
    bench("leaderboard", "--store", "some.db", "--port", "8600", "--no-browser")
    (command,) = asked
    assert command[:4] == [sys.executable, "-m", "streamlit", "run"]
    assert command[command.index("--server.port") + 1] == "8600"
    assert command[command.index("--server.address") + 1] == "localhost"
    assert command[command.index("--server.headless") + 1] == "true"
    assert command[-3:] == ["--", "--store", "some.db"]


def test_a_leaderboard_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not beside the package") as caught:
        leaderboard.find_app(tmp_path / "bench")
    assert "--format html" in caught.value.hint


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("--dataset", "tiktk"), "Did you mean 'tiktok'?"),
        (("--task", "nope"), "no run of task 'nope'"),
        (("--method", "mgnc"), "Did you mean 'mgcn'?"),
        (("--method", "mgcn (dim=9)"), "no row 'mgcn (dim=9)'"),
        (("--method", "bpr", "--method", "mgcn (dim=9)"), "no row 'mgcn (dim=9)'"),
        (("--metric", "recal@20"), "Did you mean 'recall@20'?"),
    ],
)
def test_a_report_names_what_the_store_does_not_have(store: str, wrong: tuple[str, ...], message: str) -> None:
    assert message in bench("report", "--store", store, *wrong, code=2)


def test_a_report_of_names_that_never_meet_is_empty_and_no_error(store: str) -> None:
    assert "fits" in bench("report", "--store", store, "--dataset", "tiktok", "--method", "bpr")


def test_a_report_takes_rows_by_the_names_they_have_in_tables(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    with Store.open(path) as opened:
        for units in (1, 4):
            opened.put_run(make_run("dualvgr", 0, config={"units": units}, identity={"config": {"units": units}}))
        opened.put_run(make_run("hga", 0))
    (table,) = json.loads(bench("report", "--store", str(path), "--json"))
    names = [f"{row['method']} ({row['detail']})" for row in table["rows"] if row["detail"]]
    assert len(names) == 1 and len(table["rows"]) == 3, "one has the method's bare name"
    (chosen,) = json.loads(bench("report", "--store", str(path), "--json", "--method", names[0]))
    assert [f"{row['method']} ({row['detail']})" for row in chosen["rows"]] == names
    (both,) = json.loads(bench("report", "--store", str(path), "--json", "--method", "dualvgr"))
    assert [row["method"] for row in both["rows"]] == ["dualvgr"] * 2


def test_a_report_of_one_metric_leaves_out_tables_that_have_none(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    with Store.open(path) as opened:
        opened.put_run(make_run("mgcn", 0, metrics={"recall@20": 0.5}))
        opened.put_run(make_run("resnet", 0, metrics={"top1": 0.5}, dataset="grocery", select="top1"))
    tables = json.loads(bench("report", "--store", str(path), "--json", "--metric", "top1"))
    assert [table["dataset"] for table in tables] == ["grocery"]
