"""A stream of live sound in a worker process: a thread of its own, which computes in its turns."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeAlias

from emobridge.diarization.base import FrameModel
from emobridge.diarization.live import live_answers, mono_pieces
from emobridge.diarization.pcm import SCALES, pcm_blocks
from emobridge.diarization.windowed import WindowedRecognizer
from emobridge.errors import UserError, unknown
from emobridge.serve.answering import failure_of, spoken_language
from emobridge.serve.messages import (
    CloseStream,
    Consumed,
    Failed,
    FinishStream,
    FromWorker,
    OpenStream,
    SoundBytes,
    StreamAnswer,
    StreamEnded,
    StreamOpened,
)
from emobridge.serve.models import LoadedModel
from emobridge.serve.records import StreamJob
from emobridge.serve.turns import Turns
from emobridge.types import Utterance

LIVE_CHANNELS = 32
Inbox: TypeAlias = "queue.SimpleQueue[SoundBytes | FinishStream | CloseStream]"


class _Closed(Exception):
    """Nobody waits for answers any more."""


class LiveStream:
    """Answers the sound of one stream, until it is finished or closed."""

    def __init__(
        self,
        opening: OpenStream,
        loaded: LoadedModel,
        turns: Turns,
        send: Callable[[FromWorker], None],
        on_end: Callable[[int], object],
    ) -> None:
        """send: takes messages from any thread. on_end: gets the number of the stream when it is over."""
        self.number, self.job, self.loaded = opening.number, opening.job, loaded
        self.turns, self.send, self.on_end = turns, send, on_end
        self._inbox: Inbox = queue.SimpleQueue()
        self._is_closed = False

    def start(self) -> None:
        """Begin, in a thread of its own."""
        threading.Thread(target=self._run, daemon=True).start()

    def take(self, message: SoundBytes | FinishStream | CloseStream) -> None:
        """Take what the engine sends, from another thread."""
        self._is_closed |= isinstance(message, CloseStream)
        self._inbox.put(message)

    def _run(self) -> None:
        try:
            with self.turns:
                model = frame_model_for(self.loaded, self.job)
                self.send(StreamOpened(self.number))
                self._answer(model)
            self.send(StreamEnded(self.number))
        except _Closed:
            pass
        except Exception as error:
            failure = failure_of(error, "stream")
            self.send(Failed(self.number, type(failure)(str(failure).replace("standard input", "stream"))))
        finally:
            self.on_end(self.number)

    def _answer(self, model: FrameModel) -> None:
        job = self.job
        pieces = mono_pieces(pcm_blocks(self._reads(), job.encoding, job.channels), job.rate)
        for answer in live_answers(model, pieces, job.settings, name="stream"):
            if self._is_closed:
                raise _Closed
            self.send(StreamAnswer(self.number, answer))
            self.turns.let_others()

    def _reads(self) -> Iterator[bytes]:
        """The bytes as they come; others have their turn meanwhile. Errors: _Closed."""
        while True:
            self.turns.give_back()
            try:
                message = self._inbox.get()
            finally:
                self.turns.take()
            if self._is_closed:
                raise _Closed
            if not isinstance(message, SoundBytes):
                return
            self.send(Consumed(self.number, len(message.samples)))
            yield message.samples


def frame_model_for(loaded: LoadedModel, job: StreamJob) -> FrameModel:
    """What answers a stream. Errors: UserError for a language, an encoding, or channels that cannot be answered."""
    if job.encoding not in SCALES:
        raise unknown("encoding", job.encoding, SCALES)
    if not 1 <= job.channels <= LIVE_CHANNELS:
        raise UserError(f"channels: expected 1 to {LIVE_CHANNELS}, got {job.channels}")
    next(mono_pieces((), job.rate), None)  # which checks the rate
    model = loaded.frame_model
    language = spoken_language(loaded, job.language)
    if job.language is not None and isinstance(model, WindowedRecognizer):
        return model.answering(Utterance("stream", "", "", language=language), model.longest)
    return model
