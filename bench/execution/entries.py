"""One entry of the grid made concrete: its dataset opened, its views and identity worked out, its jobs written down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from bench.data.types import ANNOTATIONS
from bench.execution.checkpoints import config_by_content, space_by_content
from bench.execution.jobs import Job
from bench.graph.compile import view_digest
from bench.graph.stages import parse_pipeline, pipeline_to_yaml
from bench.methods.registry import METHODS
from bench.spec.expand import WRAPPED, resolve_method
from bench.spec.fingerprint import CellIdentity, StudyIdentity, source_digest
from bench.spec.space import domains_to_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.data.checkpoints import Checkpoint
    from bench.data.dataset import Dataset
    from bench.data.types import ModalityInfo
    from bench.graph.stages import Pipeline
    from bench.methods.base import Method
    from bench.spec.models import Budget, MethodEntry, Spec
    from bench.spec.space import Domain
    from bench.tasks.base import Task


@dataclass(frozen=True, eq=False)
class Entry:
    """What to do for one (experiment, dataset, method).

    Attributes:
        task: The task.
        dataset: Id of the dataset that is used (a twin's own, where one stands in).
        generated: Whether that data was generated.
        protocol: Name of the protocol.
        method: The method entry.
        metrics: Test metrics to report.
        select: Validation metric that decides.
        config: Defaults overridden by `set`.
        space: Fields to search; empty where nothing is searched.
        method_digest: Digest of the method's source.
        budget: The effort.
        search: Search settings as JSON; empty where nothing is searched.
        precision: Floating type of the training.
        checkpoints: Pretrained models that the method or a metric reads, by how the spec asks for them.
        networks: Name of a pretrained network in `metrics` or `select` to how the spec asks for it.
        data: The open dataset; None where it cannot be had.
        views: Stages of the graphs under `config`.
        skipped: Why the method does not fit the dataset; None where it does.
        error: Why the entry cannot run although it should; None where it can.
    """

    task: Task
    dataset: str
    generated: bool
    protocol: str
    method: MethodEntry
    metrics: tuple[str, ...]
    select: str
    config: Mapping[str, Any]
    space: Mapping[str, Domain]
    method_digest: str
    budget: Budget
    search: Mapping[str, Any]
    precision: str
    checkpoints: Mapping[str, Checkpoint] = field(default_factory=dict)
    networks: Mapping[str, str] = field(default_factory=dict)
    data: Dataset | None = None
    views: Mapping[str, Pipeline] = field(default_factory=dict)
    skipped: str | None = None
    error: str | None = None

    @property
    def label(self) -> str:
        """The method's name in tables."""
        return self.method.label

    @property
    def title(self) -> str:
        """Names the entry to a user: `mgcn · baby`, `mgcn (ui_layers=2) · baby`."""
        return f"{self.method.spoken} · {self.dataset}"

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Which way the selection metric is better."""
        return self.task.metric(self.select).direction

    @property
    def dataset_digest(self) -> str:
        """The data's digest, "" where there is no data."""
        return self.data.digest if self.data is not None else ""

    @property
    def trials(self) -> int:
        """Trials of the search, 0 where nothing is searched."""
        return self.budget.trials if self.space else 0

    @property
    def trial_epochs(self) -> int:
        """Most epochs of a trial."""
        return self.budget.trial_epochs or self.budget.epochs

    @property
    def closed_form(self) -> bool:
        """Whether training is one computation rather than epochs."""
        return method_classes(self.method)[-1].closed_form

    @property
    def study(self) -> StudyIdentity:
        """What the entry's cells have in common."""
        budget = self.budget.model_dump(mode="json", include={"trials", "epochs", "patience", "trial_epochs"})
        return StudyIdentity(
            task=self.task.name,
            protocol=self.protocol,
            dataset_digest=self.dataset_digest,
            method=self.label,
            method_digest=self.method_digest,
            config=config_by_content(self.method, self.config, self.checkpoints),
            space=space_by_content(self.method, domains_to_yaml(self.space), self.checkpoints),
            search=dict(self.search),
            views=digests(self.views, self.dataset_digest),
            budget=budget,
            select=self.select,
            precision=self.precision,
        )

    def cell(self, seed: int) -> CellIdentity:
        """Returns the identity of the entry's cell with a seed."""
        return CellIdentity(**self.study.model_dump(), seed=seed)

    def defaults(self) -> dict[str, Any]:
        """Returns the value each searched field has when nothing is searched."""
        return {name: _look_up(self.config, name) for name in self.space}

    def with_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the configuration with searched values in place; `wrapped.x` goes to the wrapped method."""
        config = _copy(self.config)
        for name, value in params.items():
            target, *path = config, *name.split(".")
            for step in path[:-1]:
                target = target[step]
            target[path[-1]] = value
        return config

    def pipelines(self, config: Mapping[str, Any]) -> dict[str, Pipeline]:
        """Returns the graphs the method wants under a configuration (a searched field may change them)."""
        if config == self.config or self.data is None:
            return dict(self.views)
        return view_pipelines(self.method, config, self.data.modalities)

    def job(self, *, id: str, kind: Literal["trial", "run"], config: Mapping[str, Any], seed: int) -> Job:
        """Writes down a trial or a run.

        Args:
            id: Name of the job's folder.
            kind: A trial validates; a run opens the test split.
            config: The whole configuration.
            seed: Seed of the training.
        """
        pipelines = self.pipelines(config)
        budget = self.budget.model_dump(mode="json")
        budget["epochs"] = self.trial_epochs if kind == "trial" else self.budget.epochs
        return Job(
            id=id,
            kind=kind,
            task=self.task.name,
            protocol=self.protocol,
            dataset=self.dataset,
            dataset_digest=self.dataset_digest,
            method=self.method.model_dump(mode="json"),
            config=dict(config),
            views={name: pipeline_to_yaml(pipeline) for name, pipeline in pipelines.items()},
            view_digests=digests(pipelines, self.dataset_digest),
            budget=budget,
            select=self.select,
            metrics=[self.select] if kind == "trial" else list(self.metrics),
            checkpoints={asked: found.digest for asked, found in self.checkpoints.items()},
            networks=dict(self.networks),
            seed=seed,
            precision=self.precision,
            timeout_s=self.budget.timeout_s,
        )


def method_classes(entry: MethodEntry) -> list[type[Method]]:
    """Returns the classes of a method entry, outermost first."""
    return [METHODS.get(link.method) for link in entry.chain]


def resolve(entry: MethodEntry, spec: Spec, budget: Budget) -> dict[str, Any]:
    """Returns what an entry's method decides without any data: configuration, space, source digest, search settings."""
    classes = method_classes(entry)
    configs = {link.method: cls.Config for link, cls in zip(entry.chain, classes, strict=True)}
    config, space = resolve_method(entry, configs)
    searched = space if budget.trials > 0 else {}
    return {
        "config": config,
        "space": searched,
        "method_digest": source_digest(*(cls.__module__ for cls in classes)),
        "search": spec.search.model_dump(mode="json") if searched else {},
    }


def view_pipelines(
    entry: MethodEntry, config: Mapping[str, Any], modalities: Mapping[str, ModalityInfo]
) -> dict[str, Pipeline]:
    """Returns the graphs of a method and of what it wraps; stages a spec gives take the place of the method's own.

    Raises:
        UserError: Stages that do not follow each other.
        ValueError: A configuration that does not validate.
    """
    cls = METHODS.get(entry.method)
    own = {name: value for name, value in config.items() if name != WRAPPED}
    found: dict[str, Pipeline] = {}
    if entry.wrap is not None:
        found.update(view_pipelines(entry.wrap, config[WRAPPED], modalities))
    content = {name: info for name, info in modalities.items() if name != ANNOTATIONS}
    found.update(cls.views(cls.Config.with_values(own), content))
    found.update({name: parse_pipeline(stages) for name, stages in entry.views.items() if name in found})
    return found


def unfit(entry: MethodEntry, dataset: str, modalities: Mapping[str, ModalityInfo]) -> str | None:
    """Returns why a method, or what it wraps, cannot use a dataset's content; None when it can."""
    reasons = (cls.needs.missing(dataset, modalities) for cls in method_classes(entry))
    return next((reason for reason in reasons if reason is not None), None)


def digests(pipelines: Mapping[str, Pipeline], dataset_digest: str) -> dict[str, str]:
    """Returns the digest of each view."""
    return {name: view_digest(pipeline, dataset_digest) for name, pipeline in pipelines.items()}


def _look_up(config: Mapping[str, Any], name: str) -> Any:
    value: Any = config
    for step in name.split("."):
        value = value[step]
    return value


def _copy(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _copy(value) if isinstance(value, dict) else value for name, value in config.items()}


def missing_floors(entries: Sequence[Entry]) -> Iterator[str]:
    """Yields what to say of tables that lack the row beside which a task's scores must be read."""
    for task, dataset in dict.fromkeys((entry.task, entry.dataset) for entry in entries):
        floor = getattr(task, "floor", None)
        if floor and not any(one.label == floor for one in entries if (one.task, one.dataset) == (task, dataset)):
            yield (
                f"{task.name} on {dataset!r} lacks the row {floor!r}, beside which its scores must be read: add it to "
                "the methods."
            )


def twin_warning(asked: str, data: Dataset) -> str:
    """Returns what to say where a generated twin stands in for a dataset."""
    return (
        f"dataset {asked!r} is not on this machine; its generated twin {data.id!r} is used in its place, under its own "
        f"name (`fallback: twin`). For real results put the data under $BENCH_DATA: `bench data info {asked}`."
    )
