"""Speech segments by a rule that needs no model: loud, beside a voice, and neither steady nor frozen.

Energy alone takes every loud noise for speech. Here a frame counts where it is loud beside its neighbourhood and a
voiced frame is near: one that repeats itself with the period of a voice. Tones and music repeat themselves too, but at
a level that stays (steady), or with a spectrum that stays for the time of a phone (frozen), which no voice does.
It misses whispered and some creaky speech, and takes for speech what has a gliding pitch and a rhythm: song, drums, an
engine that revs. The limits are ours, chosen on RAVDESS, EMO-DB and EMOVO against sounds that are made in
benchmarks/_nonspeech.py; benchmarks/activity.py measures what is found.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft
from scipy.ndimage import binary_dilation, binary_opening, maximum_filter1d, minimum_filter1d, uniform_filter1d

from emobridge.types import SAMPLE_RATE

FRAME_STEP = 320  # samples, 20 ms
FRAME_RATE = SAMPLE_RATE // FRAME_STEP  # Hz
FRAME_SIZE, TRANSFORM = 640, 1024  # samples: 40 ms, three periods of a low voice
LAGS = TRANSFORM // 2  # of an autocorrelation at half the rate, for which what is below 4 kHz suffices
BIN_COUNT = LAGS // 2 + 1  # of a spectrum: 0 to 4 kHz
BLOCK = 256  # frames at a time; their spectra fit into a processor's cache
# Loud: within RANGE of the loudest frame about it, so that a loud speaker does not hide a quiet one for long.
FAINTEST, RANGE = -70.0, 30.0  # dB of full scale, dB
NEIGHBOURHOOD = 25  # frames on either side
# Voiced: the autocorrelation at the best lag of a voice, of a spectrum that rises by 6 dB an octave to 1 kHz, which
# flattens pink noise, and ends at 2 kHz, above which noise is louder than voices. At 0.45 claps and keys are voiced.
LAG_RATE = SAMPLE_RATE // 2  # Hz
VOICE_LAGS = slice(LAG_RATE // 400, LAG_RATE // 70)  # 70 to 400 Hz
VOICED = 0.5
VOICED_RUN = 2  # frames; a single one is chance
LEAST_VOICED = 0.1  # s of a segment, a short vowel
NEAR_VOICE = 10  # frames; consonants beside a vowel last less
# Steady: levels within STEADY dB of each other for STEADY_FRAMES. Syllables come at 2 to 8 Hz and move levels by 10 dB.
STEADY, STEADY_FRAMES = 3.0, 20
# Frozen: the cosine of compressed spectra (100 to 3000 Hz) APART frames from each other. Of the voiced frames of a clip
# of the three corpora 0.03 at most reach it; of those of struck chords 0.9, of short notes 0.7.
FROZEN, APART = 0.98, 4

Runs = list[tuple[int, int]]


def energy_segments(
    pieces: Iterable[NDArray[np.float32]], *, shortest: float, gap: float, padding: float
) -> list[tuple[int, int]]:
    """Speech segments of a recording, in samples. shortest, gap, padding: in seconds."""
    levels, voiced, alike, count = _measure(pieces)
    if not count:
        return []
    # Frozen is what lies between two frames that are alike, and half of APART on either side, where windows overlap it.
    frozen = binary_dilation(np.pad(alike, (APART // 2, 0))[: len(alike)], np.ones(2 * APART + 1))
    moving = ~(frozen | _steady(levels))
    voiced = binary_opening(voiced, np.ones(VOICED_RUN)) & moving
    loudest = maximum_filter1d(levels, 2 * NEIGHBOURHOOD + 1, mode="nearest")
    loud = levels > np.maximum(loudest - RANGE, FAINTEST)
    active = loud & moving & binary_dilation(voiced, np.ones(2 * NEAR_VOICE + 1))
    runs = [
        (first, last)
        for first, last in _without_gaps(_runs(active), round(gap * FRAME_RATE))
        if last - first >= shortest * FRAME_RATE and voiced[first:last].sum() >= LEAST_VOICED * FRAME_RATE
    ]
    return _padded(runs, round(padding * SAMPLE_RATE), count)


def _measure(
    pieces: Iterable[NDArray[np.float32]],
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], int]:
    """(F,) each: levels in dB, which frames are voiced, which are like those APART later; the number of samples."""
    levels, voiced, alike = [np.empty(0, np.float32)], [np.empty(0, bool)], [np.empty(0, bool)]
    count = 0
    for block, size in _blocks(pieces):
        frames = np.lib.stride_tricks.sliding_window_view(block, FRAME_SIZE)[::FRAME_STEP] * FRAME_TAPER
        spectra = rfft(frames, TRANSFORM)[:, :BIN_COUNT]
        power = np.square(spectra.real) + np.square(spectra.imag)
        levels.append(10 * np.log10(power[:-APART, AUDIBLE].sum(1) * LEVEL_SCALE + 1e-12))
        correlation = irfft(power[:-APART] * VOICE_BAND, LAGS)
        best = (correlation[:, VOICE_LAGS] * UNBIASED).max(1)
        voiced.append(best > VOICED * correlation[:, 0] + 1e-12)
        shapes = np.sqrt(np.sqrt(power[:, SHAPE_BAND]))
        shapes /= np.sqrt(np.square(shapes).sum(1, keepdims=True)) + 1e-12
        alike.append((shapes[:-APART] * shapes[APART:]).sum(1) > FROZEN)
        count += size
    return np.concatenate(levels), np.concatenate(voiced), np.concatenate(alike), count


def _blocks(pieces: Iterable[NDArray[np.float32]]) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Blocks of a recording for BLOCK frames and APART more, the same whatever the pieces; and their own samples."""
    size, more = BLOCK * FRAME_STEP, APART * FRAME_STEP + FRAME_SIZE - FRAME_STEP
    waiting = np.zeros((FRAME_SIZE - FRAME_STEP) // 2, dtype=np.float32)
    remaining = 0  # samples of the recording that no block has had
    for piece in pieces:
        waiting = np.concatenate([waiting, piece])
        remaining += len(piece)
        while len(waiting) >= size + more:
            yield waiting[: size + more], size
            waiting = waiting[size:]
            remaining -= size
    while remaining > 0:
        count = min(remaining, size)
        length = -(-count // FRAME_STEP) * FRAME_STEP + more
        yield np.pad(waiting, (0, max(0, length - len(waiting))))[:length], count
        waiting = waiting[size:]
        remaining -= count


def _steady(levels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(F,) whether a frame lies in a stretch of STEADY_FRAMES whose levels are within STEADY dB."""
    smooth = uniform_filter1d(levels, 2, mode="nearest")
    spread = maximum_filter1d(smooth, STEADY_FRAMES) - minimum_filter1d(smooth, STEADY_FRAMES)
    return np.asarray(binary_dilation(spread < STEADY, np.ones(STEADY_FRAMES)))


def _runs(mask: NDArray[np.bool_]) -> Runs:
    """(first, last + 1) of the stretches of True."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))


def _without_gaps(runs: Runs, gap: int) -> Runs:
    """Runs that are less than `gap` apart as a single run."""
    joined: Runs = []
    for first, last in runs:
        if joined and first - joined[-1][1] < gap:
            first = joined.pop()[0]
        joined.append((first, last))
    return joined


def _padded(runs: Runs, padding: int, count: int) -> list[tuple[int, int]]:
    """Runs of frames as samples, `padding` longer on both sides; neighbours share what lies between them."""
    limits = [0, *((a[1] + b[0]) * FRAME_STEP // 2 for a, b in itertools.pairwise(runs)), count]
    return [
        (max(first * FRAME_STEP - padding, low), min(last * FRAME_STEP + padding, high))
        for (first, last), low, high in zip(runs, limits, limits[1:])
    ]


def _bins(low: float, high: float) -> slice:
    """The bins of a spectrum from `low` to `high` Hz."""
    return slice(int(np.searchsorted(FREQUENCIES, low)), int(np.searchsorted(FREQUENCIES, high, side="right")))


def _voice_band() -> NDArray[np.float32]:
    """(BIN_COUNT,), the weight of each bin's power in the autocorrelation."""
    rising = np.square(np.clip(FREQUENCIES, 0, 1000) / 1000) * (FREQUENCIES >= LOWEST_AUDIBLE)
    return np.asarray(rising * np.clip((2500 - FREQUENCIES) / 500, 0, 1), dtype=np.float32)


def _unbiased() -> NDArray[np.float32]:
    """What makes up for the taper, which takes more from an autocorrelation the longer its lag."""
    bias = irfft(np.square(np.abs(rfft(FRAME_TAPER, TRANSFORM)[:BIN_COUNT])), LAGS)
    return np.asarray(bias[0] / bias[VOICE_LAGS], dtype=np.float32)


LOWEST_AUDIBLE = 80  # Hz; what is below is hum and wind
FREQUENCIES = np.fft.rfftfreq(TRANSFORM, 1 / SAMPLE_RATE)[:BIN_COUNT]
AUDIBLE, SHAPE_BAND = _bins(LOWEST_AUDIBLE, 4000), _bins(100, 3000)
FRAME_TAPER = np.hanning(FRAME_SIZE).astype(np.float32)
LEVEL_SCALE = 2 / TRANSFORM / float(np.square(FRAME_TAPER).sum())  # a spectrum's sum as mean power
VOICE_BAND, UNBIASED = _voice_band(), _unbiased()
