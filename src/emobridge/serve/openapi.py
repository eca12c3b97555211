"""What the OpenAPI document says of the endpoints. The form's fields are those of the settings."""

from __future__ import annotations

from typing import Any

from emobridge.serve.answers import MEDIA_TYPES
from emobridge.serve.conversion import CONVERTED_TYPES, GivenAnswer
from emobridge.serve.fields import DIARIZING, PREDICTING, FieldGroup, form_schema

EXAMPLE_ROW = {
    "id": "call.wav", "path": "call.wav", "channel": 0, "start": 0.0, "end": 4.2, "language": "de",
    "label": "anger", "confidence": 0.83, "probabilities": {"anger": 0.83, "sadness": 0.17}, "answered_by": "de",
    "statistics": "corpus", "unfamiliarity": 0.62,
}  # fmt: skip
EXAMPLE_MODEL = {
    "name": "de", "kind": "recogniser", "labels": ["anger", "sadness"], "attributes": [], "languages": ["de"],
    "encoder": "whisper-base", "synthetic": False,
}  # fmt: skip
EXAMPLE_ANSWER = {"model": "de", "seconds": 4.2, "notes": [], "rows": [EXAMPLE_ROW]}
STATUS_REASONS = {
    400: "The request is damaged.",
    401: "The token is missing or wrong.",
    403: "The page of another site asks, or the service is called by a name that may be such a site's.",
    404: "No such address.",
    405: "The address does not take this method.",
    408: "The body came too slowly.",
    413: "More bytes, or more sound, than the service takes.",
    415: "The body is no form with a file.",
    422: "A field, or the recording, is not as expected; the error names it.",
    429: "The service is busy, or many wrong tokens came: Retry-After has the seconds.",
    503: "No worker is ready, or the service stops.",
}
ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "One line."}},
}
ROW_SCHEMA = {
    "type": "object",
    "required": ["id", "start", "end", "reason"],
    "properties": {
        "id": {"type": "string"},
        "channel": {"type": ["integer", "null"], "description": "From 0; null is the mean of all."},
        "start": {"type": "number", "description": "s"},
        "end": {"type": "number", "description": "s"},
        "language": {"type": "string", "description": "BCP 47; und is not known."},
        "label": {"type": ["string", "null"]},
        "confidence": {"type": ["number", "null"]},
        "probabilities": {"type": ["object", "null"], "additionalProperties": {"type": "number"}},
        "attributes": {"type": ["object", "null"], "additionalProperties": {"type": "number"}},
        "reason": {"type": ["string", "null"], "description": "Why there is no label."},
    },
}
ANSWER_SCHEMA = {
    "type": "object",
    "required": ["model", "seconds", "notes", "rows"],
    "properties": {
        "model": {"type": "string"},
        "seconds": {"type": "number", "description": "Length of the recording."},
        "notes": {"type": "array", "items": {"type": "string"}},
        "rows": {"type": "array", "items": ROW_SCHEMA},
    },
}
MODELS_SCHEMA = {
    "type": "object",
    "required": ["models"],
    "properties": {"models": {"type": "array", "items": {"type": "object", "required": list(EXAMPLE_MODEL)}}},
}
STATE_SCHEMA = {
    "type": "object",
    "required": ["ready", "workers"],
    "properties": {
        "ready": {"type": "integer", "description": "Workers that can take a recording."},
        "workers": {"type": "integer", "description": "Workers that are wanted."},
        "error": {"type": "string", "description": "Why no worker starts."},
    },
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The responses that are errors."""
    return {status: _response(STATUS_REASONS[status], ERROR_SCHEMA, {"error": "one line"}) for status in statuses}


def predicting() -> dict[str, Any]:
    """What FastAPI is told of `/predict`."""
    return _upload(PREDICTING)


def diarizing() -> dict[str, Any]:
    """What FastAPI is told of `/diarize`."""
    return _upload(DIARIZING)


def _upload(group: FieldGroup) -> dict[str, Any]:
    answer = _response("The answer, in the format that was asked for.", ANSWER_SCHEMA, EXAMPLE_ANSWER)
    for media_type in MEDIA_TYPES.values():
        answer["content"].setdefault(media_type, {"schema": {"type": "string"}})
    form = {"schema": form_schema(group), "example": {"file": "(the bytes of call.wav)", "language": "de"}}
    return {
        "responses": {200: answer, **refusals(400, 401, 403, 408, 413, 415, 422, 429, 503)},
        "openapi_extra": {
            "parameters": [
                {
                    "name": "format",
                    "in": "query",
                    "description": "Format of the answer. By default what the header Accept names, else json.",
                    "schema": {"type": "string", "enum": list(MEDIA_TYPES), "default": "json"},
                }
            ],
            "requestBody": {"required": True, "content": {"multipart/form-data": form}},
        },
    }


def converting() -> dict[str, Any]:
    """What FastAPI is told of `/convert`."""
    schema = GivenAnswer.model_json_schema()
    schema["properties"]["rows"]["items"] = schema.pop("$defs")["ConvertedRow"]
    given = {"name": "call.wav", "seconds": 4.2, "rows": [EXAMPLE_ROW]}
    content: dict[str, Any] = {media_type: {"schema": {"type": "string"}} for media_type in CONVERTED_TYPES.values()}
    content["application/json"] = {"schema": {"type": "array", "items": ROW_SCHEMA}, "example": [EXAMPLE_ROW]}
    return {
        "responses": {
            200: {"description": "The rows, in the format that was asked for.", "content": content},
            **refusals(400, 401, 403, 408, 413, 422, 429, 503),
        },
        "openapi_extra": {
            "parameters": [
                {
                    "name": "format",
                    "in": "query",
                    "required": True,
                    "description": "Format of the rows; html is the timeline of the page.",
                    "schema": {"type": "string", "enum": list(CONVERTED_TYPES)},
                }
            ],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": schema, "example": given}},
            },
        },
    }


def models_listing() -> dict[str, Any]:
    """What FastAPI is told of `/models`."""
    return {
        "responses": {
            200: _response("The models.", MODELS_SCHEMA, {"models": [EXAMPLE_MODEL]}),
            **refusals(401, 403, 429, 503),
        }
    }


def health() -> dict[str, Any]:
    """What FastAPI is told of `/healthz`."""
    ready, not_ready = {"ready": 1, "workers": 1}, {"ready": 0, "workers": 1}
    return {
        "responses": {
            200: _response("Recordings would be answered now.", STATE_SCHEMA, ready),
            503: _response(
                "No worker is ready, or the service stops.", {"anyOf": [STATE_SCHEMA, ERROR_SCHEMA]}, not_ready
            ),
        }
    }


def counters() -> dict[str, Any]:
    """What FastAPI is told of `/metrics`."""
    text = {"description": "Counters.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {"responses": {200: text, **refusals(401, 403, 429, 503)}}


def _response(description: str, schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema, "example": example}}}
