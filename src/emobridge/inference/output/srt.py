"""Subtitles (SubRip, https://matroska.org/technical/subtitles.html#srt-subtitles), a file for each recording.

    1
    00:00:00,000 --> 00:00:04,200
    anger 0.83

A channel that was answered by itself is named after the confidence, and so is what the recogniser was trained on where
that is no real speech. Rows without a label are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from emobridge.inference.output.base import Format, Origin, caption_of, channel_name
from emobridge.types import Prediction


def texts(predictions: Iterable[Prediction], origin: Origin) -> Iterator[str]:
    """The text of each subtitle."""
    number = 0
    for prediction in predictions:
        caption = caption_of(prediction)
        if not caption:
            continue
        number += 1
        notes = ", ".join(filter(None, (channel_name(prediction), origin.trained_on)))
        times = f"{_clock(prediction.start)} --> {_clock(prediction.end)}"
        yield f"{number}\n{times}\n{caption}{f' ({notes})' if notes else ''}\n\n"


def _clock(seconds: float) -> str:
    """Hours, minutes, seconds and milliseconds."""
    total = round(seconds * 1000)
    minutes, milliseconds = divmod(total, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02},{milliseconds % 1000:03}"


FORMATS = {"srt": Format((".srt",), texts, holds_one_recording=True)}
