"""Which searched settings mattered: PED-ANOVA over the trials of a study."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.analysis.seeds import TooFew
from bench.spec.space import Choices, IntRange, Log, parse_domain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.distributions import BaseDistribution

    from bench.spec.space import Domain
    from bench.store.records import StudyRecord, TrialRecord

MIN_TRIALS = 10
"""With fewer finished trials the best quarter is a trial or two, and their settings say nothing."""
TOP = 0.25
"""Share of the trials that count as good."""


class Importance(NamedTuple):
    """How much one setting mattered."""

    name: str
    share: float
    """Its share of the explained variance; the shares of a study sum to 1."""


def importances(study: StudyRecord, trials: Sequence[TrialRecord]) -> list[Importance] | TooFew:
    """Says how much each searched setting decides whether a trial is among the best quarter.

    PED-ANOVA (Watanabe et al., IJCAI 2023) as Optuna computes it, over finished trials: a pruned one was stopped before
    its value could be compared with theirs.

    Args:
        study: The search.
        trials: Its trials.

    Returns:
        Settings, most important first, or why nothing can be said.
    """
    finished = [trial for trial in trials if trial.status == "done" and trial.value is not None]
    if len(finished) < MIN_TRIALS:
        plural = "" if len(finished) == 1 else "s"
        return TooFew(f"{len(finished)} finished trial{plural}; {MIN_TRIALS} are needed", len(finished), MIN_TRIALS)
    space = {name: parse_domain(raw) for name, raw in study.space.items()}
    varied = {
        name: domain for name, domain in space.items() if len({repr(trial.params.get(name)) for trial in finished}) > 1
    }
    if not varied or len({trial.value for trial in finished}) < 2:
        return TooFew("every finished trial had the same settings or the same value", len(finished), MIN_TRIALS)
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    kinds = {name: _distribution(domain) for name, domain in varied.items()}
    seen = [trial for trial in finished if all(name in trial.params for name in varied)]
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            # That the method is marked experimental says nothing to a reader of results.
            warnings.simplefilter("ignore")
            asked = optuna.create_study(direction=study.direction)
            asked.add_trials(
                [
                    optuna.trial.create_trial(
                        params={name: _value(domain, trial.params[name]) for name, domain in varied.items()},
                        distributions=kinds,
                        value=trial.value,
                    )
                    for trial in seen
                ]
            )
            shares = get_param_importances(asked, evaluator=PedAnovaImportanceEvaluator(target_quantile=TOP))
    finally:
        optuna.logging.set_verbosity(verbosity)
    fixed = {name: 0.0 for name in space if name not in varied}
    found = [Importance(name, float(share)) for name, share in {**shares, **fixed}.items()]
    return sorted(found, key=lambda item: (-item.share, item.name))


def _distribution(domain: Domain) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(domain, Choices):
        return CategoricalDistribution(tuple(range(len(domain.values))))
    if isinstance(domain, IntRange):
        return IntDistribution(domain.low, domain.high)
    return FloatDistribution(domain.low, domain.high, log=isinstance(domain, Log))


def _value(domain: Domain, value: Any) -> Any:
    if not isinstance(domain, Choices):
        return value
    same = (i for i, choice in enumerate(domain.values) if choice == value and type(choice) is type(value))
    return next(same, domain.values.index(value))
