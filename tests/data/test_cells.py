"""Numbers, times and texts as spreadsheets and other tools write them."""

from __future__ import annotations

import math

import pytest

from emobridge.data.cells import number_of, text_of, time_of
from emobridge.errors import UserError


@pytest.mark.parametrize(
    ("value", "comma", "number"),
    [
        ("0.5", False, 0.5),
        (" 0,5 ", False, 0.5),
        ("12,5", False, 12.5),
        ("0,125", False, 0.125),
        ("1,234", True, 1.234),
        ("1.234", False, 1.234),
        ("1.234,5", False, 1234.5),
        ("1,234.5", False, 1234.5),
        ("-1e-3", False, -0.001),
        (3, False, 3.0),
        (2.5, False, 2.5),
        pytest.param(10**400, False, math.inf, id="huge"),
        ("", False, None),
        (None, False, None),
    ],
)
def test_numbers(value, comma, number):
    assert number_of(value, "x", "t:2", decimal_comma=comma) == number


@pytest.mark.parametrize(
    ("value", "comma", "message"),
    [
        ("1,234", False, "t:2: 'x' is '1,234', which may be 1.234 or 1234"),
        ("1.234", True, "which may be 1.234 or 1234"),
        ("1_000", False, "expected a number"),
        ("long", False, "t:2: 'x' is 'long'; expected a number"),
        ("01. Mai", False, "a spreadsheet may have made a date of it"),
        ("2026-05-01", False, "a spreadsheet may have made a date of it"),
        (True, False, "'x' is true; expected a number"),
        ([1], False, "'x' is [1]; expected a number"),
        ({"a": 1}, False, "expected a number"),
    ],
)
def test_what_is_no_number_or_may_be_two(value, comma, message):
    with pytest.raises(UserError) as error:
        number_of(value, "x", "t:2", decimal_comma=comma)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1.5", 1.5),
        ("1:02.5", 62.5),
        ("00:16:16,059", 976.059),
        ("00:00:01", 1.0),
        ("0 days 00:00:01.500000", 1.5),
        ("1 days, 0:00:01", 86401.0),
        ("0 days", 0.0),
        ("90:00", 5400.0),
        ("500 ms", 0.5),
        ("1,5s", 1.5),
        ("NaT", None),
        ("", None),
        (2, 2.0),
    ],
)
def test_times(value, seconds):
    assert time_of(value, "start", "t:2") == seconds


def test_times_in_milliseconds():
    assert time_of("1500", "start", "t:2", per_second=1000) == 1.5
    assert time_of("00:00:01.5", "start", "t:2", per_second=1000) == 1.5, "a time of the clock has its unit"
    assert time_of("2 s", "start", "t:2", per_second=1000) == 2.0


@pytest.mark.parametrize("value", ["1:75", "0:61:00", "-00:01", "00:00:12:05", "1:2:3:4:5", "soon"])
def test_what_is_no_time(value):
    with pytest.raises(UserError, match=r"t:2: 'start' is .*expected a number"):
        time_of(value, "start", "t:2")


@pytest.mark.parametrize(
    ("value", "text"),
    [(" a ", "a"), ("0012", "0012"), (12, "12"), (3.0, "3"), (math.nan, None), (None, None), ("  ", None)],
)
def test_texts(value, text):
    assert text_of(value, "speaker", "t:2") == text


@pytest.mark.parametrize("value", [True, 2.5, [], {}, ["x"], math.inf, pytest.param(10**5000, id="long")])
def test_what_is_no_text(value):
    with pytest.raises(UserError, match=r"t:2: 'speaker' is .*expected text"):
        text_of(value, "speaker", "t:2")
