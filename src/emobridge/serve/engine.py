"""The engine: jobs wait in one queue of bounded length, and each worker takes the next when it is free.

    answer(job) -> queue -> worker process -> Answer

A worker that dies is started again at once; what it was answering is tried once more, by itself. All of it runs on one
event loop, holds no model, and waits for workers by awaiting alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Sequence

from emobridge.data.threads import share_of_cores
from emobridge.errors import unknown
from emobridge.serve.messages import Answered, AnswerJobs, Failed, FromWorker, GiveUp, NotLoaded, NumberedJob, Ready
from emobridge.serve.pool import WaitingJob, Worker, WorkerPool
from emobridge.serve.records import (
    Answer,
    Busy,
    EngineError,
    EngineState,
    Job,
    Limits,
    Lost,
    Refused,
    ServedModel,
    SoundStream,
    StreamJob,
    TooLong,
)
from emobridge.serve.sources import ModelSource
from emobridge.serve.streams import WorkerStream
from emobridge.serve.worker import WorkerSetup
from emobridge.settings import Answering

TRIES = 2  # of a job: a worker may die of it
STREAM_RETRY = 5.0  # s: nobody knows how long streams go on
PACE_SMOOTHING = 0.2  # of the mean time of answers, that the latest one has
STOPPING = "the service is stopping"


class WorkerEngine:
    """Answers jobs in processes. It keeps the protocol `records.Engine`."""

    def __init__(self, sources: Sequence[ModelSource], limits: Limits | None = None, *, device: str = "auto") -> None:
        """device: where encoders compute, as `emobridge predict` has it."""
        self.limits = limits or Limits()
        threads = share_of_cores(self.limits.workers, spared=1)  # for this process
        setup = WorkerSetup(tuple(sources), self.limits, device, threads)
        self._pool = WorkerPool(setup, self._take, self._hand_out, self._ended)
        self._numbers = itertools.count(1)
        self._queue: deque[WaitingJob] = deque()
        self._seconds = 1.0  # that an answer takes, lately
        self._is_stopping = False
        self._changed = asyncio.Event()

    @property
    def models(self) -> tuple[ServedModel, ...]:
        """In the order in which they were given; the first is the default. Known after `start`."""
        return self._pool.models

    async def start(self) -> None:
        """Start the workers; returns when all are ready. Errors: UserError for models that cannot be loaded."""
        try:
            await self._pool.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Take no more jobs, let those under way end within `Limits.stop`, and end the workers."""
        self._is_stopping = True
        for stream in self._streams():
            if not stream.is_finishing:
                await stream.close(Lost(STOPPING))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.limits.stop
        while self._is_busy() and loop.time() < deadline:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), deadline - loop.time())
        under_way = [request for worker in self._pool.workers for request in worker.group.values()]
        for request in (*self._queue, *under_way):
            _settle(request, Lost(STOPPING))
        self._queue.clear()
        await self._pool.stop()

    async def answer(self, job: Job) -> Answer:
        """The answer to a job. A caller that is cancelled gives up its place. Errors: EngineError."""
        self.check_room(job.model)
        request = WaitingJob(next(self._numbers), job, asyncio.get_running_loop().create_future())
        self._queue.append(request)
        self._hand_out()
        try:
            answer: Answer = await request.answer
        except asyncio.CancelledError:
            self._give_up(request)
            raise
        return answer

    async def open_stream(self, job: StreamJob) -> SoundStream:
        """A stream of live sound. Errors: EngineError; Busy where `Limits.streams` are open."""
        self._check(job.model)
        if len(self._streams()) >= self.limits.streams or not self._pool.ready:
            raise Busy(STREAM_RETRY)
        worker = min(self._pool.ready, key=lambda worker: len(worker.streams))
        stream = WorkerStream(
            next(self._numbers),
            job,
            worker.process,
            patience=self.limits.request,
            on_stuck=lambda stream: self._stream_stuck(worker, stream),
            on_end=lambda stream: self._stream_ended(worker, stream),
        )
        worker.streams[stream.number] = stream
        try:
            await stream.opened()
        except BaseException:
            await stream.close()
            raise
        return stream

    def check_room(self, model: str) -> None:
        """Whether a job for a model would be taken now. Errors: Busy, Refused for an unknown model, Lost."""
        self._check(model)
        is_free = any(not worker.group for worker in self._pool.ready)
        if not is_free and len(self._queue) >= self.limits.waiting * self.limits.workers:
            raise Busy(self._seconds * (len(self._queue) + self._running()) / self.limits.workers)

    def state(self) -> EngineState:
        """How it does now."""
        pool, streams = self._pool, len(self._streams())
        ready = 0 if self._is_stopping else len(pool.ready)
        waiting = len(self._queue)
        return EngineState(
            self.limits.workers, ready, self._running(), waiting, streams, pool.restarts, pool.error
        )  # fmt: skip

    def _check(self, model: str) -> None:
        if self._is_stopping:
            raise Lost(STOPPING)
        if self._pool.error and not self._pool.ready:
            raise Lost(self._pool.error)
        names = [served.name for served in self.models]
        if model not in names:
            raise Refused(str(unknown("model", model, names)))

    def _running(self) -> int:
        return sum(len(worker.group) for worker in self._pool.workers)

    def _streams(self) -> list[WorkerStream]:
        return [stream for worker in self._pool.workers for stream in worker.streams.values()]

    def _is_busy(self) -> bool:
        return bool(self._queue or self._streams() or self._running())

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _hand_out(self) -> None:
        """Give each free worker the next jobs; where none will ever be free, no job waits."""
        for worker in self._pool.ready:
            if self._queue and not worker.group:
                self._give(worker, self._next_group(worker.at_once))
        while self._queue and self._pool.error and not self._pool.ready:
            _settle(self._queue.popleft(), Lost(self._pool.error))
        self._notify()

    def _next_group(self, most: int) -> list[WaitingJob]:
        """The first of the queue and, where it can be answered with others, those of the same model and settings."""
        first = self._queue.popleft()
        group = [first]
        for request in list(self._queue) if _goes_with_others(first) else ():
            is_like = request.job.model == first.job.model and request.job.settings == first.job.settings
            if len(group) < most and is_like and _goes_with_others(request):
                group.append(request)
                self._queue.remove(request)
        return group

    def _give(self, worker: Worker, requests: Sequence[WaitingJob]) -> None:
        loop = asyncio.get_running_loop()
        worker.group = {request.number: request for request in requests}
        worker.began, worker.timer = loop.time(), loop.call_later(self.limits.request, self._overdue, worker)
        jobs = (NumberedJob(request.number, request.job) for request in requests)
        worker.process.send(AnswerJobs(tuple(jobs)))

    def _take(self, worker: Worker, message: FromWorker) -> None:
        """Take what a worker sends."""
        assert not isinstance(message, (Ready, NotLoaded)), "the pool takes these"
        if isinstance(message, (Answered, Failed)) and message.number in worker.group:
            outcome = message.answer if isinstance(message, Answered) else message.error
            self._answered(worker, worker.group.pop(message.number), outcome)
        elif (stream := worker.streams.get(message.number)) and not isinstance(message, Answered):
            stream.take(message)

    def _answered(self, worker: Worker, request: WaitingJob, outcome: Answer | EngineError) -> None:
        now = asyncio.get_running_loop().time()
        self._seconds += PACE_SMOOTHING * (now - worker.began - self._seconds)
        worker.began, worker.has_answered = now, True
        _settle(request, outcome)
        if not worker.group:
            worker.stop_timer()
            self._hand_out()

    def _give_up(self, request: WaitingJob) -> None:
        """Nobody waits for a job any more."""
        if request in self._queue:
            self._queue.remove(request)
            self._notify()
        for worker in self._pool.workers:
            if request.number in worker.group:
                worker.process.send(GiveUp(request.number))

    def _ended(self, worker: Worker) -> None:
        """Put what a dead worker had to do back at the front of the queue, where it may be tried again."""
        for stream in list(worker.streams.values()):
            stream.end(Lost("the process that answered this stream died"))
        requests, worker.group = list(worker.group.values()), {}
        for request in reversed(requests):
            request.deaths += 1
            if worker.is_overdue and len(requests) == 1:
                _settle(request, TooLong(f"the answer took more than {self.limits.request:g} s"))
            elif self._is_stopping:
                _settle(request, Lost(STOPPING))
            elif request.deaths >= TRIES:
                _settle(request, Lost("the process that answered this recording died, and so did the next one"))
            elif not request.answer.done():
                self._queue.appendleft(request)
        self._hand_out()

    def _overdue(self, worker: Worker) -> None:
        """End a worker that is stuck with its jobs."""
        worker.is_overdue = True
        worker.process.kill()

    def _stream_stuck(self, worker: Worker, stream: WorkerStream) -> None:
        stream.end(TooLong(f"the stream was not answered for {self.limits.request:g} s"))
        worker.process.kill()

    def _stream_ended(self, worker: Worker, stream: WorkerStream) -> None:
        worker.streams.pop(stream.number, None)
        self._notify()


def _settle(request: WaitingJob, outcome: Answer | EngineError) -> None:
    """Give an answer, or an error, to who waits, if anybody does."""
    if request.answer.done():
        return
    if isinstance(outcome, Answer):
        request.answer.set_result(outcome)
    else:
        request.answer.set_exception(outcome)


def _goes_with_others(request: WaitingJob) -> bool:
    """Whether a job may be answered together with others: what may have ended a worker is tried alone."""
    settings = request.job.settings
    return isinstance(settings, Answering) and not settings.adapt_online and not request.deaths
