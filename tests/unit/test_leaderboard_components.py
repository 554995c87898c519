"""Tests of what the pages share."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from leaderboard_store import NASTY

from leaderboard.components.downloads import csv_text, file_stem
from leaderboard.components.table_charts import readable_labels
from leaderboard.components.tables import height
from leaderboard.components.text import one_line, plain


def test_plain_text_has_every_marked_letter_escaped():
    assert plain("a_b*c") == r"a\_b\*c"
    assert plain("<script>") == r"\<script\>"
    assert plain("[x](http://y)") == r"\[x\]\(http\:\/\/y\)"
    assert plain(":red[$v$]") == r"\:red\[\$v\$\]"
    assert plain("two\n# lines") == r"two \# lines"


@given(st.text())
def test_plain_text_keeps_no_marked_letter_unescaped(text):
    shown = plain(text)
    unescaped = shown.replace("\\\\", "")
    for letter in "`*_[]<>#$:~|":
        assert unescaped.count(letter) == unescaped.count(f"\\{letter}")
    assert "\n" not in shown


def test_values_are_put_on_one_line():
    assert one_line(None) == "–"
    assert one_line(1 / 3) == "0.333333"
    assert one_line({"a": [1, "é"]}) == '{"a": [1, "é"]}'
    assert one_line("a\n  b") == "a b"


def test_csv_has_full_precision_and_no_formula():
    frame = pl.DataFrame({"name": ["=1+1", "-x", "fine", None], "value": [0.1 + 0.2, 1 / 3, -1.0, None]})
    assert csv_text(frame).splitlines() == [
        "name,value",
        "'=1+1,0.30000000000000004",
        f"'-x,{1 / 3!r}",
        "fine,-1.0",
        ",",
    ]
    assert csv_text(frame.select("value")).startswith("value\n0.30000000000000004")


@pytest.mark.parametrize("name", [NASTY, "../../etc/passwd", "a/b\\c", "", "x" * 500, "recall@20"])
def test_file_names_are_safe(name):
    stem = file_stem("overview", name)
    assert not set(stem) & set('/\\<>:"|?* $()')
    assert not stem.startswith(".")
    assert 0 < len(stem) <= 120


def test_a_table_is_as_high_as_its_rows_up_to_a_limit():
    assert height(1) < height(5) < height(20) == height(1000)
    assert height(0) == height(1)


def test_labels_that_would_overlap_are_left_out_and_the_front_keeps_its_own():
    frame = pl.DataFrame(
        {
            "method": ["front", "behind", "far"],
            "seconds": [10.0, 10.5, 1000.0],
            "quality": [0.5, 0.4999, 0.1],
            "front": ["on the front", "dominated", "dominated"],
        }
    )
    assert readable_labels(frame, "seconds") == ["front", "", "far"]
