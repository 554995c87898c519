"""What a gate says, for people (Markdown), for CI (JUnit XML) and for programs (JSON values)."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

from bench.analysis.gate import OUTCOMES
from bench.analysis.report import ABSENT, escape_markdown

if TYPE_CHECKING:
    from bench.analysis.gate import GateReport, Outcome, Verdict

WORDS: dict[Outcome, str] = {
    "regress": "**regress**",
    "unknown": "**unknown**",
    "improve": "improve",
    "pass": "pass",
}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def headline(report: GateReport) -> str:
    """Returns the whole answer in a line: `gate x: 1 regress, 11 pass`."""
    said = ", ".join(f"{number} {outcome}" for outcome, number in report.counts.items() if number)
    return f"gate {report.name}: {said or 'nothing to judge'}"


def to_markdown(report: GateReport, *, digits: int = 4) -> str:
    """Writes a gate as Markdown: the answer, a table with the worst first, and the rule.

    Args:
        report: The verdicts.
        digits: Decimals of scores.
    """
    rows = sorted(report.verdicts, key=lambda verdict: OUTCOMES.index(verdict.outcome))
    closed = report.exit_code != 0
    lines = [
        f"### {'❌' if closed else '✅'} {escape_markdown(headline(report))}",
        "",
        "| verdict | dataset | method | metric | baseline | now | change | tolerance | why |",
        "|:--|:--|:--|:--|--:|--:|--:|--:|:--|",
    ]
    for verdict in rows:
        cells = [
            WORDS[verdict.outcome],
            *map(escape_markdown, (verdict.key.dataset, verdict.key.method, verdict.metric)),
            _number(verdict.baseline, digits),
            _number(verdict.value, digits),
            _number(verdict.change, digits, sign=True),
            _number(verdict.tolerance, digits),
            escape_markdown(verdict.reason),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    rule = report.rule
    lines += [
        "",
        f"A value regresses when it is worse by more than its tolerance: Student's t over the baseline's seeds, with a "
        f"chance of {rule.alpha:g} in all that unchanged code regresses, and at least {rule.floor:.1%} of the mean. "
        f"Unknown is not a pass.",
    ]
    return "\n".join(lines) + "\n"


def to_junit(report: GateReport) -> str:
    """Writes a gate as JUnit XML, one test case per value: a regression is a failure, an unknown an error."""
    counts = report.counts
    head = (
        f'<testsuite name={_attribute(f"bench gate {report.name}")} tests="{len(report.verdicts)}" '
        f'failures="{counts["regress"]}" errors="{counts["unknown"]}" skipped="0">'
    )
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>", head]
    for verdict in report.verdicts:
        key = verdict.key
        place = f"{key.task}.{key.protocol}.{key.dataset}"
        case = f"<testcase classname={_attribute(place)} name={_attribute(f'{key.method} {verdict.metric}')}"
        kind = {"regress": "failure", "unknown": "error"}.get(verdict.outcome)
        if kind is None:
            lines.append(f"  {case}/>")
            continue
        lines.append(f"  {case}>")
        lines.append(
            f"    <{kind} message={_attribute(verdict.reason)} type={_attribute(verdict.outcome)}>"
            f"{escape(_clean(sentence(verdict)))}</{kind}>"
        )
        lines.append("  </testcase>")
    return "\n".join([*lines, "</testsuite>", "</testsuites>"]) + "\n"


def to_json(report: GateReport) -> dict[str, Any]:
    """Returns a gate as JSON values, full precision."""
    return {
        "name": report.name,
        "exit_code": report.exit_code,
        "counts": report.counts,
        "rule": report.rule.model_dump(mode="json"),
        "verdicts": [
            {
                **verdict.key._asdict(),
                "metric": verdict.metric,
                "verdict": verdict.outcome,
                "reason": verdict.reason,
                "baseline": verdict.baseline,
                "value": verdict.value,
                "change": verdict.change,
                "tolerance": verdict.tolerance,
                "n_baseline": verdict.n_baseline,
                "n": verdict.n,
            }
            for verdict in report.verdicts
        ],
    }


def sentence(verdict: Verdict, *, digits: int = 4) -> str:
    """Returns a verdict in a line: `mgcn on baby-twin, recall@20: regress (…): 0.3000 -> 0.2000, tolerance 0.0100`."""
    text = f"{verdict.key.method} on {verdict.key.dataset}, {verdict.metric}: {verdict.outcome} ({verdict.reason})"
    if verdict.baseline is not None and verdict.value is not None:
        text += f": {_number(verdict.baseline, digits)} -> {_number(verdict.value, digits)}"
    return text if verdict.tolerance is None else f"{text}, tolerance {_number(verdict.tolerance, digits)}"


def _number(value: float | None, digits: int, *, sign: bool = False) -> str:
    if value is None or not math.isfinite(value):
        return ABSENT
    return f"{value:{'+' if sign else ''}.{digits}f}"


def _clean(text: str) -> str:
    """Drops the characters that XML cannot hold."""
    return _NOT_XML.sub("?", text)


def _attribute(text: str) -> str:
    return quoteattr(_clean(text))
