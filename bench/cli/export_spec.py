"""`bench export-spec RUN`: the spec that repeats one stored run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.cli import output
from bench.cli.options import DEFAULT_STORE, JsonOption, RunArgument, StoreOption

if TYPE_CHECKING:
    from bench.store import Store
    from bench.store.records import RunRecord

EXAMPLE = "bench export-spec mgcn:baby:0 > again.yaml"


def command(run: RunArgument, *, store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """Print the spec that repeats one run.

    Its configuration is fixed, nothing is searched, and its seed is the only one.
    """
    from bench.cli.find import find_run
    from bench.store import Store

    with Store.open(store, read_only=True) as opened:
        record = find_run(opened, run)
        recipe = spec_of(record, unusual_views(record, opened))
    if as_json:
        output.emit(recipe)
        return
    import yaml

    output.say(heading(record))
    output.say(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110).rstrip())


def heading(record: RunRecord) -> str:
    """Returns comments that say what is repeated and what should come out."""
    numbers = ", ".join(f"{name} {value!r}" for name, value in record.metrics.items())
    return (
        f"# Repeats run {record.fingerprint}: {record.method} on {record.dataset}, seed {record.seed}.\n"
        f"# It gave {numbers or record.status} on {record.device}, {record.created:%Y-%m-%d}."
    )


def unusual_views(record: RunRecord, store: Store) -> dict[str, list[Any]]:
    """Returns the stages of the views that are not what the method asks for by itself: a spec had changed them."""
    if not record.views:
        return {}
    from bench.data.dataset import open_dataset
    from bench.errors import UserError
    from bench.execution.entries import view_pipelines
    from bench.graph.stages import pipeline_to_yaml
    from bench.spec.models import MethodEntry

    entry = MethodEntry.model_validate(method_entry(record.method, record.config, {}))
    try:
        data = open_dataset(record.dataset, protocol=record.protocol)
        usual = view_pipelines(entry, record.config, data.modalities)
    except UserError:
        # Without the data there is nothing to compare with, and to write every view out is as right.
        usual = {}
    stored = {name: store.view(digest) for name, digest in record.views.items()}
    return {
        name: list(view.pipeline)
        for name, view in stored.items()
        if view is not None and (name not in usual or pipeline_to_yaml(usual[name]) != list(view.pipeline))
    }


def spec_of(record: RunRecord, views: dict[str, list[Any]]) -> dict[str, Any]:
    """Returns the spec that repeats a run, as YAML values.

    Args:
        record: A run that was trained.
        views: Stages that take the place of the method's own.

    Raises:
        UserError: The run was skipped: there is no configuration to repeat.
    """
    from bench.errors import UserError
    from bench.execution.checkpoints import as_asked

    if record.status == "skipped":
        raise UserError(
            f"run {record.fingerprint[:12]} was skipped, so there is nothing to repeat: {record.reason}.",
            hint="`bench status` lists the runs that were trained.",
        )
    budget = record.budget_detail
    name = f"{record.method}-{record.dataset}-{record.seed}".translate(str.maketrans("[]", "--")).replace("--", "-")
    return {
        "version": 1,
        "name": f"repeat-{name}",
        "experiments": [
            {
                "task": record.task,
                "datasets": [{"dataset": record.dataset, "protocol": record.protocol}],
                "methods": [method_entry(record.method, record.config, views)],
                "metrics": [as_asked(record, name) for name in sorted(record.metrics) or [record.select]],
                "select": as_asked(record, record.select),
            }
        ],
        "budgets": {
            "repeat": {
                "trials": 0,
                "epochs": budget["epochs"],
                "patience": budget.get("patience"),
                "seeds": [record.seed],
            }
        },
        "budget": "repeat",
        "resources": {"precision": record.identity.get("precision", "32-true")},
    }


def method_entry(label: str, config: dict[str, Any], views: dict[str, list[Any]]) -> dict[str, Any]:
    """Returns a method as a spec writes it, every setting fixed.

    Args:
        label: `mgcn`, or `befa[mgcn]` for an adapter, whose views are those of the method it wraps.
        config: The resolved configuration; an adapter's holds the wrapped method's under `wrapped`.
        views: Stages that take the place of the method's own.
    """
    name, bracket, inner = label.partition("[")
    entry: dict[str, Any] = {"method": name}
    own = {key: value for key, value in config.items() if not (bracket and key == "wrapped")}
    if own:
        entry["set"] = own
    if bracket:
        entry["wrap"] = method_entry(inner.removesuffix("]"), config.get("wrapped", {}), views)
    elif views:
        entry["views"] = views
    return entry
