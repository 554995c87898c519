"""From a spec to the grid of (experiment, dataset, method) under one budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.errors import UserError, did_you_mean
from bench.spec.models import Budget, DatasetEntry, Experiment, MethodEntry, Spec
from bench.spec.rules import AUTO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.spec.check import World
    from bench.spec.config import MethodConfig
    from bench.spec.space import Domain

WRAPPED = "wrapped"
"""Under which an adapter's configuration holds that of the method it wraps, and the prefix of its searched fields."""


class GridEntry(NamedTuple):
    """One entry of the grid; with a seed it is a cell."""

    experiment: Experiment
    dataset: DatasetEntry
    """Its protocol is the experiment's where it named none; None means the card's first."""
    method: MethodEntry


@dataclass(frozen=True)
class Expansion:
    """What a spec asks for under one budget.

    Attributes:
        budget: The effort, seeds resolved.
        reason: Why this budget, in words for the user.
        grid: Entries in the order of the spec.
    """

    budget: Budget
    reason: str
    grid: tuple[GridEntry, ...]


def expand(
    spec: Spec,
    *,
    budget: str | None = None,
    gpu: bool = False,
    only: set[str] | None = None,
    seeds: Sequence[int] | None = None,
    world: World | None = None,
) -> Expansion:
    """Returns the grid of a spec.

    Args:
        spec: A checked spec.
        budget: Name of the budget to use in place of the spec's.
        gpu: Whether there is a GPU; decides what `auto` means.
        only: Methods to keep, by name (`befa` keeps every `befa[…]`) or label (`befa[mgcn]`).
        seeds: Seeds to use in place of the budget's.
        world: What `wrap: all` chooses from; the registries by default.

    Raises:
        UserError: The budget or a method of `only` is not in the spec, or the seeds are not valid.
    """
    name, reason = choose_budget(spec, budget=budget, gpu=gpu)
    effort = spec.budgets[name]
    if seeds is not None:
        effort = _with_seeds(effort, seeds)
    grid = tuple(
        GridEntry(experiment, _with_protocol(dataset, experiment), method)
        for experiment in spec.experiments
        for dataset in experiment.datasets
        for method in experiment_methods(experiment, world)
    )
    return Expansion(effort, reason, grid if only is None else _kept(grid, only))


def choose_budget(spec: Spec, *, budget: str | None, gpu: bool) -> tuple[str, str]:
    """Returns the name of the budget to use and why.

    Raises:
        UserError: The spec has no such budget.
    """
    asked = budget or spec.budget
    names = list(spec.budgets)
    if asked != AUTO:
        if asked not in spec.budgets:
            raise UserError(
                f"unknown budget {asked!r}.{did_you_mean(asked, names)}",
                hint=f"Defined in {spec.name!r}: {', '.join(names)}.",
            )
        return asked, "asked for on the command line" if budget else "named in the spec"
    if len(names) == 1:
        return names[0], "the only one"
    wanted = "full" if gpu else "small"
    if wanted not in spec.budgets:
        raise UserError(
            f"`budget: auto` needs a budget {wanted!r} here, but {spec.name!r} defines {', '.join(names)}.",
            hint=f"Name one: --budget {names[0]}.",
        )
    return wanted, f"auto: {'there is a GPU' if gpu else 'there is no GPU'}"


def _with_seeds(budget: Budget, seeds: Sequence[int]) -> Budget:
    try:
        return Budget(**{**budget.model_dump(), "seeds": tuple(seeds)})
    except ValueError as error:
        raise UserError(
            f"seeds must be distinct whole numbers from 0 to 2^32 - 1, at least one, but got {list(seeds)}.",
            hint="For instance --seed 0 --seed 1.",
        ) from error


def _with_protocol(dataset: DatasetEntry, experiment: Experiment) -> DatasetEntry:
    return DatasetEntry(dataset=dataset.dataset, protocol=dataset.protocol or experiment.protocol)


def experiment_methods(experiment: Experiment, world: World | None = None) -> list[MethodEntry]:
    """Returns an experiment's methods, one per wrapped method, in the order of the spec."""
    entries: list[MethodEntry] = []
    for choice in experiment.methods:
        if choice.wrap != "all":
            entries += choice.entries()
            continue
        if world is None:
            from bench.spec.check import World

            world = World.default()
        entries += choice.entries(world.compatible(choice.method, experiment.task))
    return entries


def _kept(grid: Sequence[GridEntry], only: set[str]) -> tuple[GridEntry, ...]:
    known = {name for entry in grid for name in (entry.method.method, entry.method.label)}
    unknown = sorted(only - known)
    if unknown:
        raise UserError(
            f"method {unknown[0]!r} is not in this spec.{did_you_mean(unknown[0], known)}",
            hint=f"It has: {', '.join(dict.fromkeys(entry.method.label for entry in grid))}.",
        )
    return tuple(entry for entry in grid if {entry.method.method, entry.method.label} & only)


class Resolution(NamedTuple):
    """What a method entry fixes and what it leaves to the search."""

    config: dict[str, Any]
    """Defaults overridden by `set`, as JSON values; under `wrapped` those of the wrapped method."""
    space: dict[str, Domain]
    """Searched field to domain; the wrapped method's fields are called `wrapped.<field>`."""


def resolve_method(entry: MethodEntry, configs: Mapping[str, type[MethodConfig]]) -> Resolution:
    """Returns the configuration and the search space of a method entry.

    The space is the Config's own, with the entry's domains in place of those of the same field, less what `set` fixes.

    Args:
        entry: A checked entry.
        configs: Method name to `Config`.
    """
    kind = configs[entry.method]
    config = kind.with_values(entry.set).model_dump(mode="json")
    space = {name: domain for name, domain in {**kind.space(), **entry.space}.items() if name not in entry.set}
    if entry.wrap is not None:
        inner = resolve_method(entry.wrap, configs)
        config[WRAPPED] = inner.config
        space.update({f"{WRAPPED}.{name}": domain for name, domain in inner.space.items()})
    return Resolution(config, space)
