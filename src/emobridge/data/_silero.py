"""Speech segments by Silero VAD, a small network; package silero-vad, whose wheel holds the weights (extra `vad`)."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emobridge.types import SAMPLE_RATE

NETWORK_STEP = 512  # samples that the network takes at a time, 32 ms
CONTEXT = 64  # samples before them that it looks at too
BLOCK = 512  # chunks that are computed together, 16 s
FEW = 24  # chunks, 0.8 s, where a little speech is enough
# The network takes the onset of loud noise behind speech for speech, up to 0.7 s of it. What has no voice is none.
VOICE_LAGS = slice(SAMPLE_RATE // 400, SAMPLE_RATE // 75)  # samples: 75 to 400 Hz
VOICED = 0.4  # of a chunk's autocorrelation at the best lag; white noise reaches 0.25
LIKELY = 0.3  # probability of speech from which a chunk is looked at
LEAST_VOICED = 3  # chunks of a segment, 0.1 s
VOICELESS_EDGE = 3 * SAMPLE_RATE // 10  # samples of a segment before its first and after its last chunk with voice
ONE_AT_A_TIME = threading.Lock()  # the network has a state, and there is one network


def silero_segments(
    pieces: Iterable[NDArray[np.float32]], *, shortest: float, gap: float, padding: float, enough: float = math.inf
) -> list[tuple[int, int]]:
    """Speech segments of a recording, in samples: the library's own rule over the probabilities of 32 ms.

    shortest, gap, padding: in seconds. enough: in seconds; where a beginning of the recording is sure to hold as much
    speech, whatever follows, its segments alone are returned, and the network computes no more.
    Errors: ImportError where the package is not installed.
    """
    package, network = _load()
    rule = {
        "min_speech_duration_ms": round(1000 * shortest),
        "min_silence_duration_ms": round(1000 * gap),
        "speech_pad_ms": round(1000 * padding),
    }
    silent = math.ceil(gap * SAMPLE_RATE / NETWORK_STEP) + 1  # chunks that end a segment
    count = 0
    probabilities: list[float] = []
    voiced: list[np.bool_] = []

    def segments_if(silent: int) -> list[tuple[int, int]]:
        """The segments of what was computed, if so many silent chunks come next."""
        segments = package.get_speech_timestamps_from_probs(
            [*probabilities, *[0.0] * silent],
            sampling_rate=SAMPLE_RATE,
            audio_length_samples=count + silent * NETWORK_STEP,
            **rule,
        )
        spans = [(int(segment["start"]), min(int(segment["end"]), count)) for segment in segments]
        return [voice for span in spans if (voice := _with_voice(span, voiced)) is not None]

    with ONE_AT_A_TIME:
        network.reset()
        for chunks, size in _chunks(pieces, BLOCK if enough == math.inf else FEW):
            likely = network.probabilities(chunks)
            probabilities += likely.tolist()
            voiced += _are_voiced(chunks, likely > LIKELY)
            count += size
            if enough < math.inf and (likely > LIKELY).any():
                certain = segments_if(silent)  # what follows can only make them longer, or more
                if sum(end - start - 2 * padding * SAMPLE_RATE for start, end in certain) >= enough * SAMPLE_RATE:
                    return certain
    return segments_if(0)


class _Network:
    """The network by torch, a chunk at a time."""

    def __init__(self, network: Any) -> None:
        self.network = network

    def reset(self) -> None:
        """Forget what was heard: a new recording begins."""
        self.network.reset_states()

    def probabilities(self, chunks: NDArray[np.float32]) -> NDArray[np.float32]:
        """(K, NETWORK_STEP) samples, which go on from those before -> (K,) probabilities of speech."""
        with torch.inference_mode():
            values = [float(self.network(torch.from_numpy(chunk), SAMPLE_RATE)) for chunk in chunks]
        return np.asarray(values, dtype=np.float32)


class _Sequence(_Network):
    """The same network by ONNX Runtime, all chunks of a block at once: a seventh of the time, equal to 1e-5."""

    def reset(self) -> None:
        self.context = np.zeros(CONTEXT, dtype=np.float32)
        self.state = [np.zeros((1, 1, 128), dtype=np.float32)] * 2

    def probabilities(self, chunks: NDArray[np.float32]) -> NDArray[np.float32]:
        before = np.concatenate([self.context[None], chunks[:-1, -CONTEXT:]])
        inputs = {"input": np.concatenate([before, chunks], 1), "h": self.state[0], "c": self.state[1]}
        values, *self.state = self.network.session.run(["speech_probs", "hn", "cn"], inputs)
        self.context = chunks[-1, -CONTEXT:].copy()
        return np.asarray(values, dtype=np.float32)


def _with_voice(span: tuple[int, int], voiced: Sequence[np.bool_]) -> tuple[int, int] | None:
    """The samples of a segment from its first voice to its last, and VOICELESS_EDGE about them; None without a voice.

    Words begin and end without a voice for less than that, and loud noise behind a word goes on.
    """
    start, end = span
    first = start // NETWORK_STEP
    chunks = [first + index for index, voice in enumerate(voiced[first : end // NETWORK_STEP + 1]) if voice]
    if len(chunks) < LEAST_VOICED:
        return None
    begin, stop = chunks[0] * NETWORK_STEP - VOICELESS_EDGE, (chunks[-1] + 1) * NETWORK_STEP + VOICELESS_EDGE
    return max(start, begin), min(end, stop)


def _are_voiced(chunks: NDArray[np.float32], likely: NDArray[np.bool_]) -> list[np.bool_]:
    """Of (K, NETWORK_STEP) samples, whether those of likely speech repeat themselves with the period of a voice."""
    voiced = np.zeros(len(chunks), dtype=bool)
    looked_at = chunks[likely]
    if len(looked_at):
        centred = looked_at - looked_at.mean(1, keepdims=True)
        spectrum = np.square(np.abs(np.fft.rfft(centred, 2 * NETWORK_STEP)))
        correlation = np.fft.irfft(spectrum)[:, :NETWORK_STEP] / (NETWORK_STEP - np.arange(NETWORK_STEP))
        least = VOICED * correlation[:, 0]
        voiced[likely] = (correlation[:, VOICE_LAGS].max(1) > least) & (least > 0)
    return list(voiced)


def _chunks(pieces: Iterable[NDArray[np.float32]], block: int) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Blocks (K, NETWORK_STEP) of samples, and how many of each block are the recording's.

    K is `block`, but for the last one, whose last chunk is padded with zeros.
    """
    waiting = np.empty(0, dtype=np.float32)
    for piece in pieces:
        waiting = np.concatenate([waiting, piece])
        while len(waiting) > block * NETWORK_STEP:
            yield waiting[: block * NETWORK_STEP].reshape(block, NETWORK_STEP), block * NETWORK_STEP
            waiting = waiting[block * NETWORK_STEP :]
    if len(waiting):
        padded = np.pad(waiting, (0, -len(waiting) % NETWORK_STEP))
        yield padded.reshape(-1, NETWORK_STEP), len(waiting)


@functools.cache
def _load() -> tuple[Any, _Network]:
    """The package and its network. Importing the package takes torch to one thread; the number is put back."""
    threads = torch.get_num_threads()
    try:
        import silero_vad
    finally:
        torch.set_num_threads(threads)
    try:
        return silero_vad, _Sequence(silero_vad.load_silero_vad(onnx=True, sequence=True))
    except (ImportError, TypeError):  # no ONNX Runtime, or a version of the package without sequences
        return silero_vad, _Network(silero_vad.load_silero_vad(onnx=False))
