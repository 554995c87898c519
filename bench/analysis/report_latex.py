"""Result tables in LaTeX, with the rules of booktabs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.analysis.report import Sheet

_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "·": r"$\cdot$",
    "†": r"$\dagger$",
    "α": r"$\alpha$",
    "–": "--",
    "…": r"\dots{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
} | {character: f"\\{character}" for character in "&%$#_{}"}
_MARKS = {"": "", "*": "$^{*}$", "†": r"$^{\dagger}$"}


def escape_latex(text: str) -> str:
    """Returns a text on one line that LaTeX prints as it is."""
    # An opening bracket after `\\` would be read as its argument, so brackets are wrapped.
    text = re.sub(r"\s+", " ", text)
    return "".join(f"{{{c}}}" if c in "[]" else _TEX.get(c, c) for c in text)


def to_latex(drawn: Sheet) -> str:
    """Writes a table: best bold, second best underlined, a superscript for what differs from the reference.

    In print the mean and its interval are one column.
    """
    from bench.analysis.report import ABSENT, INTERVAL

    merged = [index for index, header in enumerate(drawn.headers) if header == INTERVAL]
    kept = [index for index in range(len(drawn.headers)) if index not in merged]
    places = ("{}", r"\textbf{{{}}}", r"\underline{{{}}}")
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape_latex(drawn.title)}}}",
        rf"\begin{{tabular}}{{{''.join('l' if drawn.left[index] else 'r' for index in kept)}}}",
        r"\toprule",
        " & ".join(escape_latex(drawn.headers[index]) for index in kept) + r" \\",
        r"\midrule",
    ]
    for row in drawn.rows:
        texts = []
        for index in kept:
            cell = row[index]
            text = places[cell.place].format(escape_latex(cell.text)) + _MARKS[cell.mark]
            if index + 1 in merged and row[index + 1].text != ABSENT:
                text += rf" $\pm$ {row[index + 1].text}"
            texts.append(text)
        lines.append(" & ".join(texts) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par {escape_latex(note)}" for note in drawn.notes]
    return "\n".join([*lines, r"\end{table}"]) + "\n"
