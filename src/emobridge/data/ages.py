"""How old a speaker is, from what stands in tables: years, or words for a decade."""

from __future__ import annotations

import math
import re
from numbers import Real
from typing import Any

OLDEST = 130.0  # years
_DECADES = {
    **{"teens": 10, "twenties": 20, "thirties": 30, "forties": 40, "fifties": 50},
    **{"sixties": 60, "seventies": 70, "eighties": 80, "nineties": 90},
    "fourties": 40,  # as Common Voice spells it
}
_NUMBER = re.compile(r"(\d+(?:[.,]\d+)?) ?\+?(?: ?(?:y|yrs?|years?(?: old)?))?")
_DECADE = re.compile(r"(\d?\d)0 ?s")
_RANGE = re.compile(r"(\d+) ?(?:-|–|to) ?(\d+)(?: years?)?")


def years_of(value: Any) -> float | None:
    """The age that a cell states, in years above 0; None where it states none.

    A decade stands for its middle, and a range for that of the years it covers.

    >>> years_of("31"), years_of("fourties"), years_of("30s"), years_of("18-25"), years_of("60+"), years_of("?")
    (31.0, 45.0, 35.0, 22.0, 60.0, None)
    """
    if isinstance(value, str):
        years = _years_in(value.strip().casefold())
    else:
        years = float(value) if isinstance(value, Real) and not isinstance(value, bool) else None
    return years if years is not None and is_age(years) else None


def is_age(years: float) -> bool:
    """Whether a number can be the age of somebody who speaks.

    >>> is_age(31), is_age(0), is_age(float("nan")), is_age(1980)
    (True, False, False, False)
    """
    return math.isfinite(years) and 0 < years <= OLDEST


def _years_in(text: str) -> float | None:
    if text in _DECADES:
        return _DECADES[text] + 5.0
    if number := _NUMBER.fullmatch(text):
        return float(number[1].replace(",", "."))
    if decade := _DECADE.fullmatch(text):
        return 10 * int(decade[1]) + 5.0
    if ages := _RANGE.fullmatch(text):
        first, last = int(ages[1]), int(ages[2])
        return (first + last + 1) / 2 if first < last else None
    return None
