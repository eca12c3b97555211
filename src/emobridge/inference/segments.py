"""The parts of a recording that are answered: stretches of speech, windows, or the whole; each checked for speech."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from emobridge.data.activity import LEAST_SPEECH, PADDING, speech_segments
from emobridge.data.audio import ReadPieces, duration, utterance_pieces, utterance_seconds
from emobridge.settings import Answering
from emobridge.types import Utterance

LONGEST_ROW = 30.0  # s: a longer row of a manifest is cut at its pauses by `auto`, for feelings change within it
LONGEST_WHOLE = 300.0  # s: no longer part is answered at once, so that memory stays bounded
LEAST_SHARE = 0.1  # of a part: with less speech, what was measured is mostly something else
TIME_ROUNDING = 1e-6  # s
NO_SPEECH, TOO_SHORT, TOO_LONG, NOT_FINITE = "no speech", "too short", "too long", "not finite"

Span = tuple[float, float]  # start and end in s


@dataclass(frozen=True, slots=True)
class AnswerPart:
    """A stretch of a recording, and why it has no answer."""

    utterance: Utterance  # with the stretch's start and end; the end is None where it is the end of the file
    end: float  # s, never None
    reason: str = ""  # NO_SPEECH, TOO_SHORT or TOO_LONG; "" where it can be answered


def parts_of(utterance: Utterance, settings: Answering, read_pieces: ReadPieces = utterance_pieces) -> list[AnswerPart]:
    """The parts of an utterance in order, at least one.

    The audio is read once, in pieces. Where all parts are too long to be answered, only the header of its file is read.
    Errors: AudioError where it cannot be read.
    """
    start, seconds = utterance.start, utterance_seconds(utterance)
    longest = LONGEST_ROW if start > 0 or utterance.end is not None else settings.longest
    kind = settings.segments
    if kind == "auto":
        kind = "speech" if seconds > longest + TIME_ROUNDING else "whole"
    whole = (start, start + seconds)
    spans = list(_spans(whole, settings, kind))
    speech: list[Span] = []
    if kind == "speech" or not all(map(_is_too_long, spans)):
        enough = _least_speech(seconds) if kind == "whole" else math.inf
        detected = speech_of(utterance, settings.detector, read_pieces, enough=enough)
        speech = [(start + begin, start + end) for begin, end in detected]
    else:
        duration(utterance.path)  # a file that is not there is an error all the same
    if kind == "speech":
        spans = list(_cut(speech, settings.longest))
    return [
        AnswerPart(
            utterance if span == whole else replace(utterance, start=span[0], end=span[1]),
            span[1],
            _reason(span, speech),
        )
        for span in spans or [whole]
    ]


def speech_of(
    utterance: Utterance, detector: str, read_pieces: ReadPieces = utterance_pieces, *, enough: float = math.inf
) -> list[Span]:
    """The stretches of an utterance in which somebody speaks, in s from its start, without the detector's padding.

    The audio is read once, in pieces. enough: in s; stretches behind so much speech may be missing.
    Errors: AudioError where it cannot be read.
    """
    detected = speech_segments(read_pieces(utterance), detector=detector, enough=enough)
    return list(_unpadded(detected, utterance_seconds(utterance)))


def has_speech(utterance: Utterance) -> bool:
    """Whether an utterance holds enough speech to be answered as a whole, by the rule of energy, everywhere the same.

    Errors: AudioError where it cannot be read.
    """
    (part,) = parts_of(utterance, Answering(segments="whole", detector="energy"))
    return part.reason not in (NO_SPEECH, TOO_SHORT)


def _spans(whole: Span, settings: Answering, kind: str) -> Iterator[Span]:
    """The parts by a kind of `settings.segments` that does not depend on speech; none by another."""
    if kind == "whole":
        yield whole
    elif kind == "windows":
        yield from windows(whole, settings.window, settings.hop or settings.window)


def _cut(speech: Sequence[Span], longest: float) -> Iterator[Span]:
    """Stretches of speech; one above so many seconds in equal parts."""
    for begin, stop in speech:
        count = math.ceil((stop - begin) / longest - TIME_ROUNDING)
        cuts = [begin + (stop - begin) * index / count for index in range(count)]
        yield from zip(cuts, [*cuts[1:], stop])


def _unpadded(speech: Sequence[Span], seconds: float) -> Iterator[Span]:
    """Speech without the padding of the detector, but at the ends of the recording.

    What surrounds speech is not in the recordings that a recogniser was trained on: in loud noise the padding costs 2
    to 5 points (benchmarks/recording.py).
    """
    for begin, end in speech:
        begin, end = (
            (begin + PADDING if begin > 0 else 0.0),
            (end - PADDING if end < seconds - TIME_ROUNDING else seconds),
        )
        if begin < end:
            yield begin, end


def windows(span: Span, window: float, hop: float) -> Iterator[Span]:
    """Windows of a span, `hop` s apart; the last one ends with the span, and is up to hop / 2 shorter or longer.

    >>> list(windows((0.0, 23.0), 10.0, 10.0)), list(windows((1.0, 18.0), 10.0, 5.0))
    ([(0.0, 10.0), (10.0, 23.0)], [(1.0, 11.0), (6.0, 18.0)])
    """
    start, end = span
    count = max(1, round((end - start - window) / hop) + 1)
    for index in range(count):
        begin = start + index * hop
        yield begin, (end if index == count - 1 else begin + window)


def _reason(span: Span, speech: Sequence[Span]) -> str:
    """Why a part has no answer; "" where it has one."""
    length = span[1] - span[0]
    if _is_too_long(span):
        return TOO_LONG
    if length < LEAST_SPEECH - TIME_ROUNDING:
        return TOO_SHORT
    seconds = sum(max(0.0, min(span[1], end) - max(span[0], start)) for start, end in speech)
    if seconds <= 0 or seconds < LEAST_SHARE * length:
        return NO_SPEECH
    return TOO_SHORT if seconds < LEAST_SPEECH - TIME_ROUNDING else ""


def _is_too_long(span: Span) -> bool:
    return span[1] - span[0] > LONGEST_WHOLE


def _least_speech(seconds: float) -> float:
    """Seconds of speech with which a part of so many seconds has an answer."""
    return max(LEAST_SHARE * seconds, LEAST_SPEECH)
