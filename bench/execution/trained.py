"""The trained method of a stored run, from the weights that were kept on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from bench.data.dataset import open_dataset
from bench.errors import DataError, UserError
from bench.execution.checkpoints import check_unchanged
from bench.execution.results import weights_path
from bench.methods.base import Context
from bench.methods.registry import METHODS
from bench.spec.fingerprint import source_digest
from bench.spec.models import MethodEntry
from bench.training.build import DTYPES, build_method

if TYPE_CHECKING:
    from bench.methods.base import Method
    from bench.store.records import RunRecord


class Trained(NamedTuple):
    """A method that was trained.

    Attributes:
        method: In eval mode, with the weights of the run's best epoch.
        data: What it was trained on, of the type its task's methods take.
        notices: What a person should know about it, in whole sentences.
    """

    method: Method
    data: Any
    notices: tuple[str, ...]


def check_kept(record: RunRecord) -> None:
    """Checks, before any data is read, that a run finished and that its weights are here.

    Raises:
        UserError: One is not so; says how to get them.
    """
    name = f"run {record.fingerprint[:12]} ({record.method} on {record.dataset}, seed {record.seed})"
    if record.status != "done":
        reason = f": {record.reason}" if record.reason else ""
        raise UserError(
            f"{name} has no trained weights, its status is {record.status!r}{reason}.",
            hint="`bench status` lists the runs that are done.",
        )
    if not weights_path(record.fingerprint).is_file():
        raise UserError(
            f"the weights of {name} are not on this machine: no {weights_path(record.fingerprint)}.",
            hint=f"To get them, train it again: `bench export-spec {record.fingerprint[:12]} > again.yaml && bench run "
            "again.yaml --fresh`. The newest runs are kept, up to $BENCH_KEEP_WEIGHTS_GB (5) in $BENCH_CACHE.",
        )


def trained_method(record: RunRecord, *, device: torch.device) -> Trained:
    """Builds the method of a stored run and loads its kept weights.

    Args:
        record: A finished run of a method without views.
        device: Where the method goes.

    Raises:
        UserError: The run is not done, its weights are no longer here, are damaged or do not fit today's code, or a
            pretrained folder that its configuration names is gone.
        DataError: The data, or the pretrained folder, has changed since the run.
    """
    check_kept(record)
    dataset = open_dataset(record.dataset, protocol=record.protocol)
    if record.dataset_digest and dataset.digest != record.dataset_digest:
        raise DataError(
            f"dataset {record.dataset!r} has changed since run {record.fingerprint[:12]}: its digest was "
            f"{record.dataset_digest[:12]} and is {dataset.digest[:12]}, so its words may mean something else now.",
            hint="Run its spec again with today's data, or point $BENCH_DATA at the old one.",
        )
    data = dataset.training()
    dtype = DTYPES.get(str(record.identity.get("precision")), torch.float32)
    entry = _entry(record.method)
    check_unchanged(record, MethodEntry.model_validate(entry))
    method = build_method(entry, record.config, Context(data, {}, dtype)).to(device)
    path = weights_path(record.fingerprint)
    again = (
        f"Train it again: `bench export-spec {record.fingerprint[:12]} > again.yaml && bench run again.yaml --fresh`."
    )
    try:
        method.load_state_dict(load_file(path, device=str(device)))
    except (OSError, SafetensorError) as error:
        raise UserError(f"the kept weights {str(path)!r} cannot be read: {error}", hint=again) from error
    except RuntimeError as error:
        last = str(error).splitlines()[-1].strip()
        raise UserError(f"the kept weights {str(path)!r} do not fit {record.method}: {last}", hint=again) from error
    changed = _digest(entry) != record.method_digest
    notices = (f"the code of {record.method} has changed since this run.",) if changed else ()
    return Trained(method.eval(), data, notices)


def _entry(label: str) -> dict[str, Any]:
    """Returns a method entry as JSON from its label, `marnet[resnet]`."""
    name, bracket, inner = label.partition("[")
    return {"method": name, "wrap": _entry(inner.removesuffix("]"))} if bracket else {"method": name}


def _digest(entry: dict[str, Any]) -> str:
    modules = []
    inner: dict[str, Any] | None = entry
    while inner is not None:
        modules.append(METHODS.get(inner["method"]).__module__)
        inner = inner.get("wrap")
    return source_digest(*modules)
