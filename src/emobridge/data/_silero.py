"""Speech segments by Silero VAD, a small network; package silero-vad, whose wheel holds the weights (extra `vad`)."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emobridge.types import SAMPLE_RATE

NETWORK_STEP = 512  # samples that the network takes at a time, 32 ms
# The network takes the onset of loud noise behind speech for speech, up to 0.7 s of it. What has no voice is none.
VOICE_LAGS = slice(SAMPLE_RATE // 400, SAMPLE_RATE // 75)  # samples: 75 to 400 Hz
VOICED = 0.4  # of a chunk's autocorrelation at the best lag; white noise reaches 0.25
LIKELY = 0.3  # probability of speech from which a chunk is looked at
LEAST_VOICED = 3  # chunks of a segment, 0.1 s
VOICELESS_EDGE = 3 * SAMPLE_RATE // 10  # samples of a segment before its first and after its last chunk with voice
ONE_AT_A_TIME = threading.Lock()  # the network has a state, and there is one network


def silero_segments(
    pieces: Iterable[NDArray[np.float32]], *, shortest: float, gap: float, padding: float
) -> list[tuple[int, int]]:
    """Speech segments of a recording, in samples: the library's own rule over the probabilities of 32 ms.

    shortest, gap, padding: in seconds. Errors: ImportError where the package is not installed.
    """
    package, network = _load()
    count = 0
    probabilities: list[float] = []
    voiced: list[bool] = []
    with ONE_AT_A_TIME, torch.inference_mode():
        network.reset_states()
        for chunk, size in _chunks(pieces):
            probabilities.append(float(network(torch.from_numpy(chunk), SAMPLE_RATE)))
            voiced.append(probabilities[-1] > LIKELY and _is_voiced(chunk))
            count += size
    segments = package.get_speech_timestamps_from_probs(
        probabilities,
        sampling_rate=SAMPLE_RATE,
        min_speech_duration_ms=round(1000 * shortest),
        min_silence_duration_ms=round(1000 * gap),
        speech_pad_ms=round(1000 * padding),
        audio_length_samples=count,
    )
    spans = [(int(segment["start"]), int(segment["end"])) for segment in segments]
    return [voice for span in spans if (voice := _with_voice(span, voiced)) is not None]


def _with_voice(span: tuple[int, int], voiced: Sequence[bool]) -> tuple[int, int] | None:
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


def _is_voiced(chunk: NDArray[np.float32]) -> bool:
    """Whether (NETWORK_STEP,) samples repeat themselves with the period of a voice."""
    spectrum = np.square(np.abs(np.fft.rfft(chunk - chunk.mean(), 2 * NETWORK_STEP)))
    correlation = np.fft.irfft(spectrum)[:NETWORK_STEP] / (NETWORK_STEP - np.arange(NETWORK_STEP))
    return bool(correlation[VOICE_LAGS].max() > VOICED * correlation[0] > 0)


def _chunks(pieces: Iterable[NDArray[np.float32]]) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Chunks of NETWORK_STEP samples, the last one padded with zeros, and how many of each are the recording's."""
    waiting = np.empty(0, dtype=np.float32)
    for piece in pieces:
        waiting = np.concatenate([waiting, piece])
        whole = len(waiting) // NETWORK_STEP * NETWORK_STEP
        for start in range(0, whole, NETWORK_STEP):
            yield waiting[start : start + NETWORK_STEP], NETWORK_STEP
        waiting = waiting[whole:]
    if len(waiting):
        yield np.pad(waiting, (0, NETWORK_STEP - len(waiting))), len(waiting)


@functools.cache
def _load() -> tuple[Any, Any]:
    """The package and its network. Importing the package takes torch to one thread; the number is put back."""
    threads = torch.get_num_threads()
    try:
        import silero_vad
    finally:
        torch.set_num_threads(threads)
    return silero_vad, silero_vad.load_silero_vad(onnx=False)
