"""An engine for tests of what stands before it: it tells how loud the sound is, in the process of the test."""

from __future__ import annotations

import asyncio

import numpy as np
from frame_models import LoudModel

from emobridge.data.audio import AudioError, duration
from emobridge.diarization.live import live_answers, mono_pieces
from emobridge.diarization.pcm import SCALES
from emobridge.diarization.timeline import diarize
from emobridge.serve.records import Answer, Busy, EngineState, Job, Refused, ServedModel, StreamJob
from emobridge.types import Utterance


class LoudEngine:
    """Answers with a LoudModel.

    refusals: errors that the next jobs get, one each. is_checked: whether Busy comes before an upload is read. wait:
    before each answer, in s.
    """

    models = (
        ServedModel("loud", "diarizer", LoudModel.labels, (), ("de", "it"), "logmel", True),
        ServedModel("second", "recogniser", LoudModel.labels, (), (), "logmel", False),
    )

    def __init__(self):
        self.refusals, self.jobs, self.wait, self.is_checked = [], [], 0.0, False

    async def start(self):
        """Nothing is to be started."""

    async def stop(self):
        """Nothing is to be ended."""

    def check_room(self, model: str) -> None:
        """Errors: Busy, as the next job gets."""
        if self.refusals and isinstance(self.refusals[0], Busy) and self.is_checked:
            raise self.refusals.pop(0)

    async def answer(self, job: Job) -> Answer:
        self.jobs.append(job)
        if self.refusals:
            raise self.refusals.pop(0)
        await asyncio.sleep(self.wait)
        utterance = Utterance(job.name, "upload", job.path, language=job.language or "und")
        try:
            rows = tuple(diarize(LoudModel(), [utterance], job.settings))
            return Answer(rows, duration(job.path), ("a note",))
        except AudioError as error:
            raise Refused(str(error).replace(job.path, job.name)) from error

    async def open_stream(self, job: StreamJob) -> LoudStream:
        self.jobs.append(job)
        if self.refusals:
            raise self.refusals.pop(0)
        return LoudStream(job)

    def state(self) -> EngineState:
        return EngineState(1, 1, 0, 0, 0, 0)


class LoudStream:
    """Answers the sound of each second that came."""

    def __init__(self, job: StreamJob):
        self.job, self.bytes, self.rows = job, b"", asyncio.Queue()
        self.sent = 0

    async def send(self, samples: bytes) -> None:
        self.bytes += samples
        await self._answer(whole=False)

    async def finish(self) -> None:
        await self._answer(whole=True)
        await self.rows.put(None)

    async def _answer(self, *, whole: bool) -> None:
        """Put the answers that were not given yet; whole: that of the last, shorter stretch too."""
        kind, scale = SCALES[self.job.encoding]
        sound = np.frombuffer(self.bytes, kind).astype(np.float32) * np.float32(scale)
        if not whole:
            second = round(self.job.settings.every * self.job.rate)
            sound = sound[: len(sound) // second * second]
        if not len(sound):
            return
        pieces = mono_pieces([sound.reshape(-1, self.job.channels)], self.job.rate)
        for row in list(live_answers(LoudModel(), pieces, self.job.settings))[self.sent :]:
            self.sent += 1
            await self.rows.put(row)

    async def answers(self):
        while (row := await self.rows.get()) is not None:
            yield row

    async def close(self) -> None:
        """Nothing is to be given back."""
