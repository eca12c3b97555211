"""What stands in the cells of tables: numbers, times, texts, as spreadsheets and other tools write them."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from emobridge.errors import UserError

UNITS = {  # word -> how many of it are a second
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"), 1000),
}
NANOSECONDS = 1_000_000_000
# "1:02.5", "00:01:02,500", "0 days 00:00:01.500000": hours and days may be absent
_CLOCK = re.compile(r"(?:(\d+) days?,?(?: |$))?(?:(?:(\d+):)?(\d+):(\d{1,2})(?:[.,](\d{1,9})\d*)?)?")
_WITH_UNIT = re.compile(r"([\d.,+-]+(?:[eE][+-]?\d+)?) ?([a-z]+)")
_COMMA = re.compile(r"[+-]?\d*,\d+")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:(?:,\d{3})+|(?:\.\d{3})+)")
_BOTH = re.compile(r"[+-]?\d{1,3}(?:(?:,\d{3})+\.\d+|(?:\.\d{3})+,\d+)")


def text_of(value: Any, column: str, where: str) -> str | None:
    """The text in a cell: a whole number is its digits, for speakers are often numbered; None and NaN are nothing.

    Errors: UserError that begins with `where`, for a truth value, a fraction, a list or an object.
    """
    if isinstance(value, str):
        return value.strip() or None
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return _digits(value, column, where)
    raise UserError(f"{where}: {column!r} is {_shown(value)}; expected text")


def number_of(value: Any, column: str, where: str, *, decimal_comma: bool = False) -> float | None:
    """The number in a cell, or None where there is none. decimal_comma: whether the table writes 0,5.

    Errors: UserError that begins with `where`, for what is no number, and for "1,234" where it may be 1.234 or 1234.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str):
        text = value.strip()
        if _THOUSANDS.fullmatch(text) and ("," in text) != decimal_comma and ("," in text or decimal_comma):
            raise UserError(
                f"{where}: {column!r} is {text!r}, which may be {text.replace(',', '.')} or "
                f"{re.sub('[.,]', '', text)}: write it without commas, and with a point for the fraction"
            )
        if _BOTH.fullmatch(text):
            comma = text.rfind(",") > text.rfind(".")
            text = text.replace("." if comma else ",", "").replace(",", ".")
        elif _COMMA.fullmatch(text):
            text = text.replace(",", ".")
        try:
            if "_" not in text:  # float() takes 1_000
                return float(text)
        except ValueError:
            pass
        raise UserError(f"{where}: {column!r} is {value!r}; expected a number{_date_hint(text)}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{where}: {column!r} is {_shown(value)}; expected a number")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def time_of(value: Any, column: str, where: str, *, per_second: float = 1, decimal_comma: bool = False) -> float | None:
    """The time in a cell, in seconds, or None where there is none; "NaT", pandas' missing time, is none.

    per_second: how many of the column's units are a second. A cell may have its own unit ("500 ms"), or be a time of
    the clock: "1:02.5", "00:01:02,500", "0 days 00:00:01.5".
    Errors: UserError that begins with `where`.
    """
    if isinstance(value, str):
        text = value.strip()
        if text == "NaT":
            return None
        clock = _clock(text)
        if clock is not None:
            return clock
        unit = _WITH_UNIT.fullmatch(text)
        if unit and unit[2] in UNITS:
            value, per_second = unit[1], UNITS[unit[2]]
    number = number_of(value, column, where, decimal_comma=decimal_comma)
    return None if number is None else number / per_second


def _clock(text: str) -> float | None:
    match = _CLOCK.fullmatch(text)
    if match is None or not text:
        return None
    days, hours, minutes, seconds, fraction = match.groups()
    if int(seconds or 0) > 59 or (hours is not None and int(minutes) > 59):
        return None
    whole = ((int(days or 0) * 24 + int(hours or 0)) * 60 + int(minutes or 0)) * 60 + int(seconds or 0)
    return (whole * NANOSECONDS + int((fraction or "").ljust(9, "0"))) / NANOSECONDS


def _digits(value: int, column: str, where: str) -> str:
    try:
        return str(value)
    except ValueError as error:  # of more than 4300 digits
        raise UserError(f"{where}: {column!r} is a number of thousands of digits; expected text") from error


def _date_hint(text: str) -> str:
    """Why there may be a date: spreadsheets make one of 1.5 or 3-1."""
    is_date = re.fullmatch(r"\d{1,4}[-./]\d{1,2}([-./]\d{1,4})?( .*)?|\d{1,2}[. -]+[^\W\d]{3,9}\.?( \d+)?", text)
    return " (a spreadsheet may have made a date of it)" if is_date and not re.fullmatch(r"\d+\.\d+", text) else ""


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= 60 else text[:57] + "..."
