from __future__ import annotations

import math
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.search.study import Study, StudySettings
from bench.spec.space import Choices, IntRange, Log, Uniform
from bench.store.records import CurvePoint, TrialRecord

SPACE = {"layers": Choices(1, 2, 3), "lr": Log(1e-4, 1e-1), "width": IntRange(8, 64), "drop": Uniform(0.0, 0.9)}
DEFAULTS = {"layers": 2, "lr": 1e-3, "width": 16, "drop": 0.1}
SAMPLERS = ["tpe", "random", "grid", "cmaes"]
PRUNERS = ["median", "hyperband", "none"]


def make(sampler="tpe", pruner="none", trials=9, epochs=9, parallel=1, direction="maximize", space=None, seed=3):
    space = SPACE if space is None else space
    return StudySettings(
        name="study", space=space, defaults={k: DEFAULTS[k] for k in space}, select="recall@20", direction=direction,
        trials=trials, epochs=epochs, sampler=sampler, pruner=pruner, seed=seed, parallel_trials=parallel,
    )  # fmt: skip


def quality(params, epoch):
    shape = -((math.log10(params.get("lr", 1e-2)) + 2) ** 2) - params.get("drop", 0) + 0.1 * params.get("layers", 0)
    return shape * (1 - 0.5**epoch) + 0.01 * epoch


def run_trial(study, config, suggestion):
    """Trains a pretend model; returns its record."""
    curve, status = [], "done"
    for epoch in range(1, config.epochs + 1):
        value = quality(suggestion.params, epoch)
        curve.append(CurvePoint(epoch=epoch, values={"valid/recall@20": value}))
        if not study.report(suggestion.number, epoch, value):
            status = "pruned"
            break
    if suggestion.params.get("drop", 0) > 0.8:
        status = "diverged"
    best = max(point.values["valid/recall@20"] for point in curve)
    value = None if status == "diverged" else best
    record = TrialRecord(
        study="study", number=suggestion.number, status=status, params=suggestion.params, config={}, value=value,
        best_epoch=None, epochs=len(curve), seconds=0.0, curve=curve, created=datetime.now(timezone.utc),
    )  # fmt: skip
    return TrialRecord.model_validate_json(record.model_dump_json())


def run(config, records=(), stop_after=None):
    """Runs a study to its end or for `stop_after` new trials; returns all records, by number."""
    study = Study(config, records)
    kept = {record.number: record for record in records}
    fresh = 0
    while not study.finished and fresh != stop_after:
        wave = []
        while (suggestion := study.ask()) is not None:
            wave.append(suggestion)
        assert wave
        for suggestion in reversed(wave):
            record = run_trial(study, config, suggestion)
            study.tell(record.number, record.status, record.value)
            kept[record.number] = record
            fresh += 1
            if fresh == stop_after:
                break
    assert not study.diverging_replay
    return [kept[number] for number in sorted(kept)], study


def without_clock(records):
    return [record.model_copy(update={"created": None}) for record in records]


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("parallel", [1, 3])
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_interrupted_and_resumed_study_equals_the_uninterrupted_one(sampler, parallel, data):
    pruner = data.draw(st.sampled_from(PRUNERS))
    seed = data.draw(st.integers(0, 1000))
    config = make(sampler, pruner, parallel=parallel, seed=seed)
    whole, study = run(config)
    records = []
    while len(records) < len(whole):
        records, resumed = run(config, records, stop_after=data.draw(st.integers(1, 5)))
    assert without_clock(records) == without_clock(whole)
    assert resumed.best() == study.best()
    assert resumed.tally == study.tally


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_first_trial_is_the_defaults(sampler):
    assert Study(make(sampler)).ask() == (0, DEFAULTS)


def test_first_trial_moves_to_the_edge_of_a_space_that_excludes_the_default():
    study = Study(make(space={"lr": Log(1e-2, 1e-1), "layers": Choices(1, 3)}))
    assert study.ask().params == {"lr": 1e-2, "layers": 1}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_values_stay_inside_the_space_and_keep_their_types(sampler):
    records, _ = run(make(sampler, trials=20))
    for record in records:
        assert all(domain.contains(record.params[name]) for name, domain in SPACE.items())
        assert [type(record.params[name]) for name in sorted(SPACE)] == [float, int, float, int]
    assert len({tuple(sorted(r.params.items())) for r in records}) > 10


def test_every_method_gets_the_trials_of_the_budget_and_pruned_ones_count():
    for pruner in PRUNERS:
        records, study = run(make("random", pruner, trials=20))
        assert len(records) == 20 and study.tally.total == 20
    assert any(r.status == "pruned" for r in run(make("random", "median", trials=20))[0])
    assert any(r.status == "pruned" for r in run(make("random", "hyperband", trials=20))[0])


def test_grid_visits_each_point_once_and_ends_early():
    space = {"layers": Choices(1, 2, 3), "drop": Choices(0.1, 0.2)}
    config = make("grid", trials=50, space=space)
    records, study = run(config)
    assert study.n_trials == 6 and study.finished and study.ask() is None
    assert sorted((r.params["layers"], r.params["drop"]) for r in records) == [
        (layers, drop) for layers in (1, 2, 3) for drop in (0.1, 0.2)
    ]


def test_best_prefers_finished_trials_and_the_earliest_of_equals():
    study = Study(make("random", trials=4))
    for status, value in [("done", 0.5), ("pruned", 0.9), ("done", 0.5), ("failed", None)]:
        number, _ = study.ask()
        study.report(number, 1, value or 0.0)
        study.tell(number, status, value)
    assert study.finished
    assert study.best().number == 0
    assert study.tally == (4, 2, 1, 1)


def test_best_of_a_study_without_any_value_is_none():
    study = Study(make("tpe", trials=3))
    while (suggestion := study.ask()) is not None:
        study.tell(suggestion.number, "failed", None)
    assert study.finished and study.best() is None


def test_direction_minimize_picks_the_smallest():
    study = Study(make("random", trials=2, direction="minimize"))
    study.tell(study.ask().number, "done", 2.0)
    study.tell(study.ask().number, "done", 1.0)
    assert study.best().number == 1


def test_interrupted_trial_is_asked_again_with_the_same_parameters():
    study = Study(make("tpe", trials=3))
    first = study.ask()
    study.tell(first.number, "interrupted", None)
    assert study.ask() == first


def test_trials_of_one_wave_do_not_see_each_other():
    config = make("tpe", "hyperband", trials=6, parallel=3)
    study = Study(config)
    assert [study.ask().number for _ in range(3)] == [0, 1, 2]
    assert study.ask() is None
    study.tell(1, "done", 1.0)
    assert study.ask() is None
    study.tell(0, "done", 1.0)
    study.tell(2, "done", 1.0)
    assert study.ask().number == 3


def test_stored_trials_the_sampler_would_not_suggest_are_kept():
    record = TrialRecord(
        study="study", number=0, status="done", params={**DEFAULTS, "width": 40}, config={}, value=0.7, best_epoch=1,
        epochs=1, seconds=0.0, created=datetime.now(timezone.utc),
    )  # fmt: skip
    study = Study(make("tpe", trials=2), [record])
    assert study.diverging_replay
    assert study.ask().number == 1
    assert study.best().params["width"] == 40


def test_choices_of_equal_value_and_different_type_stay_apart():
    space = {"flag": Choices(True, 1, "1")}
    config = StudySettings(
        name="s", space=space, defaults={"flag": 1}, select="m", direction="maximize", trials=3, epochs=1,
        sampler="grid",
    )  # fmt: skip
    study, seen = Study(config), []
    while (suggestion := study.ask()) is not None:
        seen.append(suggestion.params["flag"])
        study.tell(suggestion.number, "done", 1.0)
    assert type(seen[0]) is int
    assert {type(value) for value in seen} == {bool, int, str}


def test_study_without_trials_or_space_is_refused():
    with pytest.raises(ValueError, match="trials >= 1"):
        Study(make(trials=0))
    with pytest.raises(ValueError, match="not empty"):
        Study(make(space={}))
