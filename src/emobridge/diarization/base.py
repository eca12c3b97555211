"""What tells emotions over time: a frame model. It answers for a window of sound; `timeline` joins windows and smooths.

In shapes T is samples at 16 kHz, F frames and C labels.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Waveform = NDArray[np.float32]


@runtime_checkable
class FrameModel(Protocol):
    """What `emobridge diarize` and `emobridge live` run: a trained diarizer, a checkpoint of SpeechBrain, a recogniser.

    A frame's answer may depend on the sound up to `context` s before and after it, and on nothing beyond.
    """

    @property
    def labels(self) -> tuple[str, ...]:
        """C emotions in the order of the probabilities."""

    @property
    def frame_rate(self) -> float:
        """Frames a second, in Hz. Frame i is about the time from i / frame_rate to (i + 1) / frame_rate."""

    @property
    def context(self) -> float:
        """Seconds of sound on either side that a frame's answer depends on."""

    @property
    def longest(self) -> float:
        """Seconds of sound that it takes at once, at most."""

    @property
    def synthetic(self) -> bool:
        """Whether synthetic speech went into it."""

    def frame_probabilities(self, wave: Waveform) -> Waveform:
        """(T,) of at most `longest` s -> (F, C), each row sums to 1; F = round(T / 16000 * frame_rate), at least 1."""
