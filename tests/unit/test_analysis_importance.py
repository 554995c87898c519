"""Tests of what mattered in a search, and of the sentence that a comparison comes to."""

from __future__ import annotations

import numpy as np
import pytest
from store_factories import make_study, make_trial

from bench.analysis.importance import MIN_TRIALS, importances
from bench.analysis.paired import PairedUnits, compare
from bench.analysis.seeds import TooFew
from bench.analysis.verdict import verdict_text


def search(count: int, *, constant: bool = False):
    rng = np.random.default_rng(0)
    space = {"lr": {"log": [1e-4, 1e-1]}, "layers": {"choices": [1, 2, 3]}, "noise": {"uniform": [0.0, 1.0]}}
    trials = []
    for number in range(count):
        params = {"lr": float(10 ** rng.uniform(-4, -1)), "layers": int(rng.integers(1, 4)), "noise": rng.uniform()}
        value = -abs(np.log10(params["lr"]) + 2.5)
        trials.append(make_trial(number, params=params, value=0.5 if constant else float(value)))
    return make_study(space=space), trials


def test_the_setting_that_decides_comes_first():
    found = importances(*search(60))
    assert not isinstance(found, TooFew)
    assert found[0].name == "lr"
    assert found[0].share > 0.6
    assert sum(item.share for item in found) == pytest.approx(1)


def test_a_direction_of_less_is_better_looks_at_the_other_end():
    study, trials = search(60)
    turned = [trial.model_copy(update={"value": -trial.value}) for trial in trials]
    found = importances(study.model_copy(update={"direction": "minimize"}), turned)
    assert found == importances(study, trials)


@pytest.mark.parametrize("trials", [search(MIN_TRIALS - 1), search(30, constant=True)])
def test_too_little_is_an_answer(trials):
    assert isinstance(importances(*trials), TooFew)


def test_a_setting_that_never_varied_has_no_share():
    study, trials = search(30)
    fixed = [trial.model_copy(update={"params": trial.params | {"layers": 2}}) for trial in trials]
    assert {item.name: item.share for item in importances(study, fixed)}["layers"] == 0


def comparison(gap: float, seeds: int, noise: float):
    rng = np.random.default_rng(1)
    a = rng.random((seeds, 200))
    b = a + gap + noise * rng.standard_normal((seeds, 1))
    return compare(
        PairedUnits(np.arange(200), a.mean(axis=0), b.mean(axis=0), tuple(range(seeds)), a, b), "m", resamples=200
    )


def test_a_claim_needs_units_and_seeds_to_agree():
    strong, one, loose = comparison(0.5, 4, 0.001), comparison(0.5, 1, 0.0), comparison(0.2, 3, 0.5)
    assert verdict_text("a", "b", strong, 0.001, "maximize") == "b is better than a, over units and over seeds"
    assert verdict_text("a", "b", strong, 0.001, "minimize") == "a is better than b, over units and over seeds"
    assert verdict_text("a", "b", strong, 0.001, None) == "b scores higher than a, over units and over seeds"
    assert verdict_text("a", "b", strong, 0.5, "maximize") == "no significant difference over units (p = 0.5000)"
    assert "too few seeds" in verdict_text("a", "b", one, 0.001, "maximize")
    assert "over seeds the difference is not significant" in verdict_text("a", "b", loose, 0.001, "maximize")
