"""A frame model for tests: it hears how loud the sound is, and needs no encoder."""

from __future__ import annotations

import numpy as np


class LoudModel:
    """P(anger) of a frame is the peak of the sound within `context` s of its middle, 1 at most."""

    labels = ("anger", "sadness")
    frame_rate = 10.0
    synthetic = True

    def __init__(self, context=0.5, longest=30.0):
        self.context, self.longest = context, longest
        self.lengths = []  # s, of what it was given

    def frame_probabilities(self, wave):
        assert wave.dtype == np.float32 and np.isfinite(wave).all()
        self.lengths.append(len(wave) / 16_000)
        assert self.lengths[-1] <= self.longest + 1e-9
        count = max(1, round(len(wave) / 16_000 * self.frame_rate))
        peaks = []
        for middle in (np.arange(count) + 0.5) / self.frame_rate:
            low, high = max(0.0, middle - self.context), middle + self.context
            peaks.append(np.abs(wave[round(low * 16_000) : round(high * 16_000)]).max(initial=0.0))
        anger = np.clip(np.array(peaks), 0.01, 1)
        return np.stack([anger, 1 - anger], 1).astype(np.float32)
