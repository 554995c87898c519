"""Finding samples without reading them, and runs by the beginning of their fingerprint."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sample_factories import SCRIPT, reasoning_record
from store_factories import make_run

from bench.errors import UnknownNameError
from bench.store import Store
from bench.store.gallery import SCHEMA, one_sample, sample_heads, sampled_runs
from bench.store.lookup import look_up


@pytest.fixture
def store(sampled):
    with Store.open(sampled, read_only=True) as opened:
        yield opened


def test_runs_with_samples_are_listed_newest_first(store):
    found = sampled_runs(store)
    assert dict(found.schema) == SCHEMA
    assert set(found["method"]) == {"dfgan", SCRIPT, "storygan", "dualvgr", "st_vqa", "resnet", "befa[mgcn]"}
    assert found["created"].is_sorted(descending=True)
    assert found.filter(method="dualvgr")["samples"].to_list() == [2]
    assert found["samples"].sum() == sum(len(store.samples(name)) for name in found["fingerprint"])


def test_an_empty_store_has_none(tmp_path):
    with Store.open(tmp_path / "results.db") as store:
        assert sampled_runs(store).height == 0 and dict(sampled_runs(store).schema) == SCHEMA


def test_heads_come_in_the_order_of_runs_and_samples_without_content(store):
    heads = sample_heads(store, "a4" * 16, "a1" * 16)
    assert [(head.run[:2], head.number, head.kind) for head in heads] == [
        ("a4", 0, "table"), ("a4", 1, "reasoning"), ("a1", 0, "grid"), ("a1", 1, "prompts"),
    ]  # fmt: skip
    assert sample_heads(store) == [] and sample_heads(store, "zz") == []


def test_one_sample_is_the_stored_one(store):
    expected = reasoning_record().model_copy(update={"run": "a4" * 16, "number": 1})
    assert one_sample(store, "a4" * 16, 1) == expected == store.samples("a4" * 16)[1]
    assert one_sample(store, "a4" * 16, 9) is None


def test_a_run_is_found_by_the_beginning_of_its_fingerprint(store):
    assert look_up(store, "a4a").fingerprint == "a4" * 16
    assert look_up(store, "a4" * 16).curve


@pytest.mark.parametrize(("prefix", "told"), [("a", "several"), ("b", "no run"), ("", "no run"), ("%", "no run")])
def test_a_beginning_of_several_or_no_run_is_an_error(store, prefix, told):
    with pytest.raises(UnknownNameError, match=told):
        look_up(store, prefix)


def test_a_whole_fingerprint_wins_over_a_longer_one(tmp_path):
    with Store.open(tmp_path / "results.db") as store:
        for name in ("ab" * 16, "ab" * 16 + "c"):
            store.put_run(make_run(fingerprint=name))
        assert look_up(store, "ab" * 16).fingerprint == "ab" * 16


def test_nothing_is_read_of_the_contents(store, monkeypatch):
    seen = []
    with store.reading() as connection:
        sa.event.listen(connection.engine, "before_cursor_execute", lambda *call: seen.append(call[2]))
    sampled_runs(store)
    sample_heads(store, "a1" * 16)
    assert seen and not any("sample.data" in statement for statement in seen)
