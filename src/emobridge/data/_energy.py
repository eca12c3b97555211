"""Speech segments by a rule that needs no model: loud, moving and voiced."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft
from scipy.ndimage import maximum_filter1d, minimum_filter1d, uniform_filter1d

from emobridge.types import SAMPLE_RATE

HOP, WINDOW, FFT = 160, 640, 1024  # samples: 10 ms, 40 ms (three periods of a low voice)
FRAMES = 1000  # frames at a time
FRAME_RATE = SAMPLE_RATE // HOP
FAINTEST = -65.0  # dB of full scale
RANGE = 25.0  # dB below the loudest frame about it
NEAR = 100  # frames on either side that "about it" means
STEADY = 3.0  # dB; range of the levels over STEADY_FRAMES that no syllables leave
STEADY_FRAMES = 40
PITCH = (70, 400)  # Hz
VOICED = 0.5  # of the autocorrelation at the best lag
LEAST_VOICED = 0.15  # s of a segment


def energy_segments(
    pieces: Iterable[NDArray[np.float32]], *, shortest: float, gap: float, padding: float
) -> list[tuple[int, int]]:
    """Speech segments of a recording, in samples. shortest, gap, padding: in seconds."""
    levels, voiced, count = _measure(pieces)
    if not count:
        return []
    smooth = uniform_filter1d(levels, 3, mode="nearest")
    loudest = maximum_filter1d(smooth, 2 * NEAR + 1, mode="nearest")
    loud = (smooth > loudest - RANGE) & (smooth > FAINTEST)
    spread = maximum_filter1d(smooth, STEADY_FRAMES, mode="nearest") - minimum_filter1d(
        smooth, STEADY_FRAMES, mode="nearest"
    )
    steady = maximum_filter1d((spread < STEADY).astype(np.int8), STEADY_FRAMES, origin=-1, mode="constant") > 0
    active = loud & ~steady
    runs = _close(_runs(active), round(gap * FRAME_RATE))
    kept = [
        (first, last)
        for first, last in runs
        if last - first >= shortest * FRAME_RATE and voiced[first:last].sum() >= LEAST_VOICED * FRAME_RATE
    ]
    return _pad(kept, round(padding * SAMPLE_RATE), count)


def _measure(pieces: Iterable[NDArray[np.float32]]) -> tuple[NDArray[np.float64], NDArray[np.bool_], int]:
    levels, voiced, count = [], [], 0
    for block, size in _blocks(pieces):
        frames = np.lib.stride_tricks.sliding_window_view(block, WINDOW)[::HOP]
        frames = frames - frames.mean(1, keepdims=True)
        power = np.square(frames, dtype=np.float64).mean(1)
        emphasised = np.diff(frames, axis=1) * TAPER
        spectrum = np.square(np.abs(rfft(emphasised, FFT)))
        correlation = irfft(spectrum, FFT)[:, : SAMPLE_RATE // PITCH[0] + 1]
        normal = correlation[:, SAMPLE_RATE // PITCH[1] :] / BIAS[SAMPLE_RATE // PITCH[1] :]
        strength = normal.max(1) / (correlation[:, 0] + 1e-12)
        levels.append(10 * np.log10(power + 1e-12))
        voiced.append(strength > VOICED)
        count += size
    if not count:
        return np.empty(0), np.empty(0, dtype=bool), 0
    return np.concatenate(levels), np.concatenate(voiced), count


def _blocks(pieces: Iterable[NDArray[np.float32]]) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Blocks of FRAMES frames, whatever the pieces, and how many samples of each are new."""
    margin = WINDOW - HOP
    waiting = np.zeros(margin // 2, dtype=np.float32)
    size = FRAMES * HOP
    total = 0
    yielded = 0
    for piece in pieces:
        waiting = np.concatenate([waiting, piece])
        total += len(piece)
        while len(waiting) >= size + margin:
            yield waiting[: size + margin], size
            yielded += size
            waiting = waiting[size:]
    if total > yielded:
        hops = -(-(total - yielded) // HOP)
        yield np.pad(waiting, (0, max(hops * HOP + margin - len(waiting), 0)))[: hops * HOP + margin], total - yielded


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))


def _close(runs: list[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    closed: list[tuple[int, int]] = []
    for first, last in runs:
        if closed and first - closed[-1][1] < gap:
            closed[-1] = closed[-1][0], last
        else:
            closed.append((first, last))
    return closed


def _pad(runs: list[tuple[int, int]], padding: int, count: int) -> list[tuple[int, int]]:
    """Runs of frames as samples, padded on both sides; two share the silence between them."""
    starts = [first * HOP for first, _ in runs]
    ends = [min(last * HOP, count) for _, last in runs]
    padded = []
    for index, (start, end) in enumerate(zip(starts, ends)):
        low = (ends[index - 1] + start) // 2 if index else 0
        high = (end + starts[index + 1]) // 2 if index + 1 < len(runs) else count
        padded.append((max(start - padding, low), min(end + padding, high)))
    return padded


TAPER = np.hanning(WINDOW - 1).astype(np.float32)
_correlation_of_taper = irfft(np.square(np.abs(rfft(TAPER, FFT))), FFT)[: SAMPLE_RATE // PITCH[0] + 1]
BIAS = _correlation_of_taper / _correlation_of_taper[0]
