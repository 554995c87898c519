from __future__ import annotations

import io

import pytest

from bench.execution.display import Activity, PlainDisplay, SilentDisplay, make_display
from bench.execution.live import LiveDisplay
from bench.execution.slots import Slot

SLOT = Slot(0, "cpu", 1)
ACTIVITY = Activity("befa[mgcn] · baby", "trial 3/20", 100, "recall@20")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def play(display):
    display.begin(["header"], jobs=3)
    display.warn("mind [this]")
    display.started(SLOT, ACTIVITY)
    display.epoch(SLOT, ACTIVITY, 12, 0.0712)
    display.epoch(SLOT, ACTIVITY, 13, None)
    display.ended(SLOT, ACTIVITY, "done", "test recall@20 0.0700")
    display.ended(None, ACTIVITY, "failed", "a bug")
    display.fewer(1)
    display.note("the end")
    display.finish()


def test_plain_lines_say_method_trial_epoch_value_and_how_many_jobs_are_over():
    stream = io.StringIO()
    play(PlainDisplay(stream, every_s=0))
    text = stream.getvalue()
    for part in (
        "header\n", "warning: mind [this]", "befa[mgcn] · baby · trial 3/20: started",
        "epoch 12/100, valid recall@20 0.0712", "done, test recall@20 0.0700 [1/3]", "failed, a bug [2/3]",
    ):  # fmt: skip
        assert part in text
    assert "\x1b" not in text


def test_plain_lines_do_not_repeat_every_epoch():
    stream = io.StringIO()
    display = PlainDisplay(stream, every_s=60)
    display.begin([], jobs=1)
    display.started(SLOT, ACTIVITY)
    for epoch in range(50):
        display.epoch(SLOT, ACTIVITY, epoch, 0.1)
    assert stream.getvalue().count("\n") == 1


def test_live_display_shows_the_same_and_keeps_brackets():
    stream = Terminal()
    play(LiveDisplay(stream))
    text = stream.getvalue()
    assert "befa[mgcn]" in text and "failed, a bug" in text and "mind [this]" in text


@pytest.mark.parametrize("variable", ["NO_COLOR", "CI"])
def test_display_suits_where_it_goes(monkeypatch, variable):
    for name in ("NO_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(make_display(json=True, stream=Terminal()), SilentDisplay)
    assert isinstance(make_display(stream=io.StringIO()), PlainDisplay)
    assert isinstance(make_display(stream=Terminal()), LiveDisplay)
    monkeypatch.setenv(variable, "1")
    assert isinstance(make_display(stream=Terminal()), PlainDisplay)


def test_silent_display_says_nothing(capsys):
    play(SilentDisplay())
    assert capsys.readouterr() == ("", "")
