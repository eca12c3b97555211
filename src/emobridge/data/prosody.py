"""Level, pitch and rate of an utterance: three simple measures of a waveform at 16 kHz.

They are good enough to compare utterances, and not for phonetics.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from emobridge.types import SAMPLE_RATE

Wave = NDArray[np.float32]  # (T,)

STEP = SAMPLE_RATE // 100  # samples, 10 ms
FRAME = SAMPLE_RATE // 25  # samples, 40 ms: three periods of the lowest pitch
LOWEST, HIGHEST = 75.0, 500.0  # Hz of a voice
BLOCK = 3000  # frames at a time, so that the memory for a long clip stays flat
VOICED = 0.45  # autocorrelation, of 1, above which a frame is voiced; this and the next two as Praat has them
OCTAVE_COST = 0.01  # an octave: of two equal peaks, the one of the higher pitch
SILENCE_SHARE = 0.03  # of the loudest sample, below which a frame is silence
SMOOTHING = 7  # hops, 70 ms: an envelope of what is slower than syllables
DIP = 2.0  # dB between two syllables
RANGE = 25.0  # dB below the loudest that a syllable may lie


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
    frames, loudest = _frames(wave), float(np.abs(wave).max())
    blocks = (frames[first : first + BLOCK].astype(np.float64) for first in range(0, len(frames), BLOCK))
    pitches = np.concatenate([_pitches(block[np.abs(block).max(1) > SILENCE_SHARE * loudest]) for block in blocks])
    return float(np.median(pitches)) if len(pitches) else float("nan")


def _pitches(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """(F, FRAME) -> F0 in Hz of the V voiced ones among them, (V,)."""
    window = np.hanning(FRAME)
    correlation = _autocorrelation((frames - frames.mean(1, keepdims=True)) * window) / _autocorrelation(window[None])
    first, last = int(SAMPLE_RATE / HIGHEST), int(SAMPLE_RATE / LOWEST)
    lags = np.arange(first, last + 1)
    before, top, after = (correlation[:, lags + shift] for shift in (-1, 0, 1))
    peak = (top > before) & (top >= after)
    bend = np.where(peak, before - 2 * top + after, -1.0)
    between = 0.5 * (before - after) / bend  # lags from the sample to the top of a parabola through the three
    height = top - 0.25 * (before - after) * between
    strength = np.where(peak, height - OCTAVE_COST * np.log2(lags / first), -1.0)
    best = strength.argmax(1)
    voiced = np.flatnonzero(strength.max(1) > VOICED)
    return np.asarray(SAMPLE_RATE / (lags + between)[voiced, best[voiced]])


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
    peaks, _ = find_peaks(envelope, height=np.percentile(envelope, 99) - RANGE, prominence=DIP)
    return float(len(peaks) * SAMPLE_RATE / len(wave))


def _frames(wave: Wave) -> NDArray[np.float32]:
    """(T,) -> (F, FRAME), one every STEP samples, as a view."""
    return np.lib.stride_tricks.sliding_window_view(wave, FRAME)[::STEP]


def _autocorrelation(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """(F, FRAME) -> (F, FRAME), 1 at lag 0; a frame of zeros stays so."""
    size = 2 * FRAME
    correlation = np.fft.irfft(np.abs(np.fft.rfft(frames, size)) ** 2, size)[:, :FRAME]
    return correlation / np.maximum(correlation[:, :1], 1e-12)
