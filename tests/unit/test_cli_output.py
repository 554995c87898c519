from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from bench.cli import output
from bench.errors import UserError


class Pair(NamedTuple):
    left: int
    right: float


@dataclass(frozen=True)
class Point:
    x: float
    pair: Pair


def test_everything_becomes_strict_json() -> None:
    value = {
        "point": Point(math.nan, Pair(1, math.inf)),
        "when": datetime(2026, 1, 2, tzinfo=timezone.utc),
        "path": Path("a/b"),
        "array": np.float64(0.5),
        "set": frozenset({"b", "a"}),
        3: None,
    }
    assert json.loads(json.dumps(output.plain(value), allow_nan=False)) == {
        "point": {"x": None, "pair": {"left": 1, "right": None}},
        "when": "2026-01-02T00:00:00+00:00",
        "path": "a/b",
        "array": 0.5,
        "set": ["a", "b"],
        "3": None,
    }


def test_emitted_json_keeps_full_precision(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit({"value": 0.1 + 0.2})
    assert json.loads(capsys.readouterr().out) == {"value": 0.1 + 0.2}


def test_tables_are_aligned_and_have_no_trailing_space() -> None:
    lines = output.layout(["method", "n", "status"], [["mgcn", "10", "done"], ["lightgcn", "2", ""]], left=(0, 2))
    assert lines == [" method     n  status", " mgcn      10  done", " lightgcn   2"]


def test_a_cell_never_breaks_its_row() -> None:
    assert output.layout(["a"], [["one\ntwo"]])[1] == " one"


def test_a_table_in_a_pipe_has_neither_colours_nor_boxes_nor_wrapping(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(["method", "status"], [["m" * 300, "done"]], left=(0, 1))
    text = capsys.readouterr().out
    assert text == f" method{' ' * 294}  status\n {'m' * 300}  done\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (372, "6 min 12 s"),
        (11_100, "3 h 05 min"),
    ],
)
def test_durations_read_as_a_person_says_them(seconds: float, text: str) -> None:
    assert output.duration(seconds) == text


def test_counts_and_sizes() -> None:
    assert [output.count(n, "seed") for n in (0, 1, 2, 12000)] == ["0 seeds", "1 seed", "2 seeds", "12,000 seeds"]
    assert [output.size(n) for n in (5, 15e3, 2.5e6, 3.2e9, 4e12)] == ["5 B", "15 kB", "2.5 MB", "3.2 GB", "4.0 TB"]


def test_inline_values_have_no_quotes() -> None:
    assert output.inline({"a": [1, 2.5, None], "b": "x"}) == "a=[1, 2.5, –], b=x"
    assert output.inline([True, {"c": {"b", "a"}}]) == "true, {c=[a, b]}"
    assert output.inline([]) == output.ABSENT


def test_a_file_is_written_through_a_link_and_into_a_pipe(tmp_path: Path) -> None:
    target, link, pipe = tmp_path / "target.md", tmp_path / "link.md", tmp_path / "pipe"
    target.write_text("old")
    link.symlink_to(target)
    output.write(link, "new")
    assert link.is_symlink() and target.read_text() == "new"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    output.write(pipe, "through")
    assert os.read(reader, 100) == b"through" and pipe.is_fifo()
    os.close(reader)


@pytest.mark.parametrize(("name", "said"), [("", "it is a folder"), ("no/x.md", "does not exist")])
def test_what_cannot_be_written_is_said_with_its_own_name(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        output.write(tmp_path / name, "text")
    assert str(tmp_path / name) in caught.value.message and caught.value.hint


def test_a_reader_that_leaves_ends_the_output_as_a_broken_pipe() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream:
        shown = output.console()
        shown.file = stream
        with pytest.raises(BrokenPipeError):
            shown.print("x" * 1_000_000)
        os.dup2(os.open(os.devnull, os.O_WRONLY), write)
