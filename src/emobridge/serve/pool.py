"""The workers of an engine: as many as are wanted, and another one in the place of each that ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from emobridge.errors import UserError
from emobridge.serve.messages import End, FromWorker, NotLoaded, Ready
from emobridge.serve.process import WorkerProcess
from emobridge.serve.records import Job, ServedModel
from emobridge.serve.streams import WorkerStream
from emobridge.serve.worker import WorkerSetup

STARTS = 4  # of a worker in a row that fail, before it is given up
START_PAUSE, LONGEST_START_PAUSE = 0.5, 10.0  # s before a further start, which double
SETTLING_SECONDS = 30.0  # s after which a worker that ends with nothing to do has not failed at its start


@dataclass(eq=False)
class WaitingJob:
    """A job that somebody waits for."""

    number: int
    job: Job
    answer: asyncio.Future[Any]
    deaths: int = 0  # of workers that had it


@dataclass(eq=False)
class Worker:
    """A process, and what it has to do."""

    first: asyncio.Future[Ready | NotLoaded | None]  # its first message; None where it ended before
    process: WorkerProcess = field(init=False)
    starting: asyncio.Task[None] = field(init=False)
    at_once: int = 1  # jobs that it answers faster together
    since: float = 0.0  # s of the loop's clock: when it was ready
    began: float = 0.0  # and when it began with what it answers now
    has_answered: bool = False
    is_overdue: bool = False  # with a job
    failed: bool = False  # it ended soon, with nothing to do
    group: dict[int, WaitingJob] = field(default_factory=dict)
    streams: dict[int, WorkerStream] = field(default_factory=dict)
    timer: asyncio.TimerHandle | None = None

    def stop_timer(self) -> None:
        """Forget when its job is overdue."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class WorkerPool:
    """Workers, those that are ready and those that start or end.

    on_message: gets a worker and what it sends. on_ready: is called when another worker is ready, or when none will be.
    on_end: gets a worker whose process is no more, with what it had to do.
    """

    def __init__(
        self,
        setup: WorkerSetup,
        on_message: Callable[[Worker, FromWorker], None],
        on_ready: Callable[[], None],
        on_end: Callable[[Worker], None],
    ) -> None:
        self.setup, self.on_message, self.on_ready, self.on_end = setup, on_message, on_ready, on_end
        self.models: tuple[ServedModel, ...] = ()
        self.ready: list[Worker] = []
        self.workers: set[Worker] = set()  # whose processes there are
        self.restarts = 0
        self.error = ""  # why no worker starts any more
        self._keepers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the workers; returns when all are ready. Errors: UserError for models that cannot be loaded."""
        first = await self._started()  # alone: others would make the same files in the cache
        others = await asyncio.gather(*(self._started() for _ in range(self.setup.limits.workers - 1)))
        self._keepers = [asyncio.create_task(self._keep(worker)) for worker in (first, *others)]

    async def stop(self) -> None:
        """End all workers, those with something to do at once."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.gather(*(self._end(worker) for worker in list(self.workers)))

    async def _started(self) -> Worker:
        """A new worker with its models. Errors: UserError where they cannot be loaded, and where it always ends."""
        for failures in range(STARTS):
            if failures:
                await asyncio.sleep(_pause(failures))
            worker = self._new_worker()
            await asyncio.shield(worker.starting)
            message = await worker.first
            if isinstance(message, Ready):
                self.models, worker.at_once = message.models, message.at_once
                worker.since = asyncio.get_running_loop().time()
                self.ready.append(worker)
                self.on_ready()
                return worker
            await worker.process.wait()
            if isinstance(message, NotLoaded):
                raise UserError(message.reason)
        how = worker.process.how_it_ended
        raise UserError(f"the process that loads the models ended {STARTS} times before it was ready ({how})")

    def _new_worker(self) -> Worker:
        worker = Worker(asyncio.get_running_loop().create_future())
        worker.process = WorkerProcess(
            self.setup, lambda message: self._take(worker, message), lambda: self._ended(worker)
        )
        worker.starting = asyncio.create_task(worker.process.start())
        self.workers.add(worker)
        return worker

    def _take(self, worker: Worker, message: FromWorker) -> None:
        if isinstance(message, (Ready, NotLoaded)):
            worker.first.set_result(message)
        else:
            self.on_message(worker, message)

    async def _keep(self, worker: Worker) -> None:
        """Have a new worker in the place of each that ends, until none starts any more."""
        failures = 0
        while True:
            await worker.process.ended.wait()
            failures = failures + 1 if worker.failed else 0
            try:
                if failures >= STARTS:
                    how = worker.process.how_it_ended
                    raise UserError(f"the process that answers ended {STARTS} times with nothing to do ({how})")
                if failures:
                    await asyncio.sleep(_pause(failures))
                self.restarts += 1
                worker = await self._started()
            except UserError as error:
                self.error = str(error)
                self.on_ready()
                return

    def _ended(self, worker: Worker) -> None:
        """A process is no more."""
        self.workers.discard(worker)
        if worker in self.ready:
            self.ready.remove(worker)
        if not worker.first.done():
            worker.first.set_result(None)
        is_early = asyncio.get_running_loop().time() - worker.since < SETTLING_SECONDS and not worker.has_answered
        worker.failed = is_early and not worker.group and not worker.streams
        worker.stop_timer()
        self.on_end(worker)

    async def _end(self, worker: Worker) -> None:
        await asyncio.gather(worker.starting, return_exceptions=True)
        if worker in self.ready and not worker.group:
            worker.process.send(End())
        else:
            worker.process.kill()
        await worker.process.wait()


def _pause(failures: int) -> float:
    """Seconds before a further start."""
    return min(START_PAUSE * 2.0 ** (failures - 1), LONGEST_START_PAUSE)
