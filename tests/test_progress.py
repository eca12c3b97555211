"""A bar on a terminal, a line now and then elsewhere; standard output stays clean."""

from __future__ import annotations

import io

import pytest

from emobridge import progress as room
from emobridge.progress import PLAIN_INTERVAL, in_passes, progress


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(room.time, "monotonic", lambda: now[0])
    return now


def test_lines_come_now_and_then_and_at_the_end(capsys, clock):
    with progress("features") as report:
        for done in range(1, 101):
            clock[0] += PLAIN_INTERVAL / 40
            report(done, 100)
        report(100, 100)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [f"features: {done} of 100" for done in (40, 80, 100)]


def test_short_work_says_only_that_it_is_done(capsys, clock):
    with progress("layer") as report:
        report(1, 2)
        report(2, 2)
    assert capsys.readouterr().err == "layer: 2 of 2\n"


def test_an_error_goes_through():
    with pytest.raises(ValueError, match="mine"), progress("x") as report:  # noqa: PT012
        report(1, 2)
        raise ValueError("mine")


def test_a_terminal_gets_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress("training") as report:
        report(3, 7)
        report(7, 7)
    assert "training" in terminal.getvalue() and "7/7" in terminal.getvalue()


def test_passes_share_one_bar_that_never_falls():
    seen = []
    first, second, empty, last = in_passes(lambda *numbers: seen.append(numbers), [4, 10, 0, 1])
    for report, done, count in (
        (first, 1, 2),  # of what was missing, say
        (first, 2, 2),
        (first, 1, 4),  # the same clips again, when they are read
        (first, 4, 4),
        (second, 3, 10),
        (second, 10, 10),
        (empty, 0, 0),
        (last, 1, 1),
    ):
        report(done, count)
    assert seen == [(2, 15), (4, 15), (4, 15), (4, 15), (7, 15), (14, 15), (14, 15), (15, 15)]


def test_passes_that_nobody_watches():
    (report,) = in_passes(None, [1])
    report(1, 1)
    assert in_passes(None, []) == ()
