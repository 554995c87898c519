"""`merge` and `prune`: runs into a store, and out of it, with all that belongs to them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import sqlalchemy as sa
from test_cli_store_verbs import NOON, STUDY, invoke, run_record

from bench.methods.registry import current_digests
from bench.store import Store, codec
from bench.store.records import EnvironmentRecord, ExperimentRecord, SampleRecord, TrialRecord, UnitScores, ViewRecord
from bench.store.tables import Base, Run

if TYPE_CHECKING:
    from pathlib import Path

FULL = "1" * 32
ENVIRONMENT = EnvironmentRecord(
    digest="7" * 32, git_commit="0" * 40, git_dirty=False, packages={}, hardware={}, python="3.11"
)
VIEW = ViewRecord(digest="8" * 64, name="ui", dataset="x", pipeline=[], rows=2, cols=3, edges=4, seconds=0.5)


def experiment(text: str) -> ExperimentRecord:
    return ExperimentRecord(spec_digest="9" * 32, name="x", spec_text=text, resolved={}, budget="small", created=NOON)


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "source.db"
    with Store.open(path) as opened:
        opened.put_environment(ENVIRONMENT)
        opened.put_experiment(experiment("# theirs"))
        opened.put_view(VIEW)
        opened.put_study(STUDY)
        opened.put_trial(
            TrialRecord(
                study=STUDY.fingerprint,
                number=0,
                status="done",
                params={},
                config={},
                value=0.5,
                best_epoch=1,
                epochs=2,
                seconds=1.0,
                created=NOON,
                curve=run_record().curve[:2],
            )
        )
        units = codec.encode_units(np.array([3, 5, 9]), {"recall@20": np.array([0.0, 0.25, np.nan])})
        run = run_record(
            fingerprint=FULL, study=STUDY.fingerprint, environment=ENVIRONMENT.digest, spec_digest="9" * 32,
            views={"ui": VIEW.digest},
        )  # fmt: skip
        sample = SampleRecord(run=FULL, number=0, unit="u", prompt="a red cat", media_type="text/plain", data=b"\x00x")
        opened.put_run(run, UnitScores(run=FULL, arrow=units), [sample])
        opened.put_run(run_record(fingerprint="2" * 32, seed=1, status="interrupted"))
    return str(path)


def everything(store: str, fingerprint: str = FULL) -> list[object]:
    with Store.open(store, read_only=True) as opened:
        run = opened.find_run(fingerprint)
        assert run is not None
        frame = opened.unit_scores(fingerprint)
        assert frame is not None
        return [
            run, frame.schema, frame.to_dict(as_series=False).__repr__(), opened.samples(fingerprint),
            opened.study(run.study or ""), opened.trials(run.study or ""), opened.environment(run.environment or ""),
            opened.view(run.views["ui"]),
        ]  # fmt: skip


def test_a_merged_run_brings_all_that_belongs_to_it(source: str, tmp_path: Path) -> None:
    target = str(tmp_path / "target.db")
    shown = json.loads(invoke("merge", source, "--store", target, "--json"))
    assert shown == {source: {"copied": [FULL], "there": [], "unfinished": ["2" * 32]}}
    assert everything(target) == everything(source)


def test_a_run_that_is_there_keeps_its_place_and_a_second_merge_changes_nothing(source: str, tmp_path: Path) -> None:
    target = tmp_path / "target.db"
    with Store.open(target) as opened:
        opened.put_experiment(experiment("# ours"))
        opened.put_run(run_record(fingerprint=FULL, metrics={"recall@20": 0.75}))
    shown = json.loads(invoke("merge", source, "--store", str(target), "--json"))
    assert shown[source]["there"] == [FULL]
    with Store.open(target, read_only=True) as opened:
        found, told = opened.find_run(FULL), opened.experiment("9" * 32)
    assert found is not None and found.metrics == {"recall@20": 0.75}
    assert told is not None and told.spec_text == "# ours"
    before = target.read_bytes()
    invoke("merge", source, "--store", str(target))
    assert target.read_bytes() == before


def test_a_merge_that_was_cut_off_within_a_search_is_taken_up(source: str, tmp_path: Path) -> None:
    target = str(tmp_path / "target.db")
    with Store.open(target) as opened:
        opened.put_study(STUDY)
    invoke("merge", source, "--store", target)
    assert everything(target) == everything(source)


def test_names_that_no_run_has_are_told(source: str, tmp_path: Path) -> None:
    target = tmp_path / "target.db"
    said = invoke("merge", source, "--store", str(target), "--method", "mgnc", code=2)
    assert "Did you mean 'mgcn'?" in said
    assert not target.exists()
    assert "no run of dataset 'babi'" in invoke("prune", "--older", "--store", source, "--dataset", "babi", code=2)


def test_merge_takes_only_what_is_asked_for(source: str, tmp_path: Path) -> None:
    with Store.open(source) as opened:
        opened.put_run(run_record(fingerprint="4" * 32, method="vbpr", dataset="beauty"))
    for asked, copied in (
        (["--dataset", "beauty"], 1),
        (["--method", "vbpr"], 1),
        (["--method", "mgcn", "--dataset", "beauty"], 0),
    ):
        target = str(tmp_path / f"{asked[1]}.db")
        assert len(json.loads(invoke("merge", source, "--store", target, "--json", *asked))[source]["copied"]) == copied


def test_merge_copies_nothing_when_a_source_is_missing_or_the_store_itself(source: str, tmp_path: Path) -> None:
    target = tmp_path / "target.db"
    said = invoke("merge", source, str(tmp_path / "sourse.db"), "--store", str(target), code=2)
    assert "there is no store" in said
    assert not target.exists()
    # The same file by another path.
    said = invoke("merge", str(tmp_path / "." / ".." / tmp_path.name / "source.db"), "--store", source, code=2)
    assert "is the store itself" in said


def test_pruning_removes_what_no_run_is_left_of_and_nothing_else(source: str) -> None:
    with Store.open(source) as opened:
        current = current_digests(["bpr"])["bpr"]
        assert current is not None
        opened.put_run(run_record(fingerprint="3" * 32, method="bpr", method_digest=current, spec_digest="9" * 32))
    shown = json.loads(invoke("prune", "--older", "--yes", "--json", "--store", source))
    assert sorted(shown["removed"]) == [FULL, "2" * 32]
    with Store.open(source, read_only=True) as opened:
        assert [run.fingerprint for run in opened.runs()] == ["3" * 32]
        assert opened.study(STUDY.fingerprint) is None and opened.environment(ENVIRONMENT.digest) is None
        assert opened.experiment("9" * 32) is not None
        with opened.reading() as connection:
            left = {
                name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                for name, table in Base.metadata.tables.items()
            }
    assert {name: left[name] for name in ("sample", "unit_scores", "trial", "study", "environment")} == dict.fromkeys(
        ("sample", "unit_scores", "trial", "study", "environment"), 0
    )
    assert (left["run"], left["curve"], left["experiment"]) == (1, 1, 1)


def test_pruning_the_unfinished_keeps_what_is_done(source: str) -> None:
    shown = json.loads(invoke("prune", "--unfinished", "--yes", "--json", "--store", source))
    assert shown["removed"] == ["2" * 32]
    with Store.open(source, read_only=True) as opened:
        assert opened.find_run(FULL) is not None


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--older"], "nobody is here to ask"), ([], "nothing says which runs are to go")]
)
def test_pruning_without_an_answer_removes_nothing(source: str, arguments: list[str], said: str) -> None:
    assert said in invoke("prune", *arguments, "--store", source, code=2)
    with Store.open(source, read_only=True) as opened, opened.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(Run)).scalar_one() == 2
