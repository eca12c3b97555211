"""A service without models: an engine that answers at once, for the tests of all that speaks HTTP."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import numpy as np
import soundfile

from emobridge.data.audio import AudioError, duration, read_audio, stated_seconds
from emobridge.diarization.pcm import SCALES
from emobridge.serve.records import Answer, Busy, EngineState, Limits, Lost, Refused, ServedModel, TooLong
from emobridge.types import Prediction

LABELS = ("anger", "neutral")
MODELS = (
    ServedModel("de", "recogniser", LABELS, ("arousal",), ("de",), "logmel", False),
    ServedModel("calls", "diarizer", LABELS, (), ("de", "en"), "wavlm", True),
)


def sound(seconds, form="WAV"):
    """The bytes of a tone of some seconds in a format."""
    rate = 16_000
    samples = 0.1 * np.sin(np.arange(round(seconds * rate)) * 0.1)
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form)
    return file.getvalue()


class FakeEngine:
    """Answers with the length of the recording. It keeps the protocol `records.Engine`.

    error: is raised instead of an answer. slow: an answer comes only when it is set. jobs: what it was asked.
    """

    def __init__(self, limits=None):
        self.limits, self.models = limits or Limits(), MODELS
        self.jobs, self.stream_jobs, self.streams = [], [], []
        self.error, self.slow, self.cancelled, self.is_ready = None, None, 0, True
        self.open_streams = 0

    async def start(self):
        self.is_ready = True

    async def stop(self):
        self.is_ready = False

    def check_room(self, model):
        if isinstance(self.error, Busy):
            raise self.error

    async def answer(self, job):
        self.jobs.append((job, Path(job.path).read_bytes()))
        if self.error is not None:
            raise self.error
        if self.slow is not None:
            try:
                await self.slow.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        if job.language == "xx":
            raise Refused("unknown language 'xx'")
        try:
            seconds = stated_seconds(job.path) or 0.0
            if seconds <= self.limits.duration:
                seconds = duration(job.path)
            if seconds > self.limits.duration:
                raise TooLong(f"{seconds:g} s of sound; this service takes {self.limits.duration:g}")
            read_audio(job.path)
        except AudioError as error:
            raise Refused(f"{job.name}: {str(error).partition(': ')[2]}") from error
        row = Prediction(
            job.name, 0.0, min(seconds, 0.5), LABELS, (0.75, 0.25), path=job.name, language=job.language or "und"
        )
        return Answer((row,), seconds, ("a note",))

    async def open_stream(self, job):
        if self.open_streams >= self.limits.streams:
            raise Busy(5.0)
        if self.error is not None:
            raise self.error
        self.open_streams += 1
        self.stream_jobs.append(job)
        self.streams.append(FakeStream(self, job))
        return self.streams[-1]

    def state(self):
        return EngineState(1, int(self.is_ready), 0, 0, self.open_streams, 0, "" if self.is_ready else "broken")


class FakeStream:
    """Answers each stretch of `every` seconds."""

    def __init__(self, engine, job):
        self.engine, self.job, self.sound, self.answered, self.closed = engine, job, 0, 0, False
        self.changed, self.ended = asyncio.Event(), False
        self.bytes_per_second = job.rate * job.channels * int(SCALES[job.encoding][0][-1])

    async def send(self, samples):
        if samples == b"die!":
            raise Lost("the process that answered this stream died")
        self.sound += len(samples)
        self.changed.set()

    async def finish(self):
        self.ended = True
        self.changed.set()

    async def answers(self):
        every = self.job.settings.every
        while True:
            while (self.answered + 1) * every <= self.sound / self.bytes_per_second:
                start = self.answered * every
                self.answered += 1
                yield Prediction("live", start, start + every, LABELS, (0.25, 0.75))
            if self.ended:
                return
            await self.changed.wait()
            self.changed.clear()

    async def close(self):
        if not self.closed:
            self.closed = True
            self.engine.open_streams -= 1
