"""Tests of the report's formats."""

from __future__ import annotations

import csv
import io
import json

import pytest
from store_factories import make_run

from bench.analysis.report import ABSENT, render, sheet
from bench.analysis.summary import summarise
from bench.errors import UserError
from bench.store import TrialCounts


@pytest.fixture
def tables():
    def run(method, seed, value, **changes):
        detail = {"trials": 2, "epochs": 3, "seeds": [0, 1]}
        return make_run(method, seed, metrics={"recall@20": value, "ndcg@20": 0.5}, budget_detail=detail, **changes)

    detail = {"trials": 2, "epochs": 3, "seeds": [0, 1]}
    runs = [
        *(run("mgcn", seed, value, study="s") for seed, value in enumerate([0.30, 0.32])),
        *(run("befa[mgcn]", seed, value) for seed, value in enumerate([0.40, 0.42])),
        *(run("bpr", seed, value) for seed, value in enumerate([0.10, 0.10])),
        make_run(
            "lat_tice", 0, status="skipped", reason="needs 'text' | 50% & <b>_x_</b>", metrics={}, budget_detail=detail
        ),
    ]
    return summarise(runs, trials={"s": TrialCounts(total=2, pruned=1)}, current={"bpr": "new"})


def test_cells_follow_the_design(tables):
    drawn = sheet(tables[0])
    assert drawn.headers == (
        "method", "recall@20", "±95 %", "ndcg@20", "±95 %", "seeds", "best epoch", "s/epoch", "trials", "status",
    )  # fmt: skip
    texts = [[cell.text for cell in row] for row in drawn.rows]
    assert texts[0][:3] == ["befa[mgcn]", "0.4100", "0.1271"]
    assert texts[1] == ["mgcn", "0.3100", "0.1271", "0.5000", "0.0000", "2", "3", "2.0", "2 (1 pruned)", "done"]
    assert texts[2][-1] == "done (older code)"
    assert texts[3][1:9] == [ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, "3", "2.0", ABSENT]
    assert texts[3][-1] == "skipped: needs 'text' | 50% & <b>_x_</b> (seed 0)"
    assert [row[1].place for row in drawn.rows] == [1, 2, 0, 0]
    assert {row[3].place for row in drawn.rows[:3]} == {0}  # where all agree there is no best


def test_a_draw_at_the_top_has_two_firsts_and_a_score_that_is_no_number_is_absent():
    values = {"a": [0.3, 0.5], "b": [0.3, 0.5], "c": [0.2, float("nan")]}
    (table,) = summarise(make_run(name, metrics={"recall@20": r, "ndcg@20": n}) for name, (r, n) in values.items())
    drawn = sheet(table)
    assert [row[1].place for row in drawn.rows] == [1, 1, 2]
    assert [row[3].text for row in drawn.rows] == ["0.5000", "0.5000", ABSENT]


def test_markdown_marks_the_best_and_escapes(tables):
    text = render(tables, "md")
    lines = text.splitlines()
    assert lines[2].count("|") == lines[3].count("|") == lines[4].count("|")
    assert "| befa\\[mgcn\\] | **0.4100** |" in text
    assert "| mgcn | _0.3100_ |" in text
    assert "<b>" not in text
    assert "lat\\_tice" in text
    assert "\\| 50% &amp; &lt;b&gt;\\_x\\_&lt;/b&gt;" in text


def test_latex_is_booktabs_and_escaped(tables):
    text = render(tables, "tex")
    assert r"\toprule" in text
    assert r"befa{[}mgcn{]} & \textbf{0.4100} $\pm$ 0.1271 &" in text
    assert r"mgcn & \underline{0.3100} $\pm$ 0.1271 &" in text
    assert r"lat\_tice & -- & -- &" in text
    assert r"50\% \& \textless{}b\textgreater{}\_x\_" in text
    header = next(line for line in text.splitlines() if line.startswith("method"))
    assert header == r"method & recall@20 & ndcg@20 & seeds & best epoch & s/epoch & trials & status \\"
    assert r"\begin{tabular}{lrrrrrll}" in text
    assert text.count("{") == text.count("}")


def test_csv_keeps_every_digit_and_names_what_a_row_belongs_to(tables):
    rows = list(csv.DictReader(io.StringIO(render(tables, "csv"))))
    assert [row["method"] for row in rows] == ["befa[mgcn]", "mgcn", "bpr", "lat_tice"]
    assert float(rows[1]["recall@20"]) == tables[0].row("mgcn").scores["recall@20"].mean
    assert float(rows[1]["recall@20 ±95 %"]) == tables[0].row("mgcn").scores["recall@20"].half_width
    assert rows[1]["protocol"] == "mmrec-v1"
    assert rows[1]["seeds"] == "0 1"
    assert rows[2]["older_code"] == "true"
    assert rows[3]["recall@20"] == ""
    assert rows[3]["reason"] == "needs 'text' | 50% & <b>_x_</b>"


def test_csv_gives_a_spreadsheet_no_formula():
    tables = summarise([make_run("=1+1", status="failed", error="=HYPERLINK(1)", metrics={})])
    rows = list(csv.DictReader(io.StringIO(render(tables, "csv"))))
    assert rows[0]["method"] == "'=1+1"
    assert rows[0]["reason"] == "'=HYPERLINK(1)"


def test_json_is_complete_and_valid():
    runs = [make_run("mgcn", 0, metrics={"recall@20": float("nan"), "ndcg@20": 0.1 + 0.2})]
    text = render(summarise(runs), "json")
    (table,) = json.loads(text)
    (row,) = table["rows"]
    assert row["scores"]["recall@20"] == {"mean": None, "half_width_95": None, "values": [None]}
    assert row["scores"]["ndcg@20"]["mean"] == 0.1 + 0.2
    assert row["runs"] == {"0": runs[0].fingerprint}
    assert "NaN" not in text


def test_generated_data_and_missing_seeds_are_said_below_the_table():
    runs = [make_run("mgcn", 0, generated=True, budget_detail={"seeds": [0, 1]})]
    drawn = sheet(summarise(runs)[0])
    assert [cell.text for cell in drawn.rows[0]][5] == "1 of 2"
    assert "Generated data" in drawn.notes[0]
    assert any("two seeds" in note for note in drawn.notes)
    assert any("missing seeds" in note for note in drawn.notes)


def test_an_unknown_format_names_the_known_ones():
    with pytest.raises(UserError, match=r"unknown report format 'mdx'\. Did you mean 'md'\?") as caught:
        render([], "mdx")
    assert "md, csv, tex, json" in caught.value.hint


@pytest.mark.parametrize("form", ["md", "tex"])
def test_nothing_to_report_is_empty(form):
    assert render([], form) == ""
    assert json.loads(render([], "json")) == []
