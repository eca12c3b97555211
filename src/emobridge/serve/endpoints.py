"""The endpoints that answer requests one by one."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from emobridge.serve.answers import answer_response, chosen_format
from emobridge.serve.conversion import CONVERTED_TYPES, convert, read_answer
from emobridge.serve.fields import DIARIZING, PREDICTING, FieldGroup
from emobridge.serve.metrics import CONTENT_TYPE
from emobridge.serve.records import Busy
from emobridge.serve.service import Service
from emobridge.web.requests import read_body

LARGEST_ANSWER = 12_000_000  # bytes of JSON that is converted, about 25,000 rows
ANSWER_SECONDS = 60.0  # for it to arrive
MOST_CONVERSIONS = 8  # at a time; more are answered 429
CONVERSION_RETRY = 1.0  # s


class Endpoints:
    """What a service answers, by address."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._conversions = 0  # under way

    async def predict(self, request: Request) -> Response:
        """The emotions of a recording, or of parts of it, with probabilities."""
        return await self._answer(request, PREDICTING)

    async def diarize(self, request: Request) -> Response:
        """Which emotion is heard when in a recording."""
        return await self._answer(request, DIARIZING)

    async def _answer(self, request: Request, group: FieldGroup) -> Response:
        form = chosen_format(request)
        answer, model = await self._service.answer_upload(request, group)
        return await asyncio.to_thread(answer_response, answer, model, form)  # an hour may have thousands of rows

    async def convert(self, request: Request) -> Response:
        """Rows that the service answered as a file, or as the timeline of its page."""
        form = request.query_params.get("format", "")
        if self._conversions >= MOST_CONVERSIONS:
            raise Busy(CONVERSION_RETRY)
        self._conversions += 1
        try:
            body = await read_body(request, largest=LARGEST_ANSWER, seconds=ANSWER_SECONDS)
            text = await asyncio.to_thread(lambda: convert(read_answer(body), form))
        finally:
            self._conversions -= 1
        return Response(text, media_type=CONVERTED_TYPES[form])

    async def models(self, request: Request) -> Response:
        """The models that answer; the first is the default."""
        return JSONResponse({"models": [asdict(model) for model in self._service.engine.models]})

    async def healthz(self, request: Request) -> Response:
        """Whether a recording would be answered now."""
        state = self._service.engine.state()
        body = {"ready": state.ready, "workers": state.workers} | ({"error": state.error} if state.error else {})
        return JSONResponse(body, 200 if state.ready else 503)

    async def metrics(self, request: Request) -> Response:
        """Counters for Prometheus."""
        return Response(self._service.metrics.text(), media_type=CONTENT_TYPE)
