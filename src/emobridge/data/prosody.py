"""Prosody of an utterance: level, pitch and rate, and the 18 numbers that stand beside an encoder's features.

They are simple measures of a waveform at 16 kHz, good enough to compare utterances, and not for phonetics.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emobridge.data.activity import FAINTEST, WINDOW, are_loud, frame_levels
from emobridge.types import SAMPLE_RATE

Wave = NDArray[np.float32]  # (T,)
Floats = NDArray[np.floating]

STEP = SAMPLE_RATE // 100  # samples, 10 ms
FRAME = SAMPLE_RATE // 25  # samples, 40 ms: three periods of the lowest pitch
LOWEST, HIGHEST = 75.0, 500.0  # Hz of a voice
BLOCK = 500  # frames at a time, so that the memory for a long clip stays flat
VOICED = 0.45  # autocorrelation, of 1, above which a frame is voiced; this and the next two as Praat has them
OCTAVE_COST = 0.01  # an octave: of two equal peaks, the one of the higher pitch
SILENCE_SHARE = 0.03  # of the loudest sample, below which a frame is silence
SMOOTHING = 7  # hops, 70 ms: an envelope of what is slower than syllables
DIP = 2.0  # dB between two syllables
RANGE = 25.0  # dB below the loudest that a syllable may lie

PROSODY = (  # of the frames with speech
    *("median of F0", "10th percentile of F0", "90th percentile of F0", "deviation of F0", "step of F0"),
    *("mean of level", "deviation of level", "range of level", "step of level"),
    *("mean of zero crossings", "deviation of zero crossings", "mean of spectral centroid"),
    *("deviation of spectral centroid", "mean of high to low energy", "deviation of high to low energy"),
    *("duration of speech", "share of speech", "share of voice"),
)
REFERENCE = 100.0  # Hz, of which F0 in semitones is 0
NO_PITCH = float(12 * np.log2(np.sqrt(LOWEST * HIGHEST) / REFERENCE))  # the middle of the range, where no F0 is known
LEAST_PERIODIC = 0.1  # share of the frames with speech whose F0 counts at least, voiced or not: the most periodic ones
SPLIT = 1000.0  # Hz, between low and high energy
FAINTEST_SIDE = 1e-6  # of a frame's energy, that is taken for the fainter side of the split at least: -60 dB
STEPS = 10  # successive frames, 0.1 s: a step of so many varies about as much as the other numbers do
SHORTEST = 0.1  # s of speech; less tells no more of an emotion


def level(wave: Wave) -> float:
    """The RMS level in dB of full scale: 10 log10 of the mean square, -120 at least."""
    return float(10 * np.log10(np.mean(np.square(wave, dtype=np.float64)) + 1e-12))


def pitch(wave: Wave) -> float:
    """The median F0 over voiced frames in Hz, between 75 and 500; NaN where no frame is voiced, as in less than 40 ms.

    By autocorrelation (Boersma 1993): each frame of 40 ms is under a Hann window, and its autocorrelation is divided by
    that of the window; the highest peak within the lags of a voice counts, a higher octave costing less. There is no
    path through the candidates of successive frames, as he has it: the median corrects octave errors of single frames.
    """
    if len(wave) < FRAME:
        return float("nan")
    frames, loudest, pitches = _frames(wave), float(np.abs(wave).max()), []
    for first in range(0, len(frames), BLOCK):
        block = frames[first : first + BLOCK].astype(np.float64)
        hertz, strength = _pitches(block[np.abs(block).max(1) > SILENCE_SHARE * loudest])
        pitches.append(hertz[strength > VOICED])
    voiced = np.concatenate(pitches)
    return float(np.median(voiced)) if len(voiced) else float("nan")


def prosody_width(is_used: bool) -> int:
    """How many numbers prosody adds to the features of a layer: 18, or 0 where it is not used."""
    return len(PROSODY) if is_used else 0


def prosody(wave: Wave) -> NDArray[np.float32]:
    """The numbers (18,) named in PROSODY, finite for every wave.

    They are taken over the frames with speech, 10 ms apart (`data.activity.loud_frames`; where none is loud, over all).
    F0 is in semitones above 100 Hz, level in dB of full scale, zero crossings in per cent of samples, the spectral
    centroid in semitones above 1 kHz, the energy above 1 kHz over that below in dB; the range is that from the 5th to
    the 95th percentile, a step ten times the mean absolute difference of successive frames, the duration 10 log10 of
    seconds, and shares are in per cent: of the clip, and of the frames with speech. In these units all vary about as
    much from clip to clip.

    A constant offset of the wave is taken away before. A gain moves the mean of level and nothing else.
    F0 is that of the voiced frames, but at least of the most periodic tenth of the frames with speech: a whispered or
    noisy clip then has what is nearest to a pitch in it, rather than a constant that would be far from its speaker's
    other clips. Where no frame repeats itself at all, as in silence, F0 is the middle of a voice's range.
    """
    wave = wave - np.float32(wave.mean(dtype=np.float64))
    levels = frame_levels(wave)
    loud = are_loud(levels)
    speech = np.flatnonzero(loud) if loud.any() else np.arange(len(loud))
    hertz, strength, crossings, centroid, ratio = _tracks(wave, speech)
    heights = np.maximum(levels[speech], FAINTEST)
    least, greatest = np.percentile(heights, [5, 95])
    values = [
        *_pitch_numbers(hertz, strength, speech),
        *(heights.mean(), heights.std(), greatest - least, _step(heights, speech)),
        *(crossings.mean(), crossings.std(), centroid.mean(), centroid.std(), ratio.mean(), ratio.std()),
        10 * np.log10(max(loud.sum() * STEP / SAMPLE_RATE, SHORTEST)),
        100 * loud.mean(),
        100 * (strength > VOICED).mean(),
    ]
    return np.array(values, dtype=np.float32)


def _pitch_numbers(hertz: Floats, strength: Floats, frame_indices: NDArray[np.int64]) -> list[float]:
    """The five numbers of F0, from the candidates (F,) of the frames at `frame_indices`."""
    count = int(np.ceil(LEAST_PERIODIC * len(strength)))
    least = min(VOICED, np.partition(strength, -count)[-count])
    periodic = (strength >= least) & (strength > 0)
    if not periodic.any():
        return [NO_PITCH, NO_PITCH, NO_PITCH, 0.0, 0.0]
    f0 = 12 * np.log2(hertz[periodic] / REFERENCE)
    median, low, high = np.percentile(f0, [50, 10, 90])
    return [median, low, high, f0.std(), _step(f0, frame_indices[periodic])]


def _step(values: Floats, frame_indices: NDArray[np.int64]) -> float:
    """STEPS times the mean absolute difference of values (F,) of frames, at `frame_indices`, in a row, or 0."""
    steps = np.abs(np.diff(values))[np.diff(frame_indices) == 1]
    return STEPS * float(steps.mean()) if len(steps) else 0.0


def _tracks(wave: Wave, frame_indices: NDArray[np.int64]) -> NDArray[np.float64]:
    """(5, F) of the F frames at `frame_indices`, 10 ms apart and centred: F0 in Hz and the strength of its candidate,
    as `_pitches`, then zero crossings, spectral centroid and high to low energy, as `_spectra`.
    """
    frames = _frames(np.pad(wave, FRAME // 2))
    inner = slice((FRAME - WINDOW) // 2, (FRAME + WINDOW) // 2)
    tracks = np.empty((5, len(frame_indices)))
    for first in range(0, len(frame_indices), BLOCK):
        part = slice(first, first + BLOCK)
        block = frames[frame_indices[part]]
        peak = np.abs(block).max(1, keepdims=True)
        block = block / np.maximum(peak, np.finfo(np.float32).tiny)  # whose powers are well within float32
        tracks[:2, part] = _pitches(block)
        tracks[2:, part] = _spectra(block[:, inner])
    return tracks


def _spectra(frames: Floats) -> tuple[Floats, Floats, Floats]:
    """(F, WINDOW) -> zero crossings, spectral centroid and high to low energy, (F,) each in the units of `prosody`.

    Of a frame of zeros they are 0.
    """
    from scipy.fft import rfft  # takes a fifth of a second

    power = np.abs(rfft(frames * np.hanning(WINDOW).astype(np.float32))) ** 2
    frequency = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)
    total = power.sum(1)
    sounds = total > 0
    share = power / np.where(sounds, total, 1)[:, None]
    centroid = np.where(sounds, np.maximum(share @ frequency, LOWEST), SPLIT)
    high, low = (share[:, side].sum(1) for side in (frequency >= SPLIT, frequency < SPLIT))
    ratio = np.maximum(high, FAINTEST_SIDE) / np.maximum(low, FAINTEST_SIDE)
    crossings = np.diff(np.signbit(frames), axis=1).mean(1)
    return 100 * crossings, 12 * np.log2(centroid / SPLIT), 10 * np.log10(ratio)


def _pitches(frames: Floats) -> tuple[Floats, Floats]:
    """(F, FRAME) -> the F0 in Hz (F,) of the strongest candidate of each frame, and its strength (F,), 1 at most.

    The strength is -1, and the F0 means nothing, where the autocorrelation has no peak.
    """
    window: Floats = np.hanning(FRAME).astype(frames.dtype)
    first, last = int(SAMPLE_RATE / HIGHEST), int(SAMPLE_RATE / LOWEST)
    lags = np.arange(first, last + 1)
    centred = (frames - frames.mean(1, keepdims=True)) * window
    correlation = _autocorrelation(centred, last + 2) / _autocorrelation(window[None], last + 2)
    before, top, after = (correlation[:, lags[0] + shift : lags[-1] + 1 + shift] for shift in (-1, 0, 1))
    peak = (top > before) & (top >= after)
    bend = np.where(peak, before - 2 * top + after, -1.0)
    between = 0.5 * (before - after) / bend  # lags from the sample to the top of a parabola through the three
    height = top - 0.25 * (before - after) * between
    strength = np.where(peak, height - OCTAVE_COST * np.log2(lags / first), -1.0)
    best = strength.argmax(1)
    rows = np.arange(len(frames))
    return SAMPLE_RATE / (lags[best] + between[rows, best]), strength[rows, best]


def rate(wave: Wave) -> float:
    """Syllable-like peaks of energy a second of the clip, pauses and all; 0 where there is none, as in less than 40 ms.

    Peaks of the smoothed level (frames of 40 ms every 10 ms, under a Hann window of 70 ms) that are at most 25 dB below
    the loudest (the 99th percentile) and stand out by 2 dB, after de Jong & Wempe 2009, who also ask that a peak be
    voiced, which is not tested here.
    """
    if len(wave) < FRAME:
        return 0.0
    hops = np.square(wave[: len(wave) // STEP * STEP], dtype=np.float64).reshape(-1, STEP).mean(1)
    power = np.convolve(hops, np.ones(FRAME // STEP) * STEP / FRAME)
    smoother = np.hanning(SMOOTHING + 2)
    envelope = 10 * np.log10(np.convolve(power, smoother / smoother.sum(), mode="same") + 1e-12)
    from scipy.signal import find_peaks  # takes half a second

    peaks, _ = find_peaks(envelope, height=np.percentile(envelope, 99) - RANGE, prominence=DIP)
    return float(len(peaks) * SAMPLE_RATE / len(wave))


def _frames(wave: Wave) -> NDArray[np.float32]:
    """(T,) -> (F, FRAME), one every STEP samples, as a view."""
    return np.lib.stride_tricks.sliding_window_view(wave, FRAME)[::STEP]


def _autocorrelation(frames: Floats, lags: int) -> Floats:
    """(F, FRAME) -> (F, lags), 1 at lag 0; a frame of zeros stays so."""
    from scipy.fft import irfft, next_fast_len, rfft

    size = next_fast_len(FRAME + lags, real=True)  # lags beyond it would wrap around
    products = irfft(np.abs(rfft(frames, size)) ** 2, size)[:, :lags]
    correlation: Floats = products / np.maximum(products[:, :1], 1e-12)
    return correlation
