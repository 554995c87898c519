"""`bench metrics [NAME]`: how methods are scored."""

from __future__ import annotations

from bench.cli import output
from bench.cli.options import JsonOption, NameArgument

EXAMPLE = "bench metrics recall@20"


def command(name: NameArgument = None, *, as_json: JsonOption = False) -> None:
    """List the metrics; with a name, what it measures."""
    from bench.metrics.ranking import parse
    from bench.metrics.registry import METRICS

    if name is not None:
        metric = parse(f"{name}@20" if name in METRICS else name)
        if as_json:
            output.emit(metric)
        else:
            output.say(f"{metric.name} · {metric.direction} · {metric.summary}")
        return
    rows = [
        {"name": f"{family}@K", "direction": metric.direction, "summary": metric.summary}
        for family, metric in METRICS.items()
    ]
    if as_json:
        output.emit(rows)
        return
    output.print_table(
        ["metric", "direction", "about"], [[r["name"], r["direction"], r["summary"]] for r in rows], left=range(3)
    )
