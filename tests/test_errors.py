"""One line, with the nearest valid choice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emobridge.errors import UserError, nearest, unknown


def test_nearest_finds_a_slip_and_nothing_far():
    assert nearest("linaer", ["linear", "nonlinear"]) == "linear"
    assert nearest("zzz", ["linear", "nonlinear"]) is None
    assert nearest("linear", []) is None


def test_unknown_lists_the_choices_in_order_and_hints_only_at_what_is_near():
    assert str(unknown("head", "linaer", ["nonlinear", "linear"])) == (
        "unknown head 'linaer': did you mean 'linear'? (one of linear, nonlinear)"
    )
    assert str(unknown("head", "xyz", {"linear"})) == "unknown head 'xyz' (one of linear)"
    assert str(unknown("layer", "x", ["10", "middle", "2"])) == "unknown layer 'x' (one of 2, 10, middle)"
    assert isinstance(unknown("head", "x", ["y"]), UserError)


@given(st.text() | st.integers(0, 5000).map("x".__mul__))
def test_any_message_is_one_printable_line(text):
    message = str(UserError(f"a.csv: {text}"))
    assert message.isprintable() and message.startswith("a.csv: ") and len(message) < 1300
    assert str(UserError(message)) == message, "an error may quote another"


def test_a_terminal_obeys_no_message_and_letters_stay():
    assert str(UserError("Bär \x1b[31m\r\n\ud800 گریه")) == r"Bär \x1b[31m\r\n\ud800 گریه"
    long = str(UserError(f"{'x' * 5000} at row 7"))
    assert " ... " in long and long.endswith("at row 7")


def test_unknown_takes_an_iterator():
    assert "'linear'" in str(unknown("head", "liner", iter(["linear"])))


@given(st.text())
def test_whatever_was_typed_the_message_is_one_line(word):
    assert len(str(unknown("head", word, ["linear"])).splitlines()) == 1
