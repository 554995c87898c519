"""A spec against the world: whether what it names exists and fits together. Opens no data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from bench.errors import UserError, did_you_mean
from bench.spec.check_method import entry_problems, why_unfit
from bench.spec.expand import resolve_method
from bench.spec.fingerprint import canonical_json
from bench.spec.loader import LoadedSpec, read_draft
from bench.spec.models import Experiment, MethodChoice, MethodEntry, Spec
from bench.spec.problems import InvalidSpecError, Loc, Problem, shown
from bench.spec.rules import problem_at, was_cut
from bench.spec.tree import Tree, find
from bench.training.precision import precision_problem

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from bench.data.card import DatasetCard
    from bench.methods.base import Method
    from bench.tasks.base import Task

T = TypeVar("T", covariant=True)


class Lookup(Protocol[T]):
    """What `check` needs of a registry."""

    def names(self) -> list[str]:
        """Returns every known name."""

    def get(self, name: str) -> T:
        """Returns the object of a known name; UserError when it cannot be loaded."""

    def items(self) -> Iterator[tuple[str, T]]:
        """Yields every name and object that can be loaded."""


@dataclass(frozen=True)
class World:
    """Everything a spec may name.

    Attributes:
        methods: Methods by name.
        datasets: Dataset cards by name.
        tasks: Tasks by name.
        dataset_id: Splits `name@scale`; UserError when the scale makes no sense.
        pipeline: Reads the stages of a view; UserError when they make none.
    """

    methods: Lookup[type[Method]]
    datasets: Lookup[DatasetCard]
    tasks: Lookup[Task]
    dataset_id: Callable[[str], tuple[str, float]]
    pipeline: Callable[[object], object]

    @classmethod
    def default(cls) -> World:
        """Returns the registries of this installation, plugins included."""
        from bench.data.registry import DATASETS, parse_dataset_id
        from bench.graph.stages import parse_pipeline
        from bench.methods.registry import METHODS
        from bench.tasks.registry import TASKS

        return cls(METHODS, DATASETS, TASKS, parse_dataset_id, parse_pipeline)

    def why_not_wrapped(self, adapter: str, method: str) -> str | None:
        """Returns why an adapter cannot wrap a method (both must exist), or None when it can.

        The adapter says so itself: by `compatible(method class)`, which returns a reason or None, or by a set of names
        `adapts`. One that says neither wraps any method of its tasks that is no adapter.
        """
        outer, inner = self.methods.get(adapter), self.methods.get(method)
        if inner.adapter:
            return "it is an adapter itself"
        if not outer.tasks & inner.tasks:
            return "they share no task"
        compatible = getattr(outer, "compatible", None)
        if compatible is not None:
            reason: str | None = compatible(inner)
            return reason
        adapts = getattr(outer, "adapts", None)
        return None if adapts is None or method in adapts else f"it wraps {', '.join(sorted(adapts))}"

    def compatible(self, adapter: str, task: str) -> list[str]:
        """Returns the methods of a task that an adapter can wrap, sorted: what `wrap: all` means."""
        return [
            name
            for name, method in self.methods.items()
            if task in method.tasks and self.why_not_wrapped(adapter, name) is None
        ]


def validate_spec(path: str | os.PathLike[str], world: World | None = None) -> LoadedSpec:
    """Reads and checks a spec; problems of form and of content are reported together.

    Raises:
        InvalidSpecError: With every problem found.
    """
    draft = read_draft(path)
    problems = list(draft.problems)
    if draft.spec is not None and draft.pruned is not None:
        found = world_problems(draft.spec, draft.pruned, world)
        problems += [problem for problem in found if problem.position not in draft.unread]
    if problems:
        raise InvalidSpecError(problems)
    return draft.loaded()


def check_spec(loaded: LoadedSpec, world: World | None = None) -> None:
    """Checks a loaded spec against the world.

    Raises:
        InvalidSpecError: With every problem found.
    """
    problems = world_problems(loaded.spec, loaded.tree, world)
    if problems:
        raise InvalidSpecError(problems)


def world_problems(spec: Spec, tree: Tree, world: World | None = None) -> list[Problem]:
    """Returns what a spec names that does not exist or does not fit; `tree` is where positions come from."""
    world = World.default() if world is None else world
    problems: list[Problem] = []
    for index, experiment in enumerate(spec.experiments):
        precision = spec.resources.precision
        problems += _Experiment(world, tree, experiment, ("experiments", index), precision).problems()
    return problems


def unknown(kind: str, name: str, known: list[str], *, also: tuple[str, ...] = ()) -> str:
    """Returns the message for a name that no registry knows."""
    near = did_you_mean(name, [*known, *also])
    return f"unknown {kind} {shown(name)}; known: {', '.join(known) or 'none'}.{near}"


@dataclass
class _Experiment:
    world: World
    tree: Tree
    experiment: Experiment
    loc: Loc
    precision: str
    cards: dict[str, DatasetCard] = field(default_factory=dict)
    """Dataset id to card, of the datasets that exist."""

    def at(self, loc: Loc, message: str, *, key: bool = False) -> Problem:
        return problem_at(self.tree, (*self.loc, *loc), message, key=key)

    def problems(self) -> Iterator[Problem]:
        tasks = self.world.tasks.names()
        task = self.experiment.task
        if task not in tasks:
            yield self.at(("task",), unknown("task", task, tasks))
        else:
            yield from self._metrics(self.world.tasks.get(task))
        yield from self._datasets(task if task in tasks else None)
        yield from self._methods(task if task in tasks else None)

    def _metrics(self, task: Task) -> Iterator[Problem]:
        for index, name in enumerate(self.experiment.metrics):
            try:
                task.metric(name)
            except UserError as error:
                yield self.at(("metrics", index), _text(error))

    def _datasets(self, task: str | None) -> Iterator[Problem]:
        known = self.world.datasets.names()
        for index, entry in enumerate(self.experiment.datasets):
            loc: Loc = ("datasets", index, "dataset")
            try:
                name, scale = self.world.dataset_id(entry.dataset)
            except UserError as error:
                yield self.at(loc, _text(error))
                continue
            if name not in known:
                yield self.at(loc, unknown("dataset", name, known))
                continue
            card = self.world.datasets.get(name)
            self.cards[entry.dataset] = card
            if "@" in entry.dataset and not card.generated:
                twin = f"; its generated twin can be scaled: {card.twin}@{scale:g}" if card.twin else ""
                yield self.at(loc, f"dataset {shown(name)} is not generated and has no scale{twin}.")
            if task is not None and task not in card.tasks:
                message = f"dataset {shown(name)} is not for task {shown(task)}, but for {', '.join(card.tasks)}."
                yield self.at(loc, message)
            protocol = entry.protocol or self.experiment.protocol
            if protocol is not None and protocol not in card.protocols:
                offered = ", ".join(card.protocols)
                message = f"dataset {shown(name)} has no protocol {shown(protocol)}; it offers {offered}."
                where: Loc = ("datasets", index, "protocol") if entry.protocol else ("protocol",)
                yield self.at(where, message + did_you_mean(protocol, card.protocols))
        yield from self._fallback(known)

    def _fallback(self, known: list[str]) -> Iterator[Problem]:
        cards = self.cards.values()
        if self.experiment.fallback is None or len(self.cards) < len(self.experiment.datasets):
            return
        if not any(card.twin in known for card in cards):
            message = f"no dataset of this experiment has a generated twin: {', '.join(self.cards)}; remove `fallback`."
            yield self.at(("fallback",), message)

    def _methods(self, task: str | None) -> Iterator[Problem]:
        seen: dict[str, Loc] = {}
        for index, choice in enumerate(self.experiment.methods):
            at: Loc = ("methods", index)
            found = list(self._choice(choice, task, at))
            yield from found
            if not found and task is not None:
                yield from self._fit_and_repeats(choice, task, at, seen)

    def _choice(self, choice: MethodChoice, task: str | None, at: Loc) -> Iterator[Problem]:
        """Yields what is wrong with one item of `methods`, the wrapped ones included."""
        yield from self._entry(MethodEntry(**_own(choice)), task, at)
        method = self._known(choice.method)
        adapter = None if method is None else method.adapter
        if adapter is False and choice.wrap is not None:
            message = f"method {shown(choice.method)} is no adapter and wraps nothing; remove `wrap`."
            yield self.at((*at, "wrap"), message, key=True)
        if adapter and choice.wrap is None and not was_cut(self.tree, (*self.loc, *at)):
            fitting = self.world.compatible(choice.method, task) if task is not None else []
            names = f": {', '.join(fitting)}" if fitting else ""
            message = f"adapter {shown(choice.method)} needs `wrap`, a method it can wrap{names}, or all."
            yield self.at((*at, "method"), message)
        if adapter and choice.wrap == "all" and task is not None and not self.world.compatible(choice.method, task):
            yield self.at((*at, "wrap"), f"adapter {shown(choice.method)} can wrap no method of task {shown(task)}.")
        for number, inner in enumerate(choice.wrap if isinstance(choice.wrap, tuple) else ()):
            yield from self._wrapped(choice.method if adapter else None, inner, task, (*at, "wrap", number))

    def _known(self, name: str) -> type[Method] | None:
        """Returns a method, or None when `_entry` reports why there is none."""
        try:
            return self.world.methods.get(name)
        except UserError:
            return None

    def _wrapped(self, adapter: str | None, inner: MethodEntry, task: str | None, at: Loc) -> Iterator[Problem]:
        yield from self._entry(inner, task, at, also=("all",))
        if inner.wrap is not None:
            yield self.at((*at, "wrap"), "a wrapped method cannot wrap another one; remove this `wrap`.", key=True)
        if adapter is None or self._known(inner.method) is None:
            return
        reason = self.world.why_not_wrapped(adapter, inner.method)
        if reason is not None:
            fitting = self.world.compatible(adapter, task) if task is not None else []
            can = f"; it can wrap {', '.join(fitting)}" if fitting else ""
            message = f"adapter {shown(adapter)} cannot wrap {shown(inner.method)}: {reason}{can}."
            yield self.at((*at, "method"), message)

    def _entry(self, entry: MethodEntry, task: str | None, at: Loc, *, also: tuple[str, ...] = ()) -> Iterator[Problem]:
        known = self.world.methods.names()
        if entry.method not in known:
            yield self.at((*at, "method"), unknown("method", entry.method, known, also=also))
            return
        try:
            method = self.world.methods.get(entry.method)
        except UserError as error:
            yield self.at((*at, "method"), _text(error))
            return
        if task is not None and task not in method.tasks:
            names = ", ".join(sorted(method.tasks)) or "none"
            message = f"method {shown(entry.method)} is not for task {shown(task)}, but for {names}."
            yield self.at((*at, "method"), message)
        for loc, message, key in entry_problems(entry, method, list(self.cards.values()), self.world.pipeline):
            yield self.at((*at, *loc), message, key=key)

    def _fit_and_repeats(self, choice: MethodChoice, task: str, at: Loc, seen: dict[str, Loc]) -> Iterator[Problem]:
        """Yields methods that fit no dataset, and cells asked for twice; names and values must be right."""
        methods = self.world.methods
        fitting = self.world.compatible(choice.method, task) if choice.wrap == "all" else []
        unfit: list[tuple[Loc, str]] = []
        entries = choice.entries(fitting)
        for number, entry in enumerate(entries):
            inner: Loc = (*at, "wrap", number) if isinstance(choice.wrap, tuple) else at
            chain = {e.method: methods.get(e.method) for e in (entry, entry.wrap) if e is not None}
            reasons = [why_unfit(list(chain.values()), dataset, card) for dataset, card in self.cards.items()]
            if reasons and len(self.cards) == len(self.experiment.datasets) and None not in reasons:
                text = "; ".join(reason for reason in reasons if reason)
                unfit.append((inner, f"method {shown(entry.label)} fits no dataset of this experiment: {text}."))
            configs = {name: method.Config for name, method in chain.items()}
            innermost = resolve_method(entry.chain[-1], configs)
            # What is searched counts as switched on.
            asked = innermost.config | dict.fromkeys(innermost.space, True)
            problem = precision_problem(entry.label, chain[entry.chain[-1].method], asked, self.precision)
            if problem is not None:
                yield self.at(inner, problem)
            config, space = resolve_method(entry, configs)
            code = canonical_json([entry.label, config, {k: d.to_yaml() for k, d in space.items()}, _views(entry)])
            if code in seen and not was_cut(self.tree, (*self.loc, *inner)):
                first = find(self.tree, (*self.loc, *seen[code])).tree.position
                message = f"method {shown(entry.label)} is given twice with the same configuration, first at {first}."
                yield self.at(inner, message)
            seen.setdefault(code, inner)
        # Of `all`, some may not fit: those cells are skipped with their reason.
        if choice.wrap != "all" or len(unfit) == len(entries):
            for loc, message in unfit:
                yield self.at(loc, message)


def _own(choice: MethodChoice) -> dict[str, Any]:
    return {"method": choice.method, "set": choice.set, "space": choice.space, "views": choice.views}


def _views(entry: MethodEntry) -> list[Any]:
    return [entry.views, None if entry.wrap is None else _views(entry.wrap)]


def _text(error: UserError) -> str:
    """Returns an error on one line."""
    parts = [error.message.rstrip(".") + ".", *([error.hint] if error.hint else [])]
    return " ".join(" ".join(parts).split())
