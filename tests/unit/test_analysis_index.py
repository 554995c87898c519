"""Tests of the index: it says of every row what `summarise` says, from counts alone."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_factories import NOON, make_run

from bench.analysis.index import chosen_rows, result_index, tables, task_grid
from bench.analysis.ranks import ranking, score_grid
from bench.analysis.summary import TableKey, summarise
from bench.store import Store
from bench.store.index import result_groups, studies

CURRENT = {"mgcn": "m" * 32, "bpr": "other", "gone": None}


def index_of(store: Store):
    return result_index(result_groups(store), CURRENT)


def rows_of(index) -> dict[tuple, tuple]:
    found = {}
    for row in index.filter(index["done"] > 0).iter_rows(named=True):
        key = TableKey(**{name: row[name] for name in TableKey.__dataclass_fields__})
        mean = None if row["mean"] is None else pytest.approx(row["mean"], rel=1e-11)
        found[key, row["method"], row["fingerprint"]] = (
            row["done"],
            row["planned"],
            row["complete"],
            row["older"],
            mean,
        )
    return found


def rows_by_summary(store: Store) -> dict[tuple, tuple]:
    found = {}
    for table in summarise(store.runs(), current=CURRENT):
        for row in table.rows:
            if row.status == "done":
                score = row.scores.get("recall@20")
                mean = None if score is None or score.mean != score.mean else score.mean
                facts = (len(row.seeds), len(row.planned), row.complete, row.older, mean)
                for fingerprint in row.fingerprints.values():
                    found[table.key, row.method, fingerprint] = facts
    return found


run_changes = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["mgcn", "bpr", "house", "gone"]),
        "seed": st.integers(0, 3),
        "lr": st.sampled_from([0.1, 0.2]),
        "dataset": st.sampled_from(["baby", "tiktok"]),
        "status": st.sampled_from(["done", "done", "done", "failed", "skipped"]),
        "digest": st.sampled_from(["m" * 32, "n" * 32]),
        "seeds": st.sampled_from([[0], [0, 1], [0, 1, 2, 3]]),
        "value": st.sampled_from([0.1, 0.25, float("nan"), None]),
        "data": st.sampled_from(["a" * 64, ""]),
    }
)


@settings(max_examples=40, deadline=None)
@given(st.lists(run_changes, max_size=14))
def test_the_index_agrees_with_the_tables(tmp_path_factory, changes):
    path = tmp_path_factory.mktemp("index") / "results.db"
    with Store.open(path) as store:
        for number, change in enumerate(changes):
            skipped = change["status"] == "skipped"
            identity = {name: change[name] for name in ("method", "lr", "dataset", "digest", "seed")}
            identity |= {"data": "" if skipped else change["data"]}
            finished = change["status"] == "done"
            value = {} if change["value"] is None or not finished else {"recall@20": change["value"]}
            store.put_run(
                make_run(
                    change["method"],
                    change["seed"],
                    identity=identity,
                    fingerprint="|".join(map(str, identity.values())),
                    method_digest=change["digest"],
                    dataset=change["dataset"],
                    dataset_digest=identity["data"] if skipped else "a" * 64,
                    status=change["status"],
                    metrics=value,
                    # All runs of one row are asked for by the same spec here, see `result_groups`.
                    budget_detail={"trials": 2, "epochs": 3, "seeds": changes[0]["seeds"]},
                    created=NOON + timedelta(minutes=number),
                )
            )
        expected, found = rows_by_summary(store), rows_of(index_of(store))
    assert {key[:2] for key in found} == {key[:2] for key in expected}
    for key, facts in found.items():
        assert expected[key] == facts


def fill(store: Store, scores: dict[tuple[str, str], list[float]]) -> None:
    for (method, dataset), values in scores.items():
        for seed, value in enumerate(values):
            identity = {"dataset": dataset, "method": method}
            detail = {"trials": 2, "epochs": 3, "seeds": [0, 1]}
            metrics = {"recall@20": value}
            store.put_run(
                make_run(method, seed, identity=identity, dataset=dataset, metrics=metrics, budget_detail=detail)
            )


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "results.db") as opened:
        fill(
            opened,
            {
                ("mgcn", "baby"): [0.4, 0.5],
                ("bpr", "baby"): [0.1, 0.2],
                ("ease", "baby"): [0.3, 0.3],
                ("mgcn", "tiktok"): [0.2, 0.2],
                ("bpr", "tiktok"): [0.3, 0.5],
                ("ease", "tiktok"): [0.3],
            },
        )
        yield opened


def test_ranks_equal_those_of_the_full_tables(store):
    index = index_of(store)
    laid = task_grid(index, tables(index))
    order = ranking(laid.grid)
    assert [(rank.method, rank.have, rank.of, rank.mean_rank) for rank in order] == [
        ("bpr", 2, 2, 1.5),
        ("mgcn", 2, 2, 1.5),
        ("ease", 1, 2, None),
    ]
    full = ranking(score_grid(summarise(store.runs()), "recall@20"))
    assert [rank[:6] for rank in order] == [rank[:6] for rank in full]
    means = {(method, laid.tables[place].key.dataset): mean for (method, place), mean in laid.means.items()}
    assert means == pytest.approx(
        {
            **{("mgcn", "baby"): 0.45, ("bpr", "baby"): 0.15, ("ease", "baby"): 0.3},
            **{("mgcn", "tiktok"): 0.2, ("bpr", "tiktok"): 0.4},
        }
    )


def test_a_metric_that_is_better_low_ranks_the_lowest_first(store):
    index = index_of(store)
    laid = task_grid(index, tables(index), direction=lambda name: "minimize")
    assert ranking(laid.grid)[0].wins == 1
    baby = [table.key.dataset for table in laid.tables].index("baby")
    assert min(laid.grid.methods, key=lambda method: laid.means.get((method, baby), 1)) == "bpr"
    assert max(laid.grid.methods, key=lambda m: laid.grid.values[laid.grid.methods.index(m)][baby] or -1) == "bpr"
    assert task_grid(index, tables(index), direction=lambda name: None).tables == ()


def test_the_row_with_current_source_speaks_for_a_method(tmp_path):
    with Store.open(tmp_path / "results.db") as opened:
        for digest, value, later in (("m" * 32, 0.1, 0), ("n" * 32, 0.9, 5)):
            identity = {"digest": digest}
            detail = {"trials": 0, "epochs": 1, "seeds": [0]}
            created = NOON + timedelta(hours=later)
            run = make_run("mgcn", identity=identity, method_digest=digest, metrics={"recall@20": value})
            opened.put_run(run.model_copy(update={"budget_detail": detail, "created": created}))
        index = index_of(opened)
    assert index["older"].to_list().count(True) == 1
    assert chosen_rows(index)["mean"].to_list() == [pytest.approx(0.1)]
    assert chosen_rows(result_index_without_sources(index))["mean"].to_list() == [pytest.approx(0.9)]


def test_of_settings_of_one_source_the_first_speaks(tmp_path):
    with Store.open(tmp_path / "results.db") as opened:
        for steps, seed, value, later in ((1, 0, 0.1, 0), (5, 0, 0.9, 1), (1, 1, 0.1, 2)):
            made = NOON + timedelta(hours=later)
            run = make_run("mgcn", seed, identity={"steps": steps}, metrics={"recall@20": value})
            opened.put_run(run.model_copy(update={"created": made, "budget_detail": {"trials": 0, "seeds": [0, 1]}}))
        index = index_of(opened)
    assert len(index) == 2 and chosen_rows(index)["mean"].to_list() == [pytest.approx(0.1)]


def test_a_method_stands_in_a_grid_by_the_row_that_was_selected_by_its_metric(tmp_path):
    with Store.open(tmp_path / "results.db") as opened:
        made = [("mgcn", "recall@20"), ("bpr", "ndcg@20"), ("bpr", "recall@20"), ("ease", "recall@20")]
        for number, (method, select) in enumerate(made):
            values = {"recall@20": 0.1 * (number + 1), "ndcg@20": 0.9}
            run = make_run(method, identity={"select": select}, select=select, metrics=values)
            made_at = NOON + timedelta(hours=number)
            opened.put_run(run.model_copy(update={"created": made_at, "budget_detail": {"seeds": [0]}}))
        index = index_of(opened)
    laid = task_grid(index, tables(index))
    assert laid.means == {("mgcn", 0): 0.1, ("bpr", 0): pytest.approx(0.3), ("ease", 0): pytest.approx(0.4)}


def test_a_setting_that_failed_first_and_ran_later_does_not_speak_for_one_that_ran_before(tmp_path):
    with Store.open(tmp_path / "results.db") as opened:
        for steps, seed, status, later in ((1, 0, "failed", 0), (5, 0, "done", 1), (1, 1, "done", 2)):
            made = NOON + timedelta(hours=later)
            metrics = {"recall@20": steps / 10} if status == "done" else {}
            run = make_run("mgcn", seed, identity={"steps": steps}, metrics=metrics)
            detail = {"trials": 0, "seeds": [0, 1]}
            opened.put_run(run.model_copy(update={"created": made, "status": status, "budget_detail": detail}))
        (table,) = summarise(opened.runs())
        assert table.row("mgcn").scores["recall@20"].mean == pytest.approx(0.5)
        assert chosen_rows(index_of(opened))["mean"].to_list() == [pytest.approx(0.5)]


def result_index_without_sources(index):
    import polars as pl

    return index.with_columns(older=pl.lit(None, dtype=pl.Boolean))


def test_runs_without_a_variant_stand_for_themselves(store, tmp_path):
    store.close()
    with sqlite3.connect(tmp_path / "results.db") as plain:
        plain.execute("UPDATE run SET variant = NULL WHERE method = 'mgcn' AND dataset = 'baby'")
    with Store.open(tmp_path / "results.db", read_only=True) as opened:
        index = index_of(opened)
    mine = index.filter((index["method"] == "mgcn") & (index["dataset"] == "baby"))
    assert sorted(mine["mean"].to_list()) == pytest.approx([0.4, 0.5])
    assert mine["complete"].to_list() == [False, False]


def test_an_empty_store_has_an_empty_index(tmp_path):
    with Store.open(tmp_path / "results.db") as opened:
        index = index_of(opened)
        assert index.is_empty()
        assert tables(index) == []
        assert studies(opened) == []
        with pytest.raises(TypeError, match="no column 'colour'"):
            studies(opened, colour="red")


def test_counting_reads_the_index_and_not_the_runs(store):
    from bench.store.index import _counted

    with store.reading() as connection:
        query = str(_counted(loose=False).compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all()
    assert any("USING COVERING INDEX ix_run_rows" in row[-1] for row in plan)
    assert not any("TEMP B-TREE" in row[-1] for row in plan)
