"""`show`, `status` and `export-spec` on a small store made of records."""

from __future__ import annotations

import json
import re
import shutil
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typer.testing import CliRunner

from bench.cli.app import build
from bench.store import Store
from bench.store.records import CurvePoint, RunRecord, StudyRecord, TrialRecord

if TYPE_CHECKING:
    from pathlib import Path

runner = CliRunner()
NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)
CONFIG = {"dim": 64, "lr": 1e-05, "train_features": True}


def run_record(**changes: Any) -> RunRecord:
    values: dict[str, Any] = {
        "fingerprint": "a" * 32,
        "identity": {"precision": "64-true", "seed": 0},
        "status": "done",
        "family": "recommendation",
        "task": "recommendation",
        "protocol": "mmrec-v1",
        "dataset": "baby-twin@0.05",
        "generated": True,
        "method": "mgcn",
        "method_digest": "d" * 32,
        "budget": "small",
        "budget_detail": {"trials": 2, "epochs": 3, "patience": 20, "trial_epochs": None},
        "seed": 0,
        "select": "recall@20",
        "config": CONFIG,
        "dataset_digest": "e" * 64,
        "best_epoch": 2,
        "epochs": 3,
        "valid": {"recall@20": 0.111111111},
        "metrics": {"ndcg@20": 0.05, "recall@20": 0.123456789},
        "n_units": 900,
        "parameters": 12345,
        "seconds": {"train": 1.5},
        "curve": [CurvePoint(epoch=e, values={"loss": 1 / e, "valid/recall@20": 0.1 * e}) for e in range(1, 31)],
        "created": NOON,
    }
    return RunRecord.model_validate(values | changes)


STUDY = StudyRecord(
    fingerprint="5" * 32,
    task="recommendation",
    protocol="mmrec-v1",
    dataset="baby-twin@0.05",
    method="mgcn",
    budget="small",
    sampler="tpe",
    pruner="median",
    select="recall@20",
    direction="maximize",
    space={"lr": {"log": [1e-5, 1e-1]}},
    trials=2,
    best_trial=1,
    created=NOON,
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "results.db"
    with Store.open(path) as opened:
        opened.put_study(STUDY)
        for number, status in enumerate(("pruned", "done")):
            opened.put_trial(
                TrialRecord(
                    study=STUDY.fingerprint,
                    number=number,
                    status=status,  # type: ignore[arg-type]
                    params={"lr": 0.001 * (number + 1)},
                    config=CONFIG,
                    value=0.1 * number,
                    best_epoch=1,
                    epochs=2,
                    seconds=1.0,
                    created=NOON,
                )
            )
        opened.put_run(run_record(study=STUDY.fingerprint))
        opened.put_run(
            run_record(
                fingerprint="b" * 32,
                method="befa[mgcn]",
                config={"alpha": 0.5, "wrapped": CONFIG},
                created=NOON + timedelta(1),
            )
        )
        opened.put_run(
            run_record(
                fingerprint="c" * 32,
                method="vbpr",
                seed=1,
                status="diverged",
                metrics={},
                valid={},
                error="DivergedError: the loss is not finite in epoch 2\n  a traceback",
            )
        )
        opened.put_run(
            run_record(
                fingerprint="f" * 32,
                method="lattice",
                status="skipped",
                reason="needs modality 'text'",
                metrics={},
                valid={},
            )
        )
    return path


@pytest.fixture
def store(template: Path, tmp_path: Path) -> str:
    return str(shutil.copy(template, tmp_path / "results.db"))


def invoke(*arguments: str, code: int = 0) -> str:
    result = runner.invoke(build(), list(arguments))
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


@pytest.mark.parametrize("name", ["aaaa", "AAAA", "mgcn:baby-twin@0.05:0"])
def test_show_finds_a_run_by_fingerprint_or_name(store: str, name: str) -> None:
    text = invoke("show", name, "--store", store)
    assert text.startswith("mgcn on baby-twin@0.05 (generated), seed 0 · recommendation · mmrec-v1 · budget small\n")
    assert "0.1235" in text
    assert "search: tpe, median pruner, 2 of 2 trials by recall@20" in text


def test_show_tells_learned_from_frozen_parameters(tmp_path: Path) -> None:
    with Store.open(tmp_path / "frozen.db") as opened:
        opened.put_run(run_record(method="galip", parameters=600, notes={"frozen_parameters": 9400}))
    assert "600 learned, 9,400 frozen (6.0 % learned)" in invoke("show", "aaaa", "--store", str(tmp_path / "frozen.db"))


def test_show_json_has_full_precision_and_the_whole_curve(store: str) -> None:
    shown = json.loads(invoke("show", "aaaa", "--store", store, "--json"))
    assert shown["run"]["metrics"]["recall@20"] == 0.123456789
    assert len(shown["run"]["curve"]) == 30
    assert len(shown["trials"]) == 2
    assert shown["study"]["best_trial"] == 1


def test_show_thins_a_long_curve_but_keeps_its_end(store: str) -> None:
    curve = invoke("show", "aaaa", "--store", store).split("curve (30 epochs)")[1].splitlines()
    epochs = [int(line.split()[0]) for line in curve[2:] if line.strip()]
    assert len(epochs) <= 13
    assert (epochs[0], epochs[-1]) == (1, 30)


def test_show_has_a_column_for_each_loss_of_what_is_trained_in_turns(tmp_path: Path) -> None:
    values = {"loss/discriminator": 0.25, "loss/discriminator/penalty": 0.125, "loss/generator": -3.5}
    with Store.open(tmp_path / "turns.db") as opened:
        opened.put_run(run_record(curve=[CurvePoint(epoch=1, values=values | {"valid/recall@20": 0.5})]))
    curve = invoke("show", "aaaa", "--store", str(tmp_path / "turns.db")).split("curve (1 epoch)")[1]
    assert "penalty" not in curve
    head, row = curve.split("\n")[1:3]
    columns = re.split(r"\s{2,}", head.strip())
    assert columns == ["epoch", "loss of discriminator", "loss of generator", "valid recall@20"]
    assert row.split() == ["1", "0.25", "-3.5", "0.5000"]


def test_show_prints_why_a_run_did_not_finish(store: str) -> None:
    assert "the loss is not finite in epoch 2" in invoke("show", "cccc", "--store", store)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mgcn:baby:0", "no run of method 'mgcn' on dataset 'baby' with seed 0"),
        ("mgcn:baby", "is not of the form METHOD:DATASET:SEED"),
        ("mgcn:baby:x", "is not of the form METHOD:DATASET:SEED"),
        ("0123", "begins with '0123'"),
    ],
)
def test_a_run_that_is_not_there_is_the_users_error(store: str, name: str, message: str) -> None:
    errors = invoke("show", name, "--store", store, code=2)
    assert errors.startswith("error: ")
    assert message in errors
    assert "hint: " in errors


def test_the_nearest_run_is_named(store: str) -> None:
    assert "mgcn:baby-twin@0.05:0" in invoke("show", "mgcn:baby-twin@0.5:0", "--store", store, code=2)


def test_a_name_that_means_runs_under_two_budgets_is_refused(store: str) -> None:
    with Store.open(store) as opened:
        opened.put_run(run_record(fingerprint="9" * 32, budget="full"))
    errors = invoke("show", "mgcn:baby-twin@0.05:0", "--store", store, code=2)
    assert "999999999999" in errors
    assert "aaaaaaaaaaaa" in errors


def test_of_runs_with_one_name_and_question_the_newest_finished_one_is_shown(store: str) -> None:
    with Store.open(store) as opened:
        opened.put_run(run_record(fingerprint="8" * 32, created=NOON + timedelta(days=2)))
        opened.put_run(run_record(fingerprint="7" * 32, created=NOON + timedelta(days=3), status="failed", metrics={}))
    shown = json.loads(invoke("show", "mgcn:baby-twin@0.05:0", "--store", store, "--json"))
    assert shown["run"]["fingerprint"] == "8" * 32


def test_status_counts_runs_and_says_why_some_did_not_finish(store: str) -> None:
    text = invoke("status", "--store", store)
    assert "done=2" in text
    assert "skipped: needs modality 'text'" in text
    assert "diverged: DivergedError: the loss is not finite in epoch 2\n" in text
    counts = json.loads(invoke("status", "--store", store, "--json"))
    assert counts["runs"] == {"done": 2, "diverged": 1, "skipped": 1}
    assert {run["status"] for run in counts["unfinished"]} == {"diverged", "skipped"}


def test_the_store_may_be_named_by_the_environment(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_STORE", store)
    assert json.loads(invoke("status", "--json"))["runs"]["done"] == 2


@pytest.mark.parametrize("verb", [["status"], ["show", "a"], ["export-spec", "a"], ["report"]])
def test_a_store_that_is_not_there_is_the_users_error_and_is_not_made(verb: list[str], tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    assert "there is no store" in invoke(*verb, "--store", str(path), code=2)
    assert not path.exists()


def test_an_exported_spec_fixes_everything_and_searches_nothing(store: str) -> None:
    text = invoke("export-spec", "aaaa", "--store", store)
    assert text.startswith("# Repeats run " + "a" * 32)
    spec = yaml.safe_load(text)
    (experiment,) = spec["experiments"]
    assert experiment["methods"] == [{"method": "mgcn", "set": CONFIG}]
    assert experiment["datasets"] == [{"dataset": "baby-twin@0.05", "protocol": "mmrec-v1"}]
    assert spec["budgets"][spec["budget"]] == {"trials": 0, "epochs": 3, "patience": 20, "seeds": [0]}
    assert spec["resources"] == {"precision": "64-true"}


def test_an_exported_spec_is_a_spec(store: str, tmp_path: Path) -> None:
    from bench.spec.loader import load_spec

    for prefix in ("aaaa", "bbbb", "cccc"):
        path = tmp_path / f"{prefix}.yaml"
        path.write_text(invoke("export-spec", prefix, "--store", store))
        loaded = load_spec(path).spec
        assert loaded.budgets["repeat"].trials == 0


def test_an_exported_adapter_keeps_what_it_wraps(store: str) -> None:
    recipe = json.loads(invoke("export-spec", "bbbb", "--store", store, "--json"))
    assert recipe["experiments"][0]["methods"] == [
        {"method": "befa", "set": {"alpha": 0.5}, "wrap": {"method": "mgcn", "set": CONFIG}}
    ]


def test_a_skipped_run_cannot_be_repeated(store: str) -> None:
    assert "there is nothing to repeat" in invoke("export-spec", "ffff", "--store", store, code=2)


def test_status_tells_a_run_at_work_from_what_a_killed_run_left(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    from bench.execution.results import LOCK, jobs_folder

    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    assert "nothing runs\n" in invoke("status", "--store", store)
    folder = jobs_folder(store)
    (folder / "0123abcd").mkdir(parents=True)
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "a `bench run` is at work here, 1 job in progress" in invoke("status", "--store", store)
    assert "1 job left behind" in invoke("status", "--store", store)
    counts = json.loads(invoke("status", "--store", store, "--json"))
    assert (counts["running"], counts["jobs_begun"]) == (False, ["0123abcd"])
