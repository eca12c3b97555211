"""Answers as bodies: JSON by default, or one of the files that `emobridge predict` writes."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from emobridge.errors import unknown
from emobridge.inference.output import FORMATS
from emobridge.inference.output.base import Origin, row_of
from emobridge.serve.records import Answer, ServedModel
from emobridge.types import Prediction

# The formats of answers by name, and what they are to a browser.
MEDIA_TYPES = {
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "textgrid": "text/x-textgrid",
    "rttm": "text/x-rttm",
    "srt": "application/x-subrip",
    "audacity": "text/plain",
}


def chosen_format(request: Request) -> str:
    """The format that a request asks for, by ?format= or else its Accept header; json where neither names one.

    Errors: UserError for an unknown format, or for another query parameter.
    """
    for name in request.query_params:
        if name != "format":
            raise unknown("query parameter", name, ("format",))
    if form := request.query_params.get("format", ""):
        if form not in MEDIA_TYPES:
            raise unknown("format", form, MEDIA_TYPES)
        return form
    by_type = {media_type: name for name, media_type in MEDIA_TYPES.items()}
    accepted = [part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")]
    return next((by_type[media_type] for media_type in accepted if media_type in by_type), "json")


def answer_response(answer: Answer, model: ServedModel, form: str) -> Response:
    """The answer in a format of MEDIA_TYPES. Errors: UserError for an answer that the format cannot hold."""
    if form == "json":
        body = {
            "model": model.name,
            "seconds": round(answer.seconds, 3),
            "notes": list(answer.notes),
            "rows": [row_of_model(prediction, model) for prediction in answer.rows],
        }
        return JSONResponse(body)
    # The path of a row is a name of the caller's: no file of that name is looked at, since the length is known.
    origin = Origin(_trained_on(model), seconds=max(answer.seconds, 0.001))
    text = "".join(FORMATS[form].texts(answer.rows, origin)) if answer.rows else ""
    return Response(text, media_type=MEDIA_TYPES[form])


def row_of_model(prediction: Prediction, model: ServedModel) -> dict[str, Any]:
    """A row as `emobridge predict --format json` writes it."""
    return row_of(prediction, Origin(_trained_on(model)))


def _trained_on(model: ServedModel) -> str:
    return "SYNTHETIC" if model.synthetic else ""
