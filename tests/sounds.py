"""Sounds for tests, (T,) at 16 kHz."""

from __future__ import annotations

import numpy as np

RATE = 16_000


def syllables(seconds, pitch=120.0, level=0.1, seed=0):
    """A voice-like buzz: a pitch and a formant that move, about four syllables a second; RMS `level` of full scale."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    melody, formants, beat = rng.uniform((0.5, 2.2, 3.5), (0.9, 3.2, 4.5))  # Hz
    turns = rng.uniform(0, 2 * np.pi, 3)
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.15 * np.sin(2 * np.pi * melody * t + turns[0]))) / RATE
    formant = 900 + 500 * np.sin(2 * np.pi * formants * t + turns[1])  # Hz
    buzz = sum(np.cos(k * phase) * np.exp(-np.abs(k * pitch - formant) / 300) for k in range(1, 20))
    wave = buzz * np.sin(np.pi * beat * t + turns[2]) ** 2
    return (level * wave / np.sqrt(np.mean(np.square(wave)))).astype(np.float32)
