"""Tasks with pre-annotations for Label Studio (https://labelstud.io/guide/predictions), one for each recording.

    [{"data": {"audio": "/data/local-files/?d=calls/a.wav", "path": "calls/a.wav"}, "predictions": [{"model_version":
    "emobridge 0.1.0", "score": 0.83, "result": [{"id": "1", "from_name": "emotion", "to_name": "audio", "type":
    "labels", "value": {"start": 0.0, "end": 4.2, "channel": 0, "labels": ["anger"]}, "score": 0.83}]}]}]

A project for them has `<Labels name="emotion" toName="audio">` and `<Audio name="audio" value="$audio"/>`. Label Studio
serves the folder of the file that is written (LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT), or / where recordings lie
elsewhere.
The score of a task is the mean confidence of its regions, by which Label Studio sorts. Rows without a label are left
out.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

from emobridge import __version__
from emobridge.data.manifest import within
from emobridge.formats.label_studio import SERVED
from emobridge.inference.output.base import Format, Origin, by_recording, label_needed
from emobridge.types import Prediction


def texts(predictions: Iterable[Prediction], origin: Origin) -> Iterator[str]:
    """The text of the file, a task a line."""
    start = "[\n"
    for recording, rows in by_recording(predictions).items():
        label_needed(rows[0], "label-studio")
        yield start + json.dumps(_task(recording, rows, origin), ensure_ascii=False)
        start = ",\n"
    yield "\n]\n" if start != "[\n" else "[]\n"


def _task(recording: str, rows: Sequence[Prediction], origin: Origin) -> dict[str, Any]:
    path = within(recording, origin.folder or os.getcwd())
    answered = [row for row in rows if row.label is not None]
    prediction: dict[str, Any] = {
        "model_version": f"emobridge {__version__}" + (f" ({origin.trained_on})" if origin.trained_on else "")
    }
    if answered:
        prediction["score"] = round(statistics.fmean(row.confidence or 0.0 for row in answered), 6)
    prediction["result"] = [_region(str(number), row) for number, row in enumerate(answered, 1)]
    return {"data": {"audio": SERVED + quote(path.lstrip("/")), "path": path}, "predictions": [prediction]}


def _region(name: str, row: Prediction) -> dict[str, Any]:
    value = {"start": round(row.start, 3), "end": round(row.end, 3), "channel": row.channel or 0, "labels": [row.label]}
    about = {"id": name, "from_name": "emotion", "to_name": "audio", "type": "labels", "value": value}
    return about | {"score": round(row.confidence or 0.0, 6)}


FORMATS = {"label-studio": Format((".label-studio.json",), texts, also=(".json",))}
