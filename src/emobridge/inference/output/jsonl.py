"""JSON: an object a line (JSON Lines, https://jsonlines.org), or all objects in one array.

    {"id": "call.wav", "path": "call.wav", "channel": null, "start": 0.0, "end": 4.2, "language": "de", "label":
    "anger", "confidence": 0.83, "probabilities": {"anger": 0.83, "sadness": 0.17}, "answered_by": "de", "statistics":
    "corpus", "unfamiliarity": null, "reason": null}

A row without a label has `"label": null` and a reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from emobridge.inference.output.base import Format, Origin, row_of
from emobridge.types import Prediction


def json_lines(predictions: Iterable[Prediction], origin: Origin) -> Iterator[str]:
    """The text of each line."""
    for prediction in predictions:
        yield json.dumps(row_of(prediction, origin), ensure_ascii=False) + "\n"


def json_array(predictions: Iterable[Prediction], origin: Origin) -> Iterator[str]:
    """The text of an array, an object a line."""
    start = "[\n"
    for prediction in predictions:
        yield start + json.dumps(row_of(prediction, origin), ensure_ascii=False)
        start = ",\n"
    yield "\n]\n" if start != "[\n" else "[]\n"


FORMATS = {"jsonl": Format((".jsonl", ".ndjson"), json_lines), "json": Format((".json",), json_array)}
