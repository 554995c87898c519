"""Jobs and what comes back from them: the records that cross the pipe between the driver and a worker process."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from bench.store.records import CurvePoint, Record, Status

ErrorClass = Literal["diverged", "oom", "data", "user", "method", "lost", "timeout"]
"""Whose fault a failure is. Only `lost` (the machinery's fault) is worth another try."""

STATUS_OF: dict[ErrorClass, Status] = {
    "diverged": "diverged",
    "oom": "oom",
    "data": "failed",
    "user": "failed",
    "method": "failed",
    "lost": "lost",
    "timeout": "timeout",
}
"""The status a job ends with when it failed with an error of a class."""


class Job(Record):
    """One training, written out in full, so that any worker process that has the data can do it."""

    id: str
    """Names the job's folder: the fingerprint of a run, `<study fingerprint>-<number>` of a trial."""
    kind: Literal["trial", "run"]
    """A trial sees train and validation only; a run opens the test split after training."""
    task: str
    protocol: str
    dataset: str
    """Dataset id, scale included: `baby`, `baby-twin@0.05`."""
    dataset_digest: str
    """The worker refuses data whose digest differs: "" skips the check."""
    method: dict[str, Any]
    """The `MethodEntry` as JSON: name, what the spec set, what it wraps."""
    config: dict[str, Any]
    """The whole resolved configuration; an adapter's has the wrapped method's under `wrapped`."""
    views: dict[str, list[Any]] = Field(default_factory=dict)
    """View name to its stages as written in a spec."""
    view_digests: dict[str, str] = Field(default_factory=dict)
    """View name to the digest of the compiled graph."""
    budget: dict[str, Any]
    """The `Budget` as JSON; `epochs` is already the cap of this kind of job."""
    select: str
    """The validation metric of early stopping and of the search."""
    metrics: list[str]
    checkpoints: dict[str, str] = Field(default_factory=dict)
    """How each pretrained model is asked for, to its digest; the worker refuses one whose digest differs."""
    networks: dict[str, str] = Field(default_factory=dict)
    """Name of a pretrained network in `metrics` or `select` to how it is asked for."""
    seed: int = Field(ge=0)
    device: str = "auto"
    """`auto`, `cpu` or `cuda`."""
    threads: int = Field(default=1, ge=1)
    """CPU threads the job may use."""
    precision: str = "32-true"
    timeout_s: float | None = Field(default=None, gt=0)
    """Seconds after which the job is stopped with status `timeout`."""


class Outcome(Record):
    """What a job came to."""

    status: Status
    best_epoch: int | None = None
    epochs: int = 0
    """Epochs trained."""
    value: float | None = None
    """Best validation value of the selection metric, full precision."""
    valid: dict[str, float] = Field(default_factory=dict)
    """Validation metrics at the best epoch."""
    metrics: dict[str, float] = Field(default_factory=dict)
    """Test metrics, full precision; always empty for a trial."""
    n_units: int = 0
    """Test units the metrics are averaged over."""
    parameters: int = 0
    """Trainable parameters."""
    seconds: dict[str, float] = Field(default_factory=dict)
    """compile, train, evaluate, total."""
    peak_memory_bytes: int | None = None
    """Peak of the device: CUDA's allocator on a GPU, the process's resident set otherwise."""
    curve: list[CurvePoint] = Field(default_factory=list)
    error: str | None = None
    """Message and truncated traceback."""
    units_path: str | None = None
    """Name, inside the job's folder, of the Arrow file with the per-unit test scores."""
    samples_path: str | None = None
    """Name, inside the job's folder, of the Arrow file with what people should be able to look at."""
    device: str = "cpu"
    notes: dict[str, Any] = Field(default_factory=dict)
    """Free facts worth storing with the run."""


class Ready(Record):
    """The worker has imported what it needs and waits for a job."""

    event: Literal["ready"] = "ready"
    pid: int


class Heartbeat(Record):
    """The worker process is alive; says nothing of the job's progress."""

    event: Literal["heartbeat"] = "heartbeat"
    rss_bytes: int = 0
    """Resident memory, to tell an out-of-memory kill from another."""


class Started(Record):
    """A job has begun."""

    event: Literal["started"] = "started"
    job: str


class EpochDone(Record):
    """An epoch of a job is over. For a trial the worker waits for a `Reply`."""

    event: Literal["epoch"] = "epoch"
    job: str
    point: CurvePoint


class Finished(Record):
    """A job ended and its result is on disk."""

    event: Literal["finished"] = "finished"
    job: str
    outcome: Outcome


class Failed(Record):
    """A job ended without a result."""

    event: Literal["failed"] = "failed"
    job: str
    error_class: ErrorClass
    message: str
    traceback: str | None = None
    outcome: Outcome | None = None
    """What is known nevertheless: peak memory, the curve so far, the device."""


class Reply(Record):
    """The driver's answer to `EpochDone` of a trial."""

    proceed: bool
    """False stops the training: the trial is pruned."""


JobEvent = Annotated[Ready | Heartbeat | Started | EpochDone | Finished | Failed, Field(discriminator="event")]
EVENT: TypeAdapter[Ready | Heartbeat | Started | EpochDone | Finished | Failed] = TypeAdapter(JobEvent)
