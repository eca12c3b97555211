"""Errors as a caller gets them: {"error": "one line"}, with the status of HTTP that they mean."""

from __future__ import annotations

import logging
import math

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from emobridge.errors import UserError
from emobridge.serve.records import Busy, EngineError, Lost, Refused, TooLong
from emobridge.web.requests import Refusal

STATUSES: dict[type[EngineError], int] = {Busy: 429, Refused: 422, TooLong: 413, Lost: 503}
GONE = 499  # of an answer that nobody reads: only the metrics have it
WORDS = {  # for the reasons that `emobridge.web` knows
    "too-large": "the body is larger than this service takes",
    "slow": "the body came too slowly",
    "too-many": "too many wrong tokens; try again later",
}
FRAMEWORK_LINES = {
    404: "no such address",
    405: "the address does not take this method",
}  # for what the framework refuses
service_log = logging.getLogger("emobridge.serve")


class Gone(Exception):
    """The client left before its answer was there."""


HANDLED = (Refusal, UserError, EngineError, HTTPException, ClientDisconnect, Gone)


async def refused(request: Request, error: Exception) -> Response:
    """The answer to a request that is refused."""
    return error_response(error)


def failed(request: Request, error: Exception) -> Response:
    """The answer after an error that is the program's; the log gets its traceback, and nothing of the request."""
    service_log.error("an answer failed", exc_info=error)
    return error_response(error)


def error_response(error: Exception) -> Response:
    """The answer that says why there is none."""
    status = status_of(error)
    headers = dict(getattr(error, "headers", None) or {})
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if status in (429, 503):
        headers["retry-after"] = str(max(1, math.ceil(getattr(error, "retry_after", 1.0))))
    if status == 408:
        headers["connection"] = "close"  # the rest of the body is not waited for
    return JSONResponse({"error": line_of(error)}, status, headers)


def status_of(error: Exception) -> int:
    """The status of HTTP that an error means."""
    if isinstance(error, Refusal):
        return error.status
    if isinstance(error, UserError):
        return 422
    if isinstance(error, HTTPException):
        return error.status_code
    if isinstance(error, (Gone, ClientDisconnect)):
        return GONE
    return STATUSES.get(type(error), 500)  # type: ignore[arg-type]


def line_of(error: Exception) -> str:
    """What a caller reads of an error, in one line."""
    if isinstance(error, Refusal):
        return WORDS.get(error.reason, error.reason)
    if isinstance(error, HTTPException):
        return FRAMEWORK_LINES.get(error.status_code, str(error.detail))
    if isinstance(error, (UserError, EngineError)):
        return str(UserError(error))  # in one line, whatever a file has brought into it
    return "the service failed; its log has the reason"
