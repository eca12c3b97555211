"""Live sound over a WebSocket: the first message says what comes, then PCM comes, and answers go back as JSON.

client: {"model": "de", "rate": 48000}      server: {"ready": true, "model": "de"}
client: PCM, in messages of any size        server: a row for each stretch of sound
client: {"end": true}                       server: the last rows, {"ended": true, "seconds": 12.3}, close 1000
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from emobridge.diarization.pcm import SCALES
from emobridge.errors import UserError
from emobridge.files import parse_json
from emobridge.serve.answers import row_of_model
from emobridge.serve.errors import Gone, error_response, line_of, service_log
from emobridge.serve.fields import StreamRequest
from emobridge.serve.guard import STOPPING, TokenCheck, bearer
from emobridge.serve.records import Busy, Lost, Refused, ServedModel, SoundStream, StreamJob, TooLong
from emobridge.serve.service import Service
from emobridge.settings import from_mapping
from emobridge.web.requests import Refusal

ROUTE = "/stream"
LARGEST_MESSAGE = 256 << 10  # bytes
LARGEST_FIRST = 4096  # characters
FIRST_SECONDS = 10.0  # for the first message to come
SILENT_SECONDS = 30.0  # without sound after which a stream is closed
MOST_AHEAD = 10.0  # of sound that may come before its time: a stream costs a worker no more than its own length
WITHOUT_STREAM = 32  # sockets that may be open beside those with a stream
RETRY = 5.0  # s
ENDED, AWAY, UNEXPECTED, INVALID, MISUSED, FAILED, TRY_LATER = (
    1000,
    1001,
    1003,
    1007,
    1008,
    1011,
    1013,
)  # codes of RFC 6455


class StreamError(Exception):
    """A stream that is closed with an error. code: of RFC 6455."""

    def __init__(self, code: int, line: str) -> None:
        super().__init__(line)
        self.code = code


class Streams:
    """Answers live sound."""

    def __init__(self, service: Service, tokens: TokenCheck) -> None:
        self._service, self._tokens = service, tokens
        self._open = 0

    async def serve(self, websocket: WebSocket) -> None:
        """Answer a socket until either side ends it."""
        if self._open >= self._service.limits.streams + WITHOUT_STREAM:
            await websocket.send_denial_response(error_response(Busy(RETRY)))
            return
        self._open += 1
        try:
            await websocket.accept()
            with contextlib.suppress(Gone, WebSocketDisconnect):
                await self._serve(websocket)
        finally:
            self._open -= 1

    async def _serve(self, websocket: WebSocket) -> None:
        try:
            await self._answer(websocket)
        except (Gone, WebSocketDisconnect):
            raise
        except Exception as error:
            code, line = _closing(error)
            await websocket.send_json({"error": line})
            await websocket.close(code)
        else:
            await websocket.close(ENDED)

    async def _answer(self, websocket: WebSocket) -> None:
        request = await self._first_message(websocket)
        model = self._service.model(request.model)
        job = StreamJob(
            model.name, request.live, request.encoding, request.rate, request.channels, request.language or None
        )
        stream = await self._service.engine.open_stream(job)
        try:
            await websocket.send_json({"ready": True, "model": model.name})
            sound = _Sound(websocket, stream, _bytes_per_second(job), self._service)
            await self._until_stopped(sound.take(), _send_answers(websocket, stream, model))
            await websocket.send_json({"ended": True, "seconds": round(sound.seconds, 3)})
        finally:
            await stream.close()

    async def _first_message(self, websocket: WebSocket) -> StreamRequest:
        """What the client asks for. Errors: StreamError, Refusal, UserError."""
        text = await _receive(websocket, FIRST_SECONDS)
        if isinstance(text, bytes):
            raise StreamError(UNEXPECTED, "expected a text first, with what comes as JSON")
        if len(text) > LARGEST_FIRST:
            raise StreamError(INVALID, f"first message: expected at most {LARGEST_FIRST:,} characters")
        values = parse_json(text, "first message")
        if not isinstance(values, dict):
            raise UserError('first message: expected an object, such as {"rate": 16000}')
        request = from_mapping(values, "first message", StreamRequest)
        if bearer(websocket.headers) is None:  # otherwise it was checked already
            self._tokens.check(request.token or None)
        return request

    async def _until_stopped(self, *work: Any) -> None:
        """Do pieces of work side by side. Errors: the first of theirs; StreamError where the service stops."""
        tasks: asyncio.Future[Any] = asyncio.gather(*work)
        stopping: asyncio.Future[Any] = asyncio.ensure_future(self._service.stopping.wait())
        try:
            await asyncio.wait({tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not tasks.done():
                raise StreamError(AWAY, STOPPING)
            tasks.result()
        finally:
            tasks.cancel()
            stopping.cancel()
            await asyncio.gather(tasks, stopping, return_exceptions=True)


class _Sound:
    """The sound of a socket on its way into a stream."""

    def __init__(self, websocket: WebSocket, stream: SoundStream, bytes_per_second: int, service: Service) -> None:
        self._websocket, self._stream, self._service = websocket, stream, service
        self._bytes_per_second = bytes_per_second
        self._began = asyncio.get_running_loop().time()  # when sound at its own pace would have begun
        self.seconds = 0.0

    async def take(self) -> None:
        """Pass on what comes, until the client says that it was all. Errors: StreamError, EngineError, Gone."""
        while isinstance(message := await _receive(self._websocket, SILENT_SECONDS), bytes):
            seconds = len(message) / self._bytes_per_second
            await self._keep_pace()
            await self._stream.send(message)
            self.seconds += seconds
            self._service.metrics.count_sound(ROUTE, seconds)
        ending = parse_json(message, "message")
        if not isinstance(ending, dict) or list(ending) != ["end"] or ending["end"] is not True:
            raise StreamError(UNEXPECTED, 'expected sound, as binary messages, or {"end": true}')
        await self._stream.finish()

    async def _keep_pace(self) -> None:
        """Wait where the sound is far ahead of its time; what was late does not come faster later."""
        now = asyncio.get_running_loop().time()
        self._began = max(self._began, now - self.seconds)
        ahead = self.seconds - (now - self._began)
        if ahead > MOST_AHEAD:
            await asyncio.sleep(ahead - MOST_AHEAD)


async def _send_answers(websocket: WebSocket, stream: SoundStream, model: ServedModel) -> None:
    async for prediction in stream.answers():
        await websocket.send_json(row_of_model(prediction, model))


async def _receive(websocket: WebSocket, seconds: float) -> str | bytes:
    """The next message. Errors: StreamError where none comes for some seconds; Gone where the client leaves."""
    try:
        message = await asyncio.wait_for(websocket.receive(), seconds)
    except asyncio.TimeoutError:
        raise StreamError(MISUSED, f"nothing came for {seconds:g} s") from None
    if message["type"] != "websocket.receive":
        raise Gone
    text: str | None = message.get("text")
    return message["bytes"] if text is None else text


def _bytes_per_second(job: StreamJob) -> int:
    return job.rate * job.channels * int(SCALES[job.encoding][0][-1])


def _closing(error: Exception) -> tuple[int, str]:
    """The code and the line that close a socket after an error."""
    if isinstance(error, StreamError):
        return error.code, str(error)
    if isinstance(error, Refusal):
        return MISUSED, line_of(error)
    if isinstance(error, Busy):
        return TRY_LATER, line_of(error)
    if isinstance(error, (UserError, Refused, TooLong)):
        return INVALID, line_of(error)
    if not isinstance(error, Lost):
        service_log.error("a stream failed", exc_info=error)
    return FAILED, line_of(error)
