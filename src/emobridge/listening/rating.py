"""What a listener answers to one item, read from the form of its page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from emobridge.listening.records import ListeningItem, ListeningStudy, Response
from emobridge.listening.security import field_of

NO_SEGMENT = ("neutral",)  # emotions that no stretch carries; the published study leaves them out (Han et al. 2025)
MOST_PLAYS = 10_000
BROWSER_TOLERANCE = 0.05  # s by which a browser may think a recording longer than it is


def read_rating(
    study: ListeningStudy, item: ListeningItem, form: Mapping[str, Sequence[str]], response: Response
) -> tuple[Response, str]:
    """The response with the answers of the form, and the key of what is wrong with them, "" where nothing is.

    response: has listener, item, position and seconds already. An attention check asks for its emotion alone.
    Errors: Refusal for a form that has a field twice.
    """
    emotion = field_of(form, "emotion")
    if emotion not in study.emotions:
        return response, "emotion"
    plays = field_of(form, "plays") or "0"
    if not (plays.isascii() and plays.isdecimal() and int(plays[:6]) <= MOST_PLAYS and len(plays) <= 6):
        return response, "plays"
    if field_of(form, "plays") and not int(plays):  # without script the field is empty
        return response, "plays"
    response = replace(response, emotion=emotion, plays=int(plays))
    if item.kind == "attention":
        return response, ""
    if study.wants_segment:
        ends = [field_of(form, name) for name in ("start", "end")]
        segment = _segment(ends, item.seconds)
        if segment is None and (any(ends) or emotion not in NO_SEGMENT):
            return response, "segment"
        response = replace(response, segment=segment)
    if study.wants_confidence:
        confidence = _number(field_of(form, "confidence"))
        if not 0 <= confidence <= 1:
            return response, "confidence"
        response = replace(response, confidence=confidence)
    return response, ""


def _segment(ends: Sequence[str], seconds: float) -> tuple[float, float] | None:
    """Start and end in s, within the recording; None for what is no segment."""
    start, end = map(_number, ends)
    return (start, min(end, seconds)) if 0 <= start < min(end, seconds) and end <= seconds + BROWSER_TOLERANCE else None


def _number(text: str) -> float:
    """A number with a decimal point or comma; NaN for what is none."""
    if not text or len(text) > 40 or not text.isascii() or "_" in text:
        return math.nan
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return math.nan
