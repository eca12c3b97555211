"""Audio that is decoded in threads while an accelerator computes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import numpy as np

from emobridge.data.audio import AudioError, read_utterance
from emobridge.types import Utterance

AHEAD_SECONDS = 1200.0  # of audio that is decoded and waits: 77 MB
THREADS = min(4, os.cpu_count() or 1)


class ReadAhead:
    """Within the block utterances are decoded before they are asked for, in threads that end with the block.

    `read` gives what `read_utterance` gives, errors too, each at its own utterance. Utterances are asked for in the
    order in which they were announced; some may be left out. In memory at once are at most `seconds` of audio, or one
    utterance.
    """

    def __init__(self, announced: Iterable[tuple[Utterance, float]], *, seconds: float = AHEAD_SECONDS) -> None:
        """announced: the utterances and their lengths in seconds."""
        self._announced = iter(announced)
        self._seconds, self._waiting_seconds = seconds, 0.0
        self._waiting: deque[tuple[Utterance, float, Future[np.ndarray]]] = deque()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="emobridge-decoder")

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(cancel_futures=True)  # waits for what is being decoded, a clip a thread

    def read(self, utterance: Utterance) -> np.ndarray:
        """The audio of an utterance. Errors: AudioError as `read_utterance`."""
        while self._waiting:
            announced, length, future = self._waiting.popleft()
            self._waiting_seconds -= length
            if announced is utterance:
                self._announce()
                error = future.exception()
                if error is None or isinstance(error, AudioError):
                    return future.result()
                return read_utterance(utterance)  # a thread was ended, or lacked memory: try where nothing else is
            future.cancel()
        for announced, _ in self._announced:
            if announced is utterance:
                break
        self._announce()
        return read_utterance(utterance)

    def _announce(self) -> None:
        """Give the threads as many utterances as may wait."""
        while not self._waiting or self._waiting_seconds < self._seconds:
            utterance, length = next(self._announced, (None, 0.0))
            if utterance is None:
                return
            self._waiting.append((utterance, length, self._threads.submit(read_utterance, utterance)))
            self._waiting_seconds += length
