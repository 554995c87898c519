"""Tests of marks against a reference, and of the formats that show them: LaTeX token by token, HTML tag by tag."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from store_factories import make_run

from bench.analysis.multiple import holm
from bench.analysis.paired import align_units, sign_flip_test, unit_scores
from bench.analysis.report import render, sheet
from bench.analysis.significance import row_id, significance
from bench.analysis.summary import summarise
from bench.errors import UnknownNameError
from bench.store import Store, encode_units
from bench.store.records import UnitScores

HOSTILE = "<script>alert(1)</script>_&%$\\x"
DETAIL = {"trials": 2, "epochs": 3, "seeds": [0, 1, 2]}


def put(store, method, gain, *, seeds=(0, 1, 2), units=True, **changes):
    base = np.random.default_rng(0).random(300)
    for seed in seeds:
        noise = np.random.default_rng([seed, len(method)]).normal(0, 0.05, 300)
        scores = base + gain + noise
        changes = {"budget_detail": DETAIL | {"seeds": list(seeds)}} | changes
        run = make_run(method, seed, metrics={"recall@20": float(scores.mean())}, **changes)
        blob = UnitScores(run=run.fingerprint, arrow=encode_units(np.arange(300), {"recall@20": scores}))
        store.put_run(run, blob if units else None)


@pytest.fixture
def store():
    with Store.open(":memory:") as opened:
        put(opened, "mgcn", 0.2)
        put(opened, "bpr", 0.0)
        put(opened, "alike", 0.2)
        put(opened, HOSTILE, -0.1)
        put(opened, "few", 0.1, seeds=(0, 1))
        put(opened, "bare", 0.0, units=False)
        yield opened


def test_marks_are_the_corrected_sign_flip_tests(store):
    (table,) = tables = summarise(store.runs())
    found = significance(store, tables, "mgcn")
    raw = {}
    for name in ("bpr", "alike", HOSTILE):
        paired = align_units(unit_scores(store, table.row("mgcn")), unit_scores(store, table.row(name)), "recall@20")
        raw[name] = sign_flip_test(paired.b - paired.a)
    expected = dict(zip(raw, holm(list(raw.values())), strict=True))
    marks = {name: found.marks[table.key][row_id(table.row(name)), "recall@20"] for name in raw}
    assert {name: mark.p_value for name, mark in marks.items()} == pytest.approx(expected)
    assert {name: (mark.better, mark.significant) for name, mark in marks.items() if name != "alike"} == {
        "bpr": (False, True), HOSTILE: (False, True),
    }  # fmt: skip
    assert not marks["alike"].significant
    assert found.compared == 3


def test_what_is_not_compared_is_said_with_the_reason(store):
    tables = summarise([*store.runs(), make_run("mostpop", dataset="tiktok")])
    found = significance(store, tables, "mgcn")
    notes = " ".join(note for table in tables for note in found.notes_of(table.key))
    assert "Not compared with mgcn: few (too few seeds: 2 in common, 3 are needed)." in notes
    assert re.search(r"Not compared with mgcn: bare \(run \w{12} \(bare, seed 0\) kept no unit scores\)", notes)
    assert "Nothing is compared here: mgcn has no finished row." in notes
    assert "Holm's correction over all 3 comparisons" in notes


def test_a_better_row_has_a_star_and_a_lower_is_better_metric_turns_it(store):
    tables = summarise(store.runs())
    drawn = sheet(tables[0], significance=significance(store, tables, "bpr"))
    marks = {row[0].text: row[1].mark for row in drawn.rows}
    assert marks == {"mgcn": "*", "alike": "*", "bpr": "", HOSTILE: "†", "few": "", "bare": ""}
    tables = summarise(store.runs(), direction=lambda name: "minimize")
    drawn = sheet(tables[0], significance=significance(store, tables, "bpr"))
    assert {row[0].text: row[1].mark for row in drawn.rows}["mgcn"] == "†"


def test_an_unknown_reference_names_the_nearest(store):
    with pytest.raises(UnknownNameError, match=r"reference 'mgcm'\. Did you mean 'mgcn'\?"):
        significance(store, summarise(store.runs()), "mgcm")


def test_markdown_csv_and_json_carry_the_comparison(store):
    tables = summarise(store.runs())
    found = significance(store, tables, "bpr")
    lines = render(tables, "md", significance=found).splitlines()
    assert next(line for line in lines if line.startswith("| mgcn")).split(" | ")[1].endswith(r"\*")
    rows = {row["method"]: row for row in csv.DictReader(io.StringIO(render(tables, "csv", significance=found)))}
    p_value = float(rows["mgcn"]["recall@20 p against bpr"])
    assert p_value < 0.05
    assert rows["bpr"]["recall@20 p against bpr"] == ""
    (table,) = json.loads(render(tables, "json", significance=found))
    score = next(row for row in table["rows"] if row["method"] == "mgcn")["scores"]["recall@20"]
    assert (score["p_corrected"], score["significant"], score["reference"]) == (p_value, True, "bpr")


COMMANDS = {
    "begin", "end", "centering", "caption", "toprule", "midrule", "bottomrule", "textbf", "underline", "par", "pm",
    "cdot", "dagger", "textbackslash", "textless", "textgreater", "textasciitilde", "usepackage", "alpha",
}  # fmt: skip


def check_latex(text):
    """Reads LaTeX token by token: known commands, paired braces, maths and environments, equal numbers of columns."""
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    depth, maths, environments, columns, cells = 0, False, [], 0, 1
    tokens = re.findall(r"\\[a-zA-Z]+|\\.|[{}$&%#_^~]|[^\\{}$&%#_^~]+", body)
    for place, token in enumerate(tokens):
        if re.fullmatch(r"\\[a-zA-Z]+", token):
            assert token[1:] in COMMANDS, token
            if token in (r"\begin", r"\end"):
                name = tokens[place + 2]
                if token == r"\begin":
                    environments.append(name)
                else:
                    assert environments.pop() == name
                if name == "tabular" and token == r"\begin":
                    columns = len(tokens[place + 5])
        elif token == "{":
            depth += 1
        elif token == "}":
            depth -= 1
            assert depth >= 0
        elif token == "$":
            maths = not maths
        elif token == "^":
            assert maths
        elif token == "&":
            assert environments[-1] == "tabular"
            cells += 1
        elif token == r"\\":
            assert cells == columns, (cells, columns)
            cells = 1
        else:
            assert token not in "%#_~", f"{token} is not escaped"
            assert token.startswith("\\") or token.isascii() or "maths" == token, token
    assert (depth, maths, environments) == (0, False, [])


def test_latex_holds_token_by_token(store):
    tables = summarise(store.runs())
    text = render(tables, "tex", significance=significance(store, tables, "bpr"))
    check_latex(text)
    assert re.search(r"(mgcn|alike) & \\textbf\{0\.\d{4}\}\$\^\{\*\}\$ \$\\pm\$ 0\.\d{4} &", text)
    assert re.search(r"\\underline\{0\.\d{4}\}\$\^\{\*\}\$", text)
    assert r"\textless{}script\textgreater{}alert(1)\textless{}/script\textgreater{}\_\&\%\$\textbackslash{}x" in text
    assert r"$^{\dagger}$" in text


class Page(HTMLParser):
    """Collects tags and text, and checks that tags are closed in order."""

    VOID = ("meta", "br", "link", "img")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts, self.widths = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag == "tr":
            self.widths.append(0)
        if tag in ("td", "th"):
            self.widths[-1] += 1
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.texts.append(data)


def test_the_page_is_well_formed_loads_nothing_and_shows_names_as_text(store):
    tables = summarise(
        [*store.runs(), make_run("mostpop", dataset="tiktok", generated=True, metrics={"recall@20": 0.1})]
    )
    found = significance(store, tables, "bpr")
    text = render(tables, "html", significance=found)
    page = Page(text)
    assert HOSTILE in page.texts
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    names = {name for _, name, _ in page.attributes}
    assert not [name for name in names if name.startswith("on") or name == "src"]
    assert all(value.startswith("#") for _, name, value in page.attributes if name == "href")
    assert "url(" not in text
    assert "@import" not in text
    assert len(set(page.widths)) == 1
    assert "prefers-color-scheme: dark" in text
    assert "default-src 'none'" in text
    assert [v for t, n, v in page.attributes if t == "sup" and n == "title" and v.startswith("better than bpr by 0.")]
    assert "Generated data: numbers say nothing about the real data set." in page.texts


def test_the_page_marks_best_second_and_the_pareto_front():
    runs = [
        make_run("slow", metrics={"recall@20": 0.3}, seconds={"total": 9.0}),
        make_run("fast", metrics={"recall@20": 0.2}, seconds={"total": 1.0}),
        make_run("poor", metrics={"recall@20": 0.1}, seconds={"total": 5.0}),
    ]
    text = render(summarise(runs), "html")
    assert '<td class="best">0.3000</td>' in text
    assert '<td class="second">0.2000</td>' in text
    assert "<td>9.0 ◆</td>" in text
    assert "<td>1.0 ◆</td>" in text
    assert "<td>5.0</td>" in text
    assert "<td>2,147 MB</td><td>1,234</td>" in text


def test_a_page_of_nothing_says_so():
    assert "Nothing is stored that fits." in Page(render([], "html")).texts


def test_many_comparisons_do_not_put_significance_out_of_reach(store):
    tables = summarise(store.runs())
    found = significance(store, tables, "bpr", resamples=2, alpha=0.01)
    smallest = min(mark.p_value for marks in found.marks.values() for mark in marks.values())
    assert smallest < 0.01
