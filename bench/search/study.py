"""A study: which configuration to try next, and whether a training is worth continuing.

A study keeps nothing of its own. It is rebuilt from the trials in the store, and continues exactly as if it had never
stopped: the sampler of trial n is seeded by (study seed, n) alone, and what it and the pruner know are the trials of
the waves before its own. A wave is `parallel_trials` trials that run side by side; they do not see each other's values,
so the result does not depend on which of them is faster.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from bench.search.space import decode, distributions, encode, grid, nearest_inside

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bench.spec.space import Domain
    from bench.store.records import Status, TrialRecord

SamplerName = Literal["tpe", "random", "grid", "cmaes"]
PrunerName = Literal["median", "hyperband", "none"]
REDUCTION = 3
"""Hyperband keeps the best third at each rung."""
MAX_RUNG_RATIO = REDUCTION**3
"""Hyperband's first rung is never lower than the epochs divided by this: a few epochs of many say too little."""


@dataclass(frozen=True)
class StudySettings:
    """What a study is.

    Attributes:
        name: The study's fingerprint.
        space: Field to domain; not empty.
        defaults: The value of every field of the space in trial 0.
        select: Name of the validation metric that is optimised.
        direction: Of the selection metric.
        trials: How many trials the budget grants; pruned and failed ones count.
        epochs: The most epochs a trial trains.
        sampler: How configurations are chosen.
        pruner: How hopeless trainings are stopped.
        seed: Of the sampler.
        parallel_trials: Size of a wave.
    """

    name: str
    space: Mapping[str, Domain]
    defaults: Mapping[str, Any]
    select: str
    direction: Literal["maximize", "minimize"]
    trials: int
    epochs: int
    sampler: SamplerName = "tpe"
    pruner: PrunerName = "median"
    seed: int = 0
    parallel_trials: int = 1


class Suggestion(NamedTuple):
    """A configuration to try."""

    number: int
    params: dict[str, Any]


class Best(NamedTuple):
    """The trial that won."""

    number: int
    params: dict[str, Any]
    value: float


class Tally(NamedTuple):
    """How a study's trials ended."""

    total: int
    done: int
    pruned: int
    failed: int


@dataclass
class _Member:
    """One trial of the wave in progress, with an Optuna study of its own that holds what the trial may know."""

    number: int
    params: dict[str, Any]
    study: optuna.Study
    trial: optuna.Trial | None
    asked: bool = False
    values: dict[int, float] = field(default_factory=dict)
    frozen: FrozenTrial | None = None


class Study:
    """Optuna behind ask, report and tell.

    Args:
        settings: What the study is.
        records: Trials that ran before, in any order. Those `interrupted` are run again.
    """

    def __init__(self, settings: StudySettings, records: Iterable[TrialRecord] = ()) -> None:
        if settings.trials < 1 or not settings.space:
            raise ValueError(
                "a study needs `trials >= 1` and a space that is not empty, "
                f"but got {settings.trials} trials and the space {sorted(settings.space)}"
            )
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.settings = settings
        self._ordinal = settings.sampler == "cmaes"
        self._distributions = distributions(settings.space, ordinal=self._ordinal)
        self._first = {name: nearest_inside(domain, settings.defaults[name]) for name, domain in settings.space.items()}
        self._grid: list[dict[str, Any]] | None = None
        self.n_trials = settings.trials
        if settings.sampler == "grid":
            self._grid = grid(settings.space, first=self._first, limit=settings.trials, seed=settings.seed)
            self.n_trials = len(self._grid)
        self._history: list[FrozenTrial] = []
        self._wave: dict[int, _Member] = {}
        self._told: dict[int, tuple[Status, dict[str, Any], float | None]] = {}
        self._stored = {r.number: r for r in records if r.status != "interrupted" and r.number < self.n_trials}
        self.diverging_replay = False
        """Whether stored trials are not those this version of the sampler would suggest; they are kept all the same."""
        self._open_waves()

    @property
    def finished(self) -> bool:
        """Whether every trial has been told."""
        return len(self._told) == self.n_trials

    @property
    def tally(self) -> Tally:
        """How the trials so far ended."""
        statuses = [status for status, _, _ in self._told.values()]
        done, pruned = statuses.count("done"), statuses.count("pruned")
        return Tally(total=len(statuses), done=done, pruned=pruned, failed=len(statuses) - done - pruned)

    def ask(self) -> Suggestion | None:
        """Returns the next trial to run, or None when the study is finished or waits for its wave."""
        for member in self._wave.values():
            if not member.asked:
                member.asked = True
                return Suggestion(member.number, dict(member.params))
        return None

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Notes the validation value of an epoch.

        Returns:
            Whether the training should go on.
        """
        member = self._wave[number]
        return member.trial is None or not self._should_prune(member, member.trial, epoch, value)

    def tell(self, number: int, status: Status, value: float | None) -> None:
        """Ends a trial.

        Args:
            number: The trial's number.
            status: How it ended. `interrupted` gives the trial back: the next `ask` returns it again.
            value: Its best validation value, full precision; needed for `done`.
        """
        member = self._wave[number]
        if status == "interrupted":
            member.asked = False
            return
        self._end(member, status, value)
        self._open_waves()

    def best(self) -> Best | None:
        """Returns the best finished trial (the best pruned one when none finished; the earliest of equals), or None."""
        sign = 1.0 if self.settings.direction == "maximize" else -1.0
        for wanted in ("done", "pruned"):
            found = [
                Best(number, params, value)
                for number, (status, params, value) in sorted(self._told.items())
                if status == wanted and value is not None and math.isfinite(value)
            ]
            if found:
                return max(found, key=lambda best: (sign * best.value, -best.number))
        return None

    def _open_waves(self) -> None:
        """Closes the wave when all its trials ended, and opens the next, replaying the trials that are stored."""
        while all(member.frozen is not None for member in self._wave.values()):
            self._history.extend(member.frozen for member in self._wave.values() if member.frozen is not None)
            self._wave = {}
            start = len(self._history)
            for number in range(start, min(start + max(1, self.settings.parallel_trials), self.n_trials)):
                record = self._stored.pop(number, None)
                self._wave[number] = self._open(number, record)
                if record is not None:
                    self._wave[number].asked = True
                    self._replay(self._wave[number], record)
            if not self._wave:
                return

    def _open(self, number: int, record: TrialRecord | None) -> _Member:
        with warnings.catch_warnings():
            # Optuna's own: experimental arguments, and CMA-ES's remarks on categorical fields.
            warnings.simplefilter("ignore")
            study = self._build_study(number)
            trial = study.ask(fixed_distributions=self._distributions)
        params = decode(self.settings.space, trial.params)
        if record is None or record.params == params:
            return _Member(number, params, study, trial)
        self.diverging_replay = True
        return _Member(number, dict(record.params), study, None)

    def _build_study(self, number: int) -> optuna.Study:
        seed = int(np.random.SeedSequence([self.settings.seed, number]).generate_state(1)[0])
        study = optuna.create_study(
            study_name=self.settings.name,
            direction=self.settings.direction,
            sampler=self._sampler(seed),
            pruner=self._pruner(),
        )
        study.add_trials(self._history)
        for member in self._wave.values():
            params = self._known_params(member)
            known = self._distributions if params else {}
            study.add_trial(create_trial(state=TrialState.RUNNING, params=params, distributions=known))
        fixed = self._first if number == 0 else self._grid[number] if self._grid is not None else None
        if fixed is not None:
            study.enqueue_trial(encode(self.settings.space, fixed))
        return study

    def _sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        if self.settings.sampler == "tpe":
            # Optuna's 10 random trials would be half of a 20-trial budget.
            startup = max(2, min(10, self.settings.trials // 4))
            return optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup)
        if self.settings.sampler == "cmaes":
            return optuna.samplers.CmaEsSampler(seed=seed, with_margin=True, warn_independent_sampling=False)
        return optuna.samplers.RandomSampler(seed=seed)

    def _pruner(self) -> optuna.pruners.BasePruner:
        epochs = self.settings.epochs
        if self.settings.pruner == "median":
            return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=min(5, epochs // 10))
        if self.settings.pruner == "hyperband":
            lowest = max(1, math.ceil(epochs / MAX_RUNG_RATIO))
            return optuna.pruners.HyperbandPruner(
                min_resource=lowest, max_resource=max(epochs, lowest), reduction_factor=REDUCTION
            )
        return optuna.pruners.NopPruner()

    def _should_prune(self, member: _Member, trial: optuna.Trial, epoch: int, value: float) -> bool:
        if not math.isfinite(value) or epoch in member.values:
            return False
        member.values[epoch] = value
        trial.report(value, epoch)
        return trial.should_prune()

    def _replay(self, member: _Member, record: TrialRecord) -> None:
        key = f"valid/{self.settings.select}"
        for point in record.curve:
            if key not in point.values:
                continue
            if member.trial is None:
                member.values[point.epoch] = point.values[key]
            else:
                self._should_prune(member, member.trial, point.epoch, point.values[key])
        self._end(member, record.status, record.value)

    def _end(self, member: _Member, status: Status, value: float | None) -> None:
        usable = value is not None and math.isfinite(value)
        kept = member.study.trials[member.number].system_attrs if member.trial is not None else {}
        attributes = {name: attribute for name, attribute in kept.items() if name != "fixed_params"}
        params = self._known_params(member)
        state, known = TrialState.PRUNED, {}
        if status == "done" and usable:
            state, known = TrialState.COMPLETE, member.values
        elif status == "lost":
            state = TrialState.FAIL
        elif status == "pruned":
            known = member.values
        # Any other end leaves PRUNED without a value, which to TPE is worst of all: it learns to stay away from there.
        member.frozen = create_trial(
            state=state,
            value=value if state is TrialState.COMPLETE else None,
            params=params,
            distributions=self._distributions if params else {},
            intermediate_values=known,
            system_attrs=attributes,
        )
        self._told[member.number] = (status, member.params, value if usable else None)

    def _known_params(self, member: _Member) -> dict[str, Any]:
        try:
            return encode(self.settings.space, member.params)
        except ValueError:
            # Stored by a version with another space; the trial counts, and teaches the sampler nothing.
            return {}
