"""Tests of the numbers that are quoted from papers."""

from __future__ import annotations

from pathlib import Path

import pytest

import bench
from bench.analysis.published import PUBLISHED, published
from bench.analysis.summary import metric_direction
from bench.data.protocols import PROTOCOLS
from bench.data.registry import DATASETS
from bench.methods.registry import METHODS
from bench.store.repository import Store

REFERENCE = Path(bench.__file__).parent.parent / "results.db"


def test_every_number_is_of_a_table_that_can_exist():
    assert len({entry[:5] for entry in PUBLISHED}) == len(PUBLISHED) > 50
    for entry in PUBLISHED:
        card = DATASETS.get(entry.dataset)
        assert entry.task in card.tasks
        assert entry.protocol in card.protocols
        assert entry.protocol in PROTOCOLS
        assert entry.method in METHODS
        assert metric_direction(entry.metric) == "maximize"
        assert 0 < entry.value < 1
        assert entry.source
        assert not card.generated


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("recommendation", "baby", "mmrec-v1", "mgcn", "recall@20"), 0.0964),
        (("recommendation", "clothing", "mmrec-v1", "freedom", "ndcg@10"), 0.0341),
        (("recommendation", "tiktok", "diffmm-v1", "diffmm", "recall@20"), 0.1129),
        (("recommendation", "baby", "diffmm-v1", "bm3", "ndcg@20"), 0.0361),
        (("sequential", "beauty", "loo-v1", "sasrec", "hit@10"), 0.0605),
        (("vqa", "msvd-qa", "official-v1", "dualvgr", "accuracy"), 0.3903),
    ],
)
def test_numbers_stand_where_the_papers_put_them(place, value):
    task, dataset, protocol, method, metric = place
    assert published(task, dataset, protocol)[method, metric].value == value


def test_numbers_chosen_by_the_test_score_say_so():
    notes = {entry.note for entry in PUBLISHED if entry.task == "recommendation"}
    assert all("test" in note for note in notes)


def test_another_protocol_has_no_numbers():
    assert published("recommendation", "baby", "mmrec-tv-v1") == {}


@pytest.mark.parametrize(("method", "value"), [("bpr", 0.0575), ("lightgcn", 0.0754)])
def test_the_reference_results_of_the_plainest_methods_land_on_the_printed_numbers(method, value):
    if not REFERENCE.is_file():
        pytest.skip("no results.db beside the package")
    with Store.open(REFERENCE, read_only=True) as store:
        runs = store.runs(
            task="recommendation", dataset="baby", protocol="mmrec-v1", method=method, budget="reference", status="done"
        )
    if not runs:
        pytest.skip(f"results.db has no reference run of {method} on baby")
    assert published("recommendation", "baby", "mmrec-v1")[method, "recall@20"].value == value
    for digest in {run.method_digest for run in runs}:
        found = [run.metrics["recall@20"] for run in runs if run.method_digest == digest]
        assert sum(found) / len(found) == pytest.approx(value, abs=0.003)
