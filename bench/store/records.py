"""Records: what one run, trial, study, view, environment or experiment leaves behind. Plain values, no database.

They cross process boundaries as JSON (a worker writes them, the driver stores them) and are the vocabulary that
`execution`, `store`, `analysis`, `cli` and `leaderboard` share.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["done", "pruned", "diverged", "failed", "oom", "timeout", "lost", "interrupted", "skipped"]


class Record(BaseModel):
    """Base of all records: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, ser_json_inf_nan="constants")


class EnvironmentRecord(Record):
    """Where results were made. Equal content has an equal `digest` and is stored once."""

    digest: str
    """sha256 of everything below."""
    git_commit: str | None
    """Commit of the working tree `bench` was imported from; None outside git."""
    git_dirty: bool | None
    """Whether that tree had uncommitted changes."""
    packages: dict[str, str]
    """Distribution name to version, of `bench`'s dependencies."""
    hardware: dict[str, Any]
    """cpu, cores, memory_bytes, gpus (list of names), platform."""
    python: str
    """Python version."""


class ExperimentRecord(Record):
    """One `bench run` of a spec."""

    spec_digest: str
    """sha256 of the resolved spec."""
    name: str
    """The spec's name."""
    spec_text: str
    """The YAML as the user wrote it."""
    resolved: dict[str, Any]
    """The spec after includes, defaults and budget selection."""
    budget: str
    """Name of the budget used."""
    created: datetime
    """UTC."""


class ViewRecord(Record):
    """A compiled graph."""

    digest: str
    """Content identity: dataset digest, stages, stage code."""
    name: str
    """Name under which the method knows it ("ui", "image")."""
    dataset: str
    pipeline: list[Any]
    """The stages as written in a spec."""
    rows: int
    cols: int
    edges: int
    seconds: float
    """Compile time; 0 when it came from the cache."""


class CurvePoint(Record):
    """One epoch of one training."""

    epoch: int
    """From 1."""
    values: dict[str, float]
    """`loss`, `loss/<part>`, `valid/<metric>`, `seconds/train`, `seconds/valid`."""


class TrialRecord(Record):
    """One trial of a study: train and validation only."""

    study: str
    """Fingerprint of the study."""
    number: int
    """From 0 in its study."""
    status: Status
    params: dict[str, Any]
    """What the sampler suggested."""
    config: dict[str, Any]
    """The whole resolved configuration."""
    value: float | None
    """Best validation value of the selection metric, full precision."""
    best_epoch: int | None
    epochs: int
    """Epochs trained."""
    seconds: float
    """Wall time of the job."""
    error: str | None = None
    """Message and truncated traceback of a trial that did not finish."""
    curve: list[CurvePoint] = Field(default_factory=list)
    created: datetime


class StudyRecord(Record):
    """Optuna's search for one (dataset, method)."""

    fingerprint: str
    task: str
    protocol: str
    dataset: str
    method: str
    """Display name: `mgcn`, `befa[mgcn]`."""
    budget: str
    sampler: str
    pruner: str
    select: str
    """The validation metric that is optimised."""
    direction: Literal["maximize", "minimize"]
    space: dict[str, Any]
    """Field to domain, as written in a spec."""
    trials: int
    """Trials the budget grants."""
    best_trial: int | None = None
    created: datetime


class RunRecord(Record):
    """One cell of the result grid: a training with a fixed configuration and seed, then one look at the test split."""

    fingerprint: str
    """Identity of the cell."""
    identity: dict[str, Any]
    """The fields the fingerprint is the hash of, so that a difference can be explained field by field."""
    status: Status
    reason: str | None = None
    """Why a cell was skipped or did not finish."""
    family: str
    task: str
    protocol: str
    dataset: str
    generated: bool
    """Whether the data was generated."""
    method: str
    """Display name: `mgcn`, `befa[mgcn]`."""
    method_digest: str
    """Digest of the method's source."""
    budget: str
    budget_detail: dict[str, Any]
    seed: int
    select: str
    config: dict[str, Any] = Field(default_factory=dict)
    """Resolved configuration that was trained."""
    study: str | None = None
    """Fingerprint of the study that chose `config`; None when nothing was searched."""
    notes: dict[str, Any] = Field(default_factory=dict)
    """Free facts worth showing: derived modalities, ignored modalities, eligible users, …"""
    dataset_digest: str
    views: dict[str, str] = Field(default_factory=dict)
    """View name to view digest."""
    environment: str | None = None
    """Digest of the environment record."""
    spec_digest: str | None = None
    device: str = "cpu"
    best_epoch: int | None = None
    epochs: int = 0
    valid: dict[str, float] = Field(default_factory=dict)
    """Validation metrics at the best epoch."""
    metrics: dict[str, float] = Field(default_factory=dict)
    """Test metrics, full precision."""
    n_units: int = 0
    """Units the metrics are averaged over."""
    parameters: int = 0
    """Trainable parameters."""
    seconds: dict[str, float] = Field(default_factory=dict)
    """compile, train, evaluate, total."""
    peak_memory_bytes: int | None = None
    error: str | None = None
    """Message and truncated traceback."""
    curve: list[CurvePoint] = Field(default_factory=list)
    created: datetime
    """UTC, when the run ended."""


class UnitScores(Record):
    """Per-unit test scores of one run, for paired tests."""

    run: str
    """Fingerprint of the run."""
    arrow: bytes
    """Arrow IPC (zstd): column `unit` (int64 or string) and one float64 column per metric; see `bench.store.codec`."""


class SampleRecord(Record):
    """Something a run left for people to look at: a picture, a table, reasoning weights."""

    run: str
    """Fingerprint of the run."""
    number: int = Field(ge=0)
    """Its place among the run's samples."""
    unit: str
    """What it is about: a unit, or "confusion matrix"."""
    prompt: str | None = None
    """The text it answers."""
    media_type: str
    """`image/png`, `application/json`, …"""
    data: bytes
    notes: dict[str, Any] = Field(default_factory=dict)
    """Worth showing beside it; `kind` names what it is."""


def is_current(run: RunRecord, current_method_digest: str | None) -> bool:
    """Returns whether a run was made by the method's present source.

    Args:
        run: A stored run.
        current_method_digest: Digest of the method's source today; None when the method is no longer known.
    """
    return current_method_digest is not None and run.method_digest == current_method_digest
