"""TextGrids of Praat, one for each recording: see `formats.textgrid`.

The tier `emotion` has the labels, `confidence` the probabilities of these, and each attribute a tier of its own. A row
without a label is an empty interval, as is what lies between two rows. A channel that was answered by itself has tiers
of its own, "emotion@channel 0". Intervals of a tier cannot overlap: rows that overlap those before them, as of windows
with a hop, go to further tiers, "emotion 2", "confidence 2" ... A recogniser of synthetic speech has its tiers named
"emotion (SYNTHETIC)".
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence

from emobridge.data.audio import AudioError, duration
from emobridge.inference.output.base import Format, Origin, channel_name, one_line
from emobridge.phones.textgrid import INTERVALS, Tier, textgrid_text
from emobridge.types import Prediction

TIME_DIGITS = 3  # of times, s


def texts(predictions: Iterable[Prediction], origin: Origin) -> Iterator[str]:
    """The text of the TextGrid of one recording."""
    rows = list(predictions)
    channels: dict[int | None, list[Prediction]] = {}
    for row in rows:
        channels.setdefault(row.channel, []).append(row)
    length = round(origin.seconds, TIME_DIGITS) or _length(rows[0].path)
    seconds = max(length, *(round(row.end, TIME_DIGITS) for row in rows))
    tiers: list[Tier] = []
    for channel in sorted(channels, key=lambda channel: -1 if channel is None else channel):
        for number, group in enumerate(_without_overlap(channels[channel]), 1):
            tiers += _tiers(group, seconds, number, origin.trained_on)
    yield textgrid_text(tiers, seconds)


def _without_overlap(rows: Sequence[Prediction]) -> list[list[Prediction]]:
    """Rows in order of time as few lists as will do, in each of which none overlaps: each in the first that is free."""
    groups: list[list[Prediction]] = []
    free: list[int] = []  # heap of groups
    taken: list[tuple[float, int]] = []  # heap of the ends of the others, and these
    for row in rows:
        start, end = round(row.start, TIME_DIGITS), round(row.end, TIME_DIGITS)
        if start >= end:
            continue
        while taken and taken[0][0] <= start:
            heapq.heappush(free, heapq.heappop(taken)[1])
        number = heapq.heappop(free) if free else len(groups)
        if number == len(groups):
            groups.append([])
        groups[number].append(row)
        heapq.heappush(taken, (end, number))
    return groups


def _tiers(rows: Sequence[Prediction], seconds: float, number: int, trained_on: str) -> Iterator[Tier]:
    """The tiers of rows that do not overlap; seconds: the length of the recording."""
    texts: dict[str, list[str]] = {}
    if rows[0].labels:
        texts["emotion"] = [one_line(row.label or "") for row in rows]
        texts["confidence"] = ["" if row.label is None else f"{row.confidence:.4f}" for row in rows]
    for index, name in enumerate(rows[0].attribute_names):
        texts[name] = ["" if row.reason or row.attributes is None else f"{row.attributes[index]:.4f}" for row in rows]
    channel = channel_name(rows[0])
    for name, words in texts.items():
        full_name = name + (f" {number}" if number > 1 else "") + (f" ({trained_on})" if trained_on else "")
        intervals = list(_filled(rows, words, seconds))
        yield Tier(INTERVALS, full_name + (f"@{channel}" if channel else ""), intervals)


def _filled(rows: Sequence[Prediction], words: Sequence[str], seconds: float) -> Iterator[tuple[float, float, str]]:
    """Intervals from 0 to the end of the recording without a gap."""
    end = 0.0
    for row, word in zip(rows, words, strict=True):
        start = round(row.start, TIME_DIGITS)
        if start > end:
            yield end, start, ""
        end = round(row.end, TIME_DIGITS)
        yield start, end, word
    if end < seconds:
        yield end, seconds, ""


def _length(recording: str) -> float:
    """Seconds; 0 where the recording is not there any more."""
    try:
        return round(duration(recording), TIME_DIGITS)
    except AudioError:
        return 0.0


FORMATS = {"textgrid": Format((".textgrid",), texts, holds_one_recording=True)}
