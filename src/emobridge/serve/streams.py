"""A stream of live sound as the engine has it: it paces the sender by what the worker has consumed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from emobridge.serve.messages import (
    CloseStream,
    Consumed,
    Failed,
    FinishStream,
    OfStream,
    OpenStream,
    SoundBytes,
    StreamAnswer,
    StreamEnded,
    StreamOpened,
    ToWorker,
)
from emobridge.serve.records import EngineError, StreamJob
from emobridge.types import Prediction

PIECE = 1 << 16  # bytes that are sent to the worker at a time, at most
WAITING_SECONDS = 4.0  # of sound that may wait in the worker
MOST_ANSWERS = 256  # that nobody has taken yet
BYTES = {"s16le": 2, "f32le": 4}  # of a sample


class StreamWorker(Protocol):
    """What a stream needs of its worker."""

    def send(self, message: ToWorker) -> None:
        """Send a message without waiting."""


class WorkerStream:
    """A stream that a worker answers. It keeps the protocol `records.SoundStream`."""

    def __init__(
        self,
        number: int,
        job: StreamJob,
        worker: StreamWorker,
        *,
        patience: float,
        on_stuck: Callable[[WorkerStream], None],
        on_end: Callable[[WorkerStream], None],
    ) -> None:
        """patience: s without a sign of a worker that has something to do. on_end: is called once, whatever ends it."""
        self.number, self._worker = number, worker
        self._patience, self._on_stuck, self._on_end = patience, on_stuck, on_end
        self._most = max(PIECE, round(WAITING_SECONDS * job.rate * job.channels * BYTES.get(job.encoding, 4)))
        self._unconsumed = 0  # bytes
        self._answers: deque[Prediction] = deque()
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self.is_opened = self.is_finishing = self.is_over = False
        self.error: EngineError | None = None
        worker.send(OpenStream(number, job))
        self._watch()

    async def opened(self) -> None:
        """Wait until the worker takes sound. Errors: EngineError."""
        while not (self.is_opened or self.is_over):
            await self._change()
        self._check()

    async def send(self, samples: bytes) -> None:
        """Pass the next bytes on, which need not end with a frame; waits while the worker is behind, and while nobody
        takes the answers. Errors: EngineError.
        """
        for first in range(0, len(samples), PIECE):
            piece = samples[first : first + PIECE]
            while not self.is_over and not self._has_room(len(piece)):
                await self._change()
            self._check()
            if self.is_over or self.is_finishing:
                return
            self._unconsumed += len(piece)
            self._worker.send(SoundBytes(self.number, bytes(piece)))
            self._watch()

    async def finish(self) -> None:
        """No more sound comes; the last answers follow. Errors: EngineError."""
        self._check()
        if not self.is_over and not self.is_finishing:
            self.is_finishing = True
            self._worker.send(FinishStream(self.number))
            self._watch()

    async def answers(self) -> AsyncIterator[Prediction]:
        """One answer for each stretch of sound, until the stream is finished. Errors: EngineError."""
        while True:
            while self._answers:
                answer = self._answers.popleft()
                self._notify()
                yield answer
            self._check()
            if self.is_over:
                return
            await self._change()

    async def close(self, error: EngineError | None = None) -> None:
        """Give the worker back, whatever is under way. A second call does nothing. error: for who waits."""
        self._answers.clear()
        if not self.is_over:
            self._worker.send(CloseStream(self.number))
            self.end(error)

    def take(self, message: OfStream) -> None:
        """Take what the worker sends."""
        if self.is_over:
            return
        if isinstance(message, StreamOpened):
            self.is_opened = True
        elif isinstance(message, Consumed):
            self._unconsumed -= message.count
        elif isinstance(message, StreamAnswer):
            self._answers.append(message.answer)
        elif isinstance(message, StreamEnded):
            self.end()
        elif isinstance(message, Failed):
            self.end(message.error)
        self._stop_watching()
        self._watch()
        self._notify()

    def end(self, error: EngineError | None = None) -> None:
        """It is over; with an error that who uses it gets."""
        if not self.is_over:
            self.is_over, self.error = True, error
            self._stop_watching()
            self._notify()
            self._on_end(self)

    def _has_room(self, count: int) -> bool:
        return self._unconsumed + count <= self._most and len(self._answers) < MOST_ANSWERS

    def _check(self) -> None:
        if self.error is not None and not self._answers:
            raise self.error

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _change(self) -> None:
        await self._changed.wait()

    def _watch(self) -> None:
        """Wait for a sign of the worker where it owes one."""
        owes = not self.is_opened or self._unconsumed > 0 or self.is_finishing
        if owes and not self.is_over and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._patience, self._on_stuck, self)

    def _stop_watching(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
