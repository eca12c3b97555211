"""What the endpoints share: the engine, its limits, uploads and counters, and the way from an upload to an answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import TypeVar

from starlette.requests import Request

from emobridge.errors import unknown
from emobridge.serve.errors import Gone
from emobridge.serve.fields import FieldGroup, settings_of_texts
from emobridge.serve.metrics import Metrics
from emobridge.serve.records import Answer, Engine, Job, Limits, ServedModel
from emobridge.serve.uploads import Upload, Uploads

Result = TypeVar("Result")


class Service:
    """A running service."""

    def __init__(self, engine: Engine, limits: Limits, folder: Path) -> None:
        """folder: for the recordings of uploads."""
        self.engine, self.limits = engine, limits
        self.uploads = Uploads(folder, limits.body)
        self.metrics = Metrics(engine.state)
        self.stopping = asyncio.Event()  # what comes from now on is refused
        self.under_way = 0  # requests and streams

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Count a request, or a stream, as long as it is under way."""
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    def model(self, name: str) -> ServedModel:
        """A served model; "" is the first. Errors: UserError."""
        by_name = {model.name: model for model in self.engine.models}
        if name and name not in by_name:
            raise unknown("model", name, by_name)
        return by_name[name] if name else self.engine.models[0]

    async def answer_upload(self, request: Request, group: FieldGroup) -> tuple[Answer, ServedModel]:
        """The answer to the recording in a request.

        Errors: Refusal, UserError and EngineError for what cannot be answered; Gone where the client has left.
        """
        self.engine.check_room(self.model("").name)  # before the body is read
        async with self.uploads.receive(request) as upload:
            job, model = self._job(upload, group)
            began = time.perf_counter()
            answer = await unless_gone(request, self.engine.answer(job))
        self.metrics.observe_answer(request.url.path, time.perf_counter() - began, answer.seconds)
        return answer, model

    def _job(self, upload: Upload, group: FieldGroup) -> tuple[Job, ServedModel]:
        texts = {name: text.strip() for name, text in upload.texts.items() if text.strip()}  # an empty field is none
        model = self.model(texts.pop("model", ""))
        language = texts.pop("language", None)
        return Job(model.name, upload.path, settings_of_texts(group, texts), language, upload.name), model


async def unless_gone(request: Request, work: Awaitable[Result]) -> Result:
    """What work gives; it is cancelled where the client leaves. Errors: Gone, and those of the work."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Gone
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    """Returns when the client has left; its body was read to the end."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
