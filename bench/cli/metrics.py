"""`bench metrics [NAME]`: how methods are scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.cli import output
from bench.cli.options import JsonOption, NameArgument
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.metrics.base import Metric

EXAMPLE = "bench metrics recall@20"


def command(name: NameArgument = None, *, as_json: JsonOption = False) -> None:
    """List the metrics; with a name, what it measures."""
    from bench.metrics.registry import METRICS

    if name is not None:
        metric = find(name)
        if as_json:
            output.emit(metric)
        else:
            output.say(f"{metric.name} · {metric.direction} · {metric.summary}")
        return
    rows = [
        {"name": metric.form or name, "direction": metric.direction, "summary": metric.summary}
        for name, metric in METRICS.items()
    ]
    if as_json:
        output.emit(rows)
        return
    output.print_table(
        ["metric", "direction", "about"], [[r["name"], r["direction"], r["summary"]] for r in rows], left=range(3)
    )


def find(name: str) -> Metric:
    """Reads a metric name as the first task does that knows it.

    A bare ranking metric is shown at 20, and of a family whose metrics have to say more the family itself is shown.

    Raises:
        UnknownNameError: No task has such a metric.
    """
    from bench.metrics.base import Metric, family_name
    from bench.metrics.registry import METRICS
    from bench.tasks.registry import TASKS

    family = METRICS.get(family_name(name))
    wanted = f"{name}@20" if family.form.endswith("@K") and name == family.name else name
    problems: list[UserError] = []
    for _, task in TASKS.items():
        try:
            return task.metric(wanted)
        except UserError as error:
            problems.append(error)
    if name == family.name:
        return Metric(family.form or name, family.direction, family.summary)
    raise next((error for error in problems if "unknown" not in error.message), problems[0])
