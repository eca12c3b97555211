"""A worker process: it holds the models, answers one group of jobs after the other, and streams between their parts.

Three kinds of threads: the main one answers jobs, one reads what the engine sends, and each stream has its own. One at
a time computes; who has waited longest comes next.
"""

from __future__ import annotations

import itertools
import os
import queue
import signal
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from emobridge.parts import remove_parts
from emobridge.serve.messages import (
    MESSAGE_SIZE,
    Answered,
    AnswerJobs,
    End,
    Failed,
    FromWorker,
    GiveUp,
    NotLoaded,
    NumberedJob,
    OpenStream,
    Ready,
    packed,
    unpacked,
)
from emobridge.serve.records import Answer, Limits, Lost
from emobridge.serve.sources import ModelSource
from emobridge.serve.turns import Turns

PRELOADED = "EMOBRIDGE_PRELOADED"  # the environment of the process that workers are forked from: sources as JSON


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """What a worker begins with."""

    sources: tuple[ModelSource, ...]
    limits: Limits
    device: str
    threads: int  # of its large encoders


def run_worker(connection: socket.socket, setup: WorkerSetup) -> None:
    """The main function of the process. It ends when the engine says so, or is no more."""
    ignore_signals()
    _Worker(connection, setup).run()


def ignore_signals() -> None:
    """Leave SIGINT and SIGTERM to the process that serves: they may be sent to all, and answers are under way."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


class _Worker:
    def __init__(self, connection: socket.socket, setup: WorkerSetup) -> None:
        self.connection, self.setup = connection, setup
        self.turns = Turns()
        self._groups: queue.SimpleQueue[Sequence[NumberedJob] | None] = queue.SimpleQueue()
        self._waited_for: set[int] = set()  # numbers of jobs
        self._streams: dict[int, Any] = {}  # streaming.LiveStream by number
        self._sending = threading.Lock()

    def run(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()
        loaded = self._load()
        if loaded is None:
            return
        self.models, about = loaded
        self.send(about)
        while (group := self._groups.get()) is not None:
            with self.turns:
                self._answer(group)

    def send(self, message: FromWorker) -> None:
        """Send a message; every thread may."""
        with self._sending:
            self.connection.sendall(packed(message))

    def _load(self) -> tuple[dict[str, Any], Ready] | None:
        from emobridge.data.threads import take_cores
        from emobridge.errors import UserError
        from emobridge.serve.models import jobs_at_once, load_models, try_models

        take_cores(self.setup.threads)
        try:
            models = load_models(self.setup.sources, self.setup.device)
            try_models(list(models.values()))
        except UserError as error:
            self.send(NotLoaded(str(error)))
            return None
        return models, Ready(tuple(model.about for model in models.values()), jobs_at_once(list(models.values())))

    def _answer(self, group: Sequence[NumberedJob]) -> None:
        from emobridge.serve.answering import GivenUp, answers_to

        def go_on(done: int, total: int) -> None:
            if not any(numbered.number in self._waited_for for numbered in group):
                raise GivenUp
            self.turns.let_others()

        jobs = [numbered.job for numbered in group]
        try:
            go_on(0, 1)
            answers = answers_to(self.models[jobs[0].model], jobs, self.setup.limits, go_on)
        except GivenUp:
            answers = []
        for numbered, answer in itertools.zip_longest(group, answers):
            self._waited_for.discard(numbered.number)
            if isinstance(answer, Answer):
                self.send(Answered(numbered.number, answer))
            else:
                self.send(Failed(numbered.number, answer or Lost("given up")))

    def _read(self) -> None:
        with self.connection.makefile("rb") as file:
            while (message := _next_message(file)) is not None:
                self._take(message)
        remove_parts()
        os._exit(0)  # whoever asked is no more

    def _take(self, message: Any) -> None:
        if isinstance(message, AnswerJobs):
            self._waited_for.update(numbered.number for numbered in message.jobs)
            self._groups.put(message.jobs)
        elif isinstance(message, GiveUp):
            self._waited_for.discard(message.number)
        elif isinstance(message, OpenStream):
            self._open(message)
        elif isinstance(message, End):
            self._groups.put(None)
        elif message.number in self._streams:
            self._streams[message.number].take(message)

    def _open(self, message: OpenStream) -> None:
        from emobridge.serve.streaming import LiveStream

        stream = LiveStream(message, self.models[message.job.model], self.turns, self.send, self._streams.pop)
        self._streams[message.number] = stream
        stream.start()


def _next_message(file: BinaryIO) -> Any:
    """The next message; None where the other end is closed."""
    size = file.read(MESSAGE_SIZE.size)
    if len(size) < MESSAGE_SIZE.size:
        return None
    content = file.read(MESSAGE_SIZE.unpack(size)[0])
    return unpacked(content)
