"""Pretrained models of an entry of the grid, found when it is planned: its identity holds content and not paths."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.data.checkpoints import Checkpoint, find_checkpoint, remember
from bench.errors import DataError, UserError
from bench.methods.registry import METHODS
from bench.spec.expand import WRAPPED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.execution.jobs import Job
    from bench.methods.base import Method
    from bench.spec.models import MethodEntry
    from bench.spec.space import Domain
    from bench.store.records import RunRecord
    from bench.tasks.base import Task

CHECKPOINT = "checkpoint"
"""A method's setting of this name holds None or a pretrained model; a method with others lists them all in
`pretrained`."""
ENCODER = "encoder"
"""So does this one of a method that declares `encoders`, unless the encoder is trained here: `tiny-SEED`."""
NOTE = "checkpoints"
"""Under this name a run notes how the models that its metrics name were asked for."""
_CONTENT = "sha256:"
_TINY = re.compile(r"tiny-\d+(-\d+)?")


@dataclass(frozen=True)
class Pretrained:
    """What an entry reads from checkpoints, and its metrics under the names that say so.

    Attributes:
        metrics: Test metrics; a network that is read from a checkpoint is named by its content.
        select: The metric that decides, likewise.
        found: Models by how the spec asks for them.
        networks: Name of a model in `metrics` or `select` to how the spec asks for it.
    """

    metrics: tuple[str, ...]
    select: str
    found: Mapping[str, Checkpoint] = field(default_factory=dict)
    networks: Mapping[str, str] = field(default_factory=dict)


def find_pretrained(
    method: MethodEntry,
    config: Mapping[str, Any],
    space: Mapping[str, Domain],
    task: Task,
    metrics: Sequence[str],
    select: str,
) -> Pretrained:
    """Finds the pretrained models of a method and of the metrics that judge it.

    Raises:
        UserError: One is not on this machine; names the method or the metric.
    """
    found: dict[str, Checkpoint] = {}
    networks: dict[str, str] = {}
    for asked in _asked(method, config, space):
        if asked not in found:
            found[asked] = _find(asked, f"method {method.label}")

    def named(metric: str) -> str:
        known = task.metric(metric)
        if known.checkpoint is None:
            return known.name
        asked = known.checkpoint
        if asked not in found:
            found[asked] = _find(asked, f"metric {metric}")
        networks[found[asked].name] = asked
        head, bracket, rest = known.name.partition("[")
        return f"{head}{bracket}{found[asked].name}{rest.removeprefix(asked)}"

    return Pretrained(tuple(dict.fromkeys(named(name) for name in metrics)), named(select), found, networks)


def config_by_content(
    method: MethodEntry, config: Mapping[str, Any], found: Mapping[str, Checkpoint]
) -> dict[str, Any]:
    """Returns a configuration with the digest in place of each checkpoint; another one is returned as it is."""
    changed = {key: value for key, value in config.items() if key != WRAPPED}
    for name in _settings(METHODS.get(method.method)):
        if changed.get(name) in found:
            changed[name] = _CONTENT + found[changed[name]].digest
    if method.wrap is not None and WRAPPED in config:
        changed[WRAPPED] = config_by_content(method.wrap, config[WRAPPED], found)
    return {key: changed[key] for key in config}


def space_by_content(method: MethodEntry, space: Mapping[str, Any], found: Mapping[str, Checkpoint]) -> dict[str, Any]:
    """Returns a search space as YAML, with the digest in place of each checkpoint among the choices."""
    fields = dict(_fields(method))
    changed: dict[str, Any] = {}
    for name, domain in space.items():
        if name in fields and "choices" in domain:
            values = [_CONTENT + found[value].digest if value in found else value for value in domain["choices"]]
            domain = {**domain, "choices": values}
        changed[name] = domain
    return changed


def open_checkpoints(job: Job) -> None:
    """Tells this process where the models lie that a job's metrics name.

    Raises:
        UserError: One is gone.
        DataError: One is no longer what the plan was made from.
    """
    for asked, digest in job.checkpoints.items():
        _unchanged(asked, digest, find_checkpoint(asked).digest, "the plan was made", "Run the spec again.")
    for name, asked in job.networks.items():
        remember(name, asked)


def check_unchanged(record: RunRecord, method: MethodEntry) -> None:
    """Checks that the pretrained models of a stored run still hold what they held.

    Raises:
        UserError: One is gone.
        DataError: One holds something else.
    """
    identity = record.identity.get("config", {})
    for path, _ in _fields(method):
        asked, known = _look_up(record.config, path), _look_up(identity, path)
        if isinstance(asked, str) and isinstance(known, str) and known.startswith(_CONTENT):
            now = find_checkpoint(asked).digest
            way = "Put back what was there, or run its spec again."
            _unchanged(asked, known.removeprefix(_CONTENT), now, f"run {record.fingerprint[:12]}", way)


def as_asked(record: RunRecord, metric: str) -> str:
    """Returns a stored metric's name as a spec can ask for it again."""
    head, bracket, rest = metric.partition("[")
    for name, asked in record.notes.get(NOTE, {}).items():
        if rest.startswith((f"{name}]", f"{name},")):
            return f"{head}{bracket}{asked}{rest.removeprefix(name)}"
    return metric


def _unchanged(asked: str, before: str, now: str, when: str, way: str) -> None:
    if before != now:
        raise DataError(
            f"checkpoint {asked!r} has changed since {when}: its digest was {before[:12]} and is {now[:12]}.", hint=way
        )


def _find(asked: str, who: str) -> Checkpoint:
    try:
        return find_checkpoint(asked)
    except UserError as error:
        raise type(error)(f"{who}: {error.message}", hint=error.hint) from error


def _asked(method: MethodEntry, config: Mapping[str, Any], space: Mapping[str, Domain]) -> Iterator[str]:
    for path, encoder in _fields(method):
        values = [_look_up(config, path), *getattr(space.get(path), "values", ())]
        for value in values:
            if isinstance(value, str) and not (encoder and _TINY.fullmatch(value)):
                yield value


def _fields(method: MethodEntry) -> Iterator[tuple[str, bool]]:
    """Yields the paths of settings that may name a checkpoint, and whether each is an encoder's."""
    prefix = ""
    for link in method.chain:
        for name in _settings(METHODS.get(link.method)):
            yield f"{prefix}{name}", name == ENCODER
        prefix += f"{WRAPPED}."


def _settings(cls: type[Method]) -> list[str]:
    names = [*getattr(cls, "pretrained", (CHECKPOINT,)), *([ENCODER] if hasattr(cls, "encoders") else [])]
    return [name for name in names if name in cls.Config.model_fields]


def _look_up(config: Mapping[str, Any], path: str) -> Any:
    value: Any = config
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value
