"""Label tracks of Audacity, one for each recording: see `formats.audacity`.

    0.000000<TAB>4.200000<TAB>anger

A channel that was answered by itself is named after the label: "anger (channel 0)". Rows without a label are left out.
Of a recogniser of synthetic speech a point label at 0 says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from emobridge.formats.audacity import label_line
from emobridge.inference.output.base import Format, Origin, caption_of, channel_name, one_line
from emobridge.types import Prediction


def texts(predictions: Iterable[Prediction], origin: Origin) -> Iterator[str]:
    """The text of each line."""
    if origin.trained_on:
        yield label_line(0.0, 0.0, f"trained on {origin.trained_on}")
    for prediction in predictions:
        label = one_line(prediction.label or "") if prediction.labels else caption_of(prediction)
        channel = channel_name(prediction)
        if label:
            yield label_line(prediction.start, prediction.end, f"{label} ({channel})" if channel else label)


FORMATS = {"audacity": Format((".txt",), texts, holds_one_recording=True)}
