"""Rules between the parts of a spec that need nothing but the spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.errors import did_you_mean
from bench.spec.problems import Loc, Problem, format_path, shown
from bench.spec.tree import Leaf, Tree, find, to_plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bench.spec.models import Experiment, MethodEntry, Spec

AUTO = "auto"


def problem_at(tree: Tree, loc: Loc, message: str, *, key: bool = False) -> Problem:
    """Returns a problem at a location of a tree: at the value there, or at its key."""
    found = find(tree, loc)
    position = found.key if key and found.key is not None else found.tree.position
    return Problem(position, format_path(found.path), message)


def was_cut(tree: Tree, loc: Loc) -> bool:
    """Whether something at a location was invalid and cut out, so that what is left is not all the user wrote."""
    found = find(tree, loc).tree
    return not isinstance(found, Leaf) and found.cut


def inner_problems(spec: Spec, tree: Tree, pruned: Tree) -> list[Problem]:
    """Returns what is wrong between the parts of a spec.

    Args:
        spec: The valid part.
        tree: All of the spec as written; a name that exists there is not reported as missing.
        pruned: The valid part as written, where `spec`'s list indices hold.
    """
    problems = list(_budgets(spec, tree, pruned))
    for index, experiment in enumerate(spec.experiments):
        problems += _experiment(experiment, ("experiments", index), pruned)
    return problems


def _budgets(spec: Spec, tree: Tree, pruned: Tree) -> Iterator[Problem]:
    raw = to_plain(tree).get("budgets")
    names = [str(name) for name in raw] if isinstance(raw, dict) else list(spec.budgets)
    for name, budget in spec.budgets.items():
        if name == AUTO:
            message = "a budget may not be called 'auto': that word asks for a choice between budgets."
            yield problem_at(pruned, ("budgets", name), message, key=True)
        if budget.name != name:
            message = f"unknown key 'name'; a budget's name is its key under `budgets`, here {shown(name)}."
            yield problem_at(pruned, ("budgets", name, "name"), message, key=True)
        if budget.trial_epochs is not None and budget.trial_epochs > budget.epochs:
            message = f"`trial_epochs <= epochs` must hold, but got {budget.trial_epochs} > {budget.epochs}."
            yield problem_at(pruned, ("budgets", name, "trial_epochs"), message)
    if spec.budget != AUTO and spec.budget not in names:
        message = f"unknown budget {shown(spec.budget)}; defined: {', '.join(names)}, and auto."
        yield problem_at(pruned, ("budget",), message + did_you_mean(spec.budget, [*names, AUTO]))
    if spec.budget == AUTO and len(names) > 1 and not {"small", "full"} <= set(names):
        message = f"`budget: auto` chooses between 'small' and 'full', but defined: {', '.join(names)}; name one."
        yield problem_at(pruned, ("budget",), message)


def _experiment(experiment: Experiment, loc: Loc, tree: Tree) -> Iterator[Problem]:
    metrics = experiment.metrics
    if experiment.select not in metrics:
        message = f"{shown(experiment.select)} is not among the metrics: {', '.join(metrics)}."
        yield problem_at(tree, (*loc, "select"), message + did_you_mean(experiment.select, metrics))
    for index in _repeats(metrics):
        yield problem_at(tree, (*loc, "metrics", index), f"metric {shown(metrics[index])} is given twice; remove one.")
    datasets = [(entry.dataset, entry.protocol or experiment.protocol) for entry in experiment.datasets]
    for index in _repeats(datasets):
        message = f"dataset {shown(datasets[index][0])} is given twice under one protocol; remove one."
        if not was_cut(tree, (*loc, "datasets", index)):
            yield problem_at(tree, (*loc, "datasets", index), message)
    yield from _methods(experiment, loc, tree)


def _repeats(values: Iterable[object]) -> list[int]:
    seen: list[object] = []
    repeats = []
    for index, value in enumerate(values):
        if value in seen:
            repeats.append(index)
        seen.append(value)
    return repeats


def _methods(experiment: Experiment, loc: Loc, tree: Tree) -> Iterator[Problem]:
    for index, choice in enumerate(experiment.methods):
        at = (*loc, "methods", index)
        yield from _both(choice.set, choice.space, at, tree)
        for number, wrapped in enumerate(choice.wrap if isinstance(choice.wrap, tuple) else ()):
            yield from _nested_both(wrapped, (*at, "wrap", number), tree)


def _nested_both(entry: MethodEntry, loc: Loc, tree: Tree) -> Iterator[Problem]:
    yield from _both(entry.set, entry.space, loc, tree)
    if entry.wrap is not None:
        yield from _nested_both(entry.wrap, (*loc, "wrap"), tree)


def _both(fixed: Iterable[str], space: Iterable[str], loc: Loc, tree: Tree) -> Iterator[Problem]:
    searched = set(space)
    for name in fixed:
        if name in searched:
            message = f"field {shown(name)} is both fixed by `set` and searched by `space`; keep one."
            yield problem_at(tree, (*loc, "space", name), message, key=True)
