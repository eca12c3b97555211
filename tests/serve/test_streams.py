"""A stream as the engine has it: what may be under way is bounded, and an end reaches whoever waits."""

from __future__ import annotations

import asyncio

import pytest

from emobridge.serve import streams
from emobridge.serve.messages import (
    CloseStream,
    Consumed,
    Failed,
    FinishStream,
    OpenStream,
    SoundBytes,
    StreamAnswer,
    StreamEnded,
    StreamOpened,
)
from emobridge.serve.records import Lost, Refused, StreamJob
from emobridge.serve.streams import PIECE, WorkerStream
from emobridge.settings import Live
from emobridge.types import Prediction

JOB = StreamJob("m", Live())  # 16 kHz, two bytes a sample


class Recorder:
    """A worker that only takes notes."""

    def __init__(self):
        self.sent = []
        self.stuck, self.ended = [], []
        self.send = self.sent.append

    def stream(self, job=JOB, patience=60.0):
        return WorkerStream(
            7, job, self, patience=patience, on_stuck=self.stuck.append, on_end=self.ended.append
        )  # fmt: skip

    @property
    def bytes_sent(self):
        return sum(len(message.samples) for message in self.sent if isinstance(message, SoundBytes))


def answer(number):
    return StreamAnswer(7, Prediction("stream", number, number + 1, ("a", "b"), (0.5, 0.5)))


def run(test):
    asyncio.run(asyncio.wait_for(test, 20))


def test_sound_waits_while_the_worker_is_behind():
    async def test():
        worker = Recorder()
        stream = worker.stream()
        stream.take(StreamOpened(7))
        await stream.opened()
        sending = asyncio.create_task(stream.send(bytes(10 * PIECE)))
        await asyncio.sleep(0)
        assert worker.bytes_sent == PIECE  # 4 s are 128,000 bytes: no second piece fits
        while not sending.done():
            before = worker.bytes_sent
            stream.take(Consumed(7, PIECE))
            await asyncio.sleep(0.001)
            assert worker.bytes_sent <= before + PIECE
        assert worker.bytes_sent == 10 * PIECE and worker.sent[0] == OpenStream(7, JOB)

    run(test())


def test_a_single_byte_is_sent():
    async def test():
        worker = Recorder()
        stream = worker.stream()
        await stream.send(b"x")
        await stream.send(b"")
        assert [message.samples for message in worker.sent[1:]] == [b"x"]

    run(test())


def test_sound_waits_while_nobody_takes_the_answers(monkeypatch):
    monkeypatch.setattr(streams, "MOST_ANSWERS", 2)

    async def test():
        worker = Recorder()
        stream = worker.stream()
        stream.take(answer(0))
        stream.take(answer(1))
        sending = asyncio.create_task(stream.send(b"xx"))
        await asyncio.sleep(0.01)
        assert not sending.done()
        assert (await anext(stream.answers())).start == 0
        await sending
        assert worker.bytes_sent == 2

    run(test())


def test_the_last_answers_come_before_the_end():
    async def test():
        worker = Recorder()
        stream = worker.stream()
        await stream.send(b"xx")
        await stream.finish()
        await stream.finish()
        assert worker.sent.count(FinishStream(7)) == 1
        for message in (answer(0), answer(1), StreamEnded(7)):
            stream.take(message)
        assert [row.start async for row in stream.answers()] == [0, 1]
        assert worker.ended == [stream] and not worker.stuck
        await stream.send(b"late")  # to nobody
        await stream.close()
        assert CloseStream(7) not in worker.sent

    run(test())


def test_an_error_reaches_who_opens_sends_finishes_and_listens():
    async def test():
        stream = Recorder().stream()
        opening = asyncio.create_task(stream.opened())
        await asyncio.sleep(0)
        stream.take(Failed(7, Refused("stream: no")))
        for waiting in (opening, stream.send(b"x"), stream.finish(), anext(stream.answers())):
            with pytest.raises(Refused, match="stream: no"):
                await waiting

    run(test())


def test_answers_before_an_error_are_not_lost():
    async def test():
        stream = Recorder().stream()
        stream.take(answer(0))
        stream.end(Lost("died"))
        rows = stream.answers()
        assert (await anext(rows)).start == 0
        with pytest.raises(Lost, match="died"):
            await anext(rows)

    run(test())


def test_closing_frees_who_waits_and_is_done_once():
    async def test():
        worker = Recorder()
        stream = worker.stream()
        await stream.send(bytes(PIECE))
        sending = asyncio.create_task(stream.send(bytes(PIECE)))
        await asyncio.sleep(0)
        await stream.close()
        await stream.close()
        await sending
        assert [row async for row in stream.answers()] == []
        assert worker.sent.count(CloseStream(7)) == 1 and worker.ended == [stream]

    run(test())


def test_a_worker_without_a_sign_is_stuck_and_an_idle_one_is_not():
    async def test():
        worker = Recorder()
        stream = worker.stream(patience=0.02)
        await asyncio.sleep(0.05)
        assert worker.stuck == [stream]  # it was never opened
        idle = worker.stream(patience=0.02)
        idle.take(StreamOpened(7))
        await idle.send(b"xx")
        idle.take(Consumed(7, 2))
        await asyncio.sleep(0.05)
        assert worker.stuck == [stream]
        await idle.finish()
        await asyncio.sleep(0.05)
        assert worker.stuck == [stream, idle]

    run(test())
