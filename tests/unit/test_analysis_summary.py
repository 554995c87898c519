"""Tests of the rows of result tables: what is averaged, what is not, and in which order rows come."""

from __future__ import annotations

import csv
from datetime import timedelta

import pytest
import scipy.stats
from store_factories import NOON, make_run

from bench.analysis.report import render
from bench.analysis.summary import effort_text, metric_direction, summarise
from bench.errors import UserError
from bench.store import TrialCounts


def budget(*seeds, **changes):
    return {"trials": 2, "epochs": 3, "patience": 20, "seeds": list(seeds)} | changes


def runs_of(method, values, *, seeds=None, **changes):
    seeds = tuple(range(len(values))) if seeds is None else seeds
    detail = changes.pop("budget_detail", budget(*seeds))
    return [
        make_run(method, seed, metrics={"recall@20": value, "ndcg@20": value / 2}, budget_detail=detail, **changes)
        for seed, value in zip(seeds, values, strict=True)
    ]


def test_a_row_averages_the_seeds_of_a_method():
    (table,) = summarise(runs_of("mgcn", [0.09, 0.10, 0.11]), trials={})
    (row,) = table.rows
    score = row.scores["recall@20"]
    assert score.mean == pytest.approx(0.10)
    half = scipy.stats.t.ppf(0.975, 2) * scipy.stats.sem([0.09, 0.10, 0.11])
    assert score.half_width == pytest.approx(half)
    assert score.values == (0.09, 0.10, 0.11)
    assert row.seeds == row.planned == (0, 1, 2)
    assert row.best_epoch == 3
    assert row.seconds_per_epoch == 2.0
    assert row.seconds == 9.0
    assert row.complete


def test_one_seed_has_a_mean_and_no_interval():
    (table,) = summarise(runs_of("mgcn", [0.09]))
    assert table.rows[0].scores["recall@20"].half_width is None


@pytest.mark.parametrize(
    "other",
    [
        {"protocol": "mmrec-tv-v1"},
        {"dataset": "tiktok"},
        {"dataset": "baby-twin", "generated": True},
        {"budget": "full"},
        {"task": "cold_start"},
        {"dataset_digest": "b" * 64},
        {"budget_detail": budget(0, epochs=4)},
    ],
)
def test_what_differs_in_more_than_method_and_seed_never_shares_a_table(other):
    tables = summarise([*runs_of("mgcn", [0.1]), *runs_of("bpr", [0.2], **other)])
    assert len(tables) == 2
    assert [len(table.rows) for table in tables] == [1, 1]
    assert tables[0].title != tables[1].title


def test_other_seeds_and_timeouts_are_the_same_effort():
    tables = summarise(
        [*runs_of("mgcn", [0.1]), *runs_of("bpr", [0.2], budget_detail=budget(0, 1, timeout_s=60, name="small"))]
    )
    assert len(tables) == 1


def test_a_failed_cell_is_a_row_with_its_status_and_never_part_of_a_mean():
    runs = runs_of("mgcn", [0.1, 0.2], seeds=(0, 2), budget_detail=budget(0, 1, 2))
    runs.append(
        make_run(
            "mgcn",
            1,
            status="diverged",
            metrics={},
            error="loss is nan in epoch 4\ntrace",
            budget_detail=budget(0, 1, 2),
        )
    )
    (table,) = summarise(runs)
    done, failed = table.rows
    assert done.scores["recall@20"].mean == pytest.approx(0.15)
    assert not done.complete
    assert (done.seeds, done.planned) == ((0, 2), (0, 1, 2))
    assert (failed.status, failed.reason, failed.seeds) == ("diverged", "loss is nan in epoch 4", (1,))
    assert failed.scores == {}


def test_a_seed_that_was_asked_for_and_is_not_there_shows():
    (table,) = summarise(runs_of("mgcn", [0.1], budget_detail=budget(0, 1, 2)))
    assert table.rows[0].planned == (0, 1, 2)
    assert not table.rows[0].complete


def test_a_metric_that_one_seed_lacks_has_no_mean():
    runs = runs_of("mgcn", [0.1, 0.2])
    runs[1] = runs[1].model_copy(update={"metrics": {"recall@20": 0.2}})
    (table,) = summarise(runs)
    assert set(table.rows[0].scores) == {"recall@20"}
    assert table.metrics == ("recall@20", "ndcg@20")


def test_skipped_cells_of_one_reason_are_one_row():
    skipped = [make_run("lattice", seed, status="skipped", reason="needs text", metrics={}) for seed in (0, 1)]
    (table,) = summarise(skipped)
    assert [(row.seeds, row.reason) for row in table.rows] == [((0, 1), "needs text")]


def test_a_skipped_cell_without_data_joins_the_table_of_its_name():
    skipped = make_run("lattice", status="skipped", reason="no data", metrics={}, dataset_digest="")
    (table,) = summarise([*runs_of("mgcn", [0.1]), skipped])
    assert [row.method for row in table.rows] == ["mgcn", "lattice"]
    (alone,) = summarise([skipped])
    assert alone.rows[0].status == "skipped"


def test_other_configurations_and_sources_are_rows_of_their_own():
    runs = [
        *runs_of("mgcn", [0.1, 0.12]),
        *runs_of("mgcn", [0.2, 0.22], identity={"config": {"lr": 1e-2}}),
        *runs_of("mgcn", [0.3, 0.32], method_digest="n" * 32),
        *runs_of("bpr", [0.05]),
    ]
    (table,) = summarise(runs)
    details = {row.detail: row.scores["recall@20"].mean for row in table.rows if row.method == "mgcn"}
    expected = {"": 0.11, "lr=0.01": 0.21, f"source {'n' * 7}": 0.31}
    assert details == {name: pytest.approx(value) for name, value in expected.items()}
    assert table.row("mgcn").detail == "", "the bare name is that of the row that speaks for the method"
    assert [row.detail for row in table.rows if row.method == "bpr"] == [""]


def test_older_source_is_marked():
    runs = [*runs_of("mgcn", [0.1]), *runs_of("bpr", [0.2], method_digest="old"), *runs_of("ease", [0.3])]
    (table,) = summarise(runs, current={"mgcn": "m" * 32, "bpr": "new", "ease": None})
    assert {row.method: row.older for row in table.rows} == {"mgcn": False, "bpr": True, "ease": True}
    (unknown,) = summarise(runs)
    assert {row.older for row in unknown.rows} == {None}


def test_the_row_of_a_method_is_the_current_one():
    runs = [
        *runs_of("mgcn", [0.1], method_digest="old", created=NOON + timedelta(days=3)),
        *runs_of("mgcn", [0.2], method_digest="new", created=NOON),
    ]
    (table,) = summarise(runs, current={"mgcn": "new"})
    assert table.row("mgcn").method_digest == "new"
    (unmarked,) = summarise(runs)
    assert unmarked.row("mgcn").method_digest == "old"
    with pytest.raises(UserError, match="no finished row of 'bpr'; it has mgcn"):
        table.row("bpr")


def test_no_two_settings_of_a_method_have_one_name_however_many_fields_differ():
    fields = ("a", "b", "c", "d", "e", "f")
    usual = dict.fromkeys(fields, 0)
    settings = [usual, *({**usual, name: 1} for name in fields), {**usual, "a": 1, "f": 1}]
    runs = [
        run
        for number, config in enumerate(settings)
        for run in runs_of("mgcn", [0.1], identity={"config": config}, created=NOON + timedelta(hours=number))
    ]
    (table,) = summarise(runs)
    assert [row.label for row in sorted(table.rows, key=lambda row: row.created)] == [
        "mgcn", *(f"mgcn ({name}=1)" for name in fields), "mgcn (a=1, f=1)",
    ]  # fmt: skip


def test_a_failed_variant_never_has_the_bare_name_beside_a_finished_one():
    (failed,) = runs_of("mgcn", [0.1], identity={"steps": 1})
    failed = failed.model_copy(update={"status": "failed", "error": "boom", "metrics": {}})
    done = runs_of("mgcn", [0.2], identity={"steps": 5}, created=NOON + timedelta(hours=1))
    (table,) = summarise([failed, *done])
    assert {row.label: row.status for row in table.rows} == {"mgcn": "done", "mgcn (steps=1)": "failed"}


def test_of_settings_of_one_source_the_first_speaks_whichever_is_better_or_got_a_seed_later():
    later = runs_of("mgcn", [0.9], identity={"steps": 5}, created=NOON + timedelta(hours=1))
    first = runs_of("mgcn", [0.1, 0.1], identity={"steps": 1}, created=NOON)
    first[1] = first[1].model_copy(update={"created": NOON + timedelta(days=1)})
    (table,) = summarise([*later, *first])
    assert len(table.rows) == 2 and table.row("mgcn").scores["recall@20"].mean == pytest.approx(0.1)
    assert table.row("mgcn (steps=5)").scores["recall@20"].mean == pytest.approx(0.9)


def test_rows_come_best_first_by_the_selection_metric_and_failures_last():
    runs = [
        *runs_of("bpr", [0.1]),
        make_run("oom", status="oom", metrics={}),
        *runs_of("mgcn", [0.3]),
        *runs_of("nan", [float("nan")]),
        *runs_of("vbpr", [0.2]),
    ]
    (table,) = summarise(runs)
    assert [row.method for row in table.rows] == ["mgcn", "vbpr", "bpr", "nan", "oom"]
    assert table.ranking("recall@20") == [0.3, 0.2, 0.1]
    (upside_down,) = summarise(runs, direction=lambda name: "minimize")
    assert [row.method for row in upside_down.rows][:3] == ["bpr", "vbpr", "mgcn"]
    assert upside_down.ranking("recall@20") == [0.1, 0.2, 0.3]
    (ordered,) = summarise(runs, order=["vbpr", "oom"])
    assert [row.method for row in ordered.rows] == ["vbpr", "oom", "mgcn", "bpr", "nan"]


def test_incomplete_rows_take_no_part_in_the_ranking():
    runs = [*runs_of("mgcn", [0.3], budget_detail=budget(0, 1)), *runs_of("bpr", [0.1])]
    (table,) = summarise(runs)
    assert table.ranking("recall@20") == [0.1]


def test_what_is_the_same_for_every_row_has_no_ranking_and_a_single_row_is_first():
    (table,) = summarise([*runs_of("mgcn", [0.2]), *runs_of("bpr", [0.2])])
    assert table.ranking("recall@20") == []
    (single,) = summarise(runs_of("mgcn", [0.2]))
    assert single.ranking("recall@20") == [0.2]


def test_a_metric_that_nobody_knows_has_no_ranking():
    (table,) = summarise([make_run("mgcn", metrics={"mystery": 1.0})])
    assert table.ranking("mystery") == []
    assert metric_direction("mystery") is None
    assert metric_direction("recall@20") == "maximize"


def test_metrics_can_be_chosen():
    (table,) = summarise(runs_of("mgcn", [0.1]), metrics=["ndcg@20"])
    assert table.metrics == ("ndcg@20",)
    assert table.primary == "recall@20"


def test_trials_are_those_of_the_study():
    counts = {"s": TrialCounts(total=20, pruned=12)}
    runs = [*runs_of("mgcn", [0.1], study="s"), *runs_of("mostpop", [0.05])]
    (table,) = summarise(runs, trials=counts)
    assert [(row.trials, row.pruned) for row in table.rows] == [(20, 12), (None, None)]


def test_of_one_seed_run_twice_the_newest_counts():
    old, new = runs_of("mgcn", [0.1])[0], runs_of("mgcn", [0.2])[0]
    old = old.model_copy(update={"fingerprint": "old", "created": NOON - timedelta(days=1)})
    (table,) = summarise([new, old])
    assert table.rows[0].scores["recall@20"].values == (0.2,)


def test_a_title_says_what_the_table_is_about():
    (table,) = summarise(runs_of("mgcn", [0.1], generated=True))
    expected = "recommendation · baby (mmrec-v1, generated data) · budget small: 2 trials, 3 epochs, patience 20"
    assert table.title == expected


def test_effort_in_words():
    assert effort_text({"trials": 1, "epochs": 1, "patience": None}) == "1 trial, 1 epoch, no early stop"
    assert effort_text({"trials": 8, "trial_epochs": 30, "epochs": 100}) == "8 trials, 30 epochs per trial, 100 epochs"
    assert effort_text({}) == ""


def test_no_runs_make_no_tables():
    assert summarise([]) == []


def test_where_nothing_was_scored_the_metric_that_would_have_selected_stands_alone():
    failed = make_run(status="failed", metrics={}, select="ndcg@20")
    (table,) = summarise([failed], metrics=["fid[world-cnn-7]", "ndcg@20"])
    assert table.metrics == ("ndcg@20",)


def test_a_row_tells_learned_from_frozen_parameters():
    runs = [make_run(seed=seed, parameters=10, notes={"frozen_parameters": 30 + seed}) for seed in (0, 2)]
    (table,) = summarise([*runs, make_run("bare", parameters=5)])
    assert {row.method: (row.parameters, row.frozen_parameters) for row in table.rows} == {
        runs[0].method: (10, 31),
        "bare": (5, 0),
    }
    rows = csv.DictReader(render([table], "csv").splitlines())
    assert sorted(row["frozen_parameters"] for row in rows) == ["0.0", "31.0"]
