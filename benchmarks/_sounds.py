"""Sounds that are not the speech a recogniser was trained on: noise, tones, music, and speech that was changed.

All are float32 waves (T,) of one channel at 16 kHz; those of a length last `seconds`. Music is SYNTHETIC.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from emobridge.types import SAMPLE_RATE

Wave = NDArray[np.float32]
CHORDS = ((0, 4, 7), (0, 3, 7), (0, 4, 7, 11), (0, 3, 7, 10))  # semitones above the root
LEVEL = 0.1  # root mean square of sounds that have no level of their own


def white(seconds: float, rng: np.random.Generator) -> Wave:
    return _levelled(rng.standard_normal(round(seconds * SAMPLE_RATE)))


def pink(seconds: float, rng: np.random.Generator) -> Wave:
    """Noise whose power falls with 1 / f."""
    samples = rng.standard_normal(round(seconds * SAMPLE_RATE))
    spectrum = np.fft.rfft(samples)
    return _levelled(np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)).clip(1)), len(samples)))


def tone(seconds: float, rng: np.random.Generator) -> Wave:
    """A sine between 200 and 2000 Hz."""
    return _levelled(np.sin(2 * np.pi * rng.uniform(200, 2000) * _times(seconds)))


def hum(seconds: float, rng: np.random.Generator) -> Wave:
    """Mains hum: 50 or 60 Hz with 20 harmonics, in a little noise."""
    times, base = _times(seconds), rng.choice([50, 60])
    waves = (np.sin(2 * np.pi * base * n * times + rng.uniform(0, 6.28)) / n for n in range(1, 21))
    return _levelled(sum(waves) + 0.01 * rng.standard_normal(len(times)))


def music(seconds: float, rng: np.random.Generator) -> Wave:
    """Chords of three to four notes with eight harmonics each, struck every 0.3 to 0.8 s."""
    total, start = np.zeros(round(seconds * SAMPLE_RATE)), 0
    while start < len(total):
        times = _times(rng.uniform(0.3, 0.8))
        root = 110 * 2 ** (rng.integers(0, 25) / 12)
        chord = np.zeros(len(times))
        for steps in CHORDS[rng.integers(len(CHORDS))]:
            for n in range(1, 9):
                chord += np.sin(2 * np.pi * root * 2 ** (steps / 12) * n * times) / n
        chord *= np.exp(-3 * times)
        end = min(start + len(chord), len(total))
        total[start:end] += chord[: end - start]
        start = end
    return _levelled(total)


def reversed_in_time(wave: Wave) -> Wave:
    return wave[::-1].copy()


def through_telephone(wave: Wave) -> Wave:
    """What 300 to 3400 Hz leave of it."""
    band = butter(4, (300, 3400), "bandpass", fs=SAMPLE_RATE, output="sos")
    return sosfilt(band, wave).astype(np.float32)


def in_noise(wave: Wave, decibels: float, rng: np.random.Generator, noise: Callable[..., Wave] = pink) -> Wave:
    """The wave in noise whose power is `decibels` below its own."""
    return _mixed(wave, noise(len(wave) / SAMPLE_RATE, rng), decibels)


def mixed(wave: Wave, other: Wave) -> Wave:
    """Two waves at the same power, as long as the first."""
    return _mixed(wave, np.resize(other, len(wave)), 0.0)


def _mixed(wave: Wave, other: Wave, decibels: float) -> Wave:
    power, other_power = (float(np.square(part).mean()) for part in (wave, other))
    return (wave + other * np.sqrt(power / max(other_power, 1e-12)) * 10 ** (-decibels / 20)).astype(np.float32)


def _times(seconds: float) -> NDArray[np.float64]:
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _levelled(wave: NDArray[np.float64]) -> Wave:
    return (LEVEL * wave / np.sqrt(np.square(wave).mean())).astype(np.float32)
