"""RTTM, Rich Transcription Time Marked (NIST, The 2009 RT evaluation plan, appendix A): ten fields a line.

    SPEAKER call 1 0.000 4.200 <NA> <NA> anger 0.830000 <NA>

The label stands in the field of the speaker's name, so that tools for diarisation score and draw it; the ninth field
has the confidence. The file is the recording's name without its suffix, made unique, with _ for spaces; channels count
from 1, and 1 is the mean of all too. Rows without a label are left out. Of a recogniser of synthetic speech the first
line says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from emobridge.inference.output.base import Format, Names, Origin, label_needed
from emobridge.types import Prediction


def texts(predictions: Iterable[Prediction], origin: Origin) -> Iterator[str]:
    """The text of each line."""
    names = Names(_field)
    if origin.trained_on:
        yield f";; trained on {origin.trained_on}\n"
    for prediction in predictions:
        label_needed(prediction, "rttm")
        file = names.of(prediction.path or prediction.id)
        if prediction.label is None:
            continue
        channel = 1 if prediction.channel is None else prediction.channel + 1
        start, end = round(prediction.start, 3), round(prediction.end, 3)
        yield (
            f"SPEAKER {file} {channel} {start:.3f} {end - start:.3f} <NA> <NA> {_field(prediction.label)} "
            f"{prediction.confidence:.6f} <NA>\n"
        )


def _field(text: str) -> str:
    """A text as a field, which ends at a space."""
    return re.sub(r"\s+", "_", text)


FORMATS = {"rttm": Format((".rttm",), texts)}
