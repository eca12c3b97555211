"""What a sound looks like, in numbers: its envelope and its log-mel levels, in a bounded number of columns.

A recording of any length is taken in pieces; beside a piece, only the columns are in memory. In shapes N is columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft

from emobridge.diarization.base import Waveform
from emobridge.types import SAMPLE_RATE, short_repr

PICTURE_COLUMNS = 12_000  # of a picture, however long the sound is; a screen is 2,000 wide
COLUMN_RATE = 20.0  # columns a second of short sounds, in Hz
MELS = 48  # bands, of equal width in mel, from 0 to 8 kHz
PAINTED_STEP, FRAME_WINDOW, TRANSFORM_SIZE = 400, 800, 1024  # samples: 25 ms, 50 ms, and with zeros
FRAMES_AT_ONCE = 1024


@short_repr
@dataclass(frozen=True, slots=True, eq=False)
class SoundPicture:
    """The columns of a sound, equally long and in order."""

    seconds: float  # of all of it
    low: NDArray[np.float32]  # (N,) the least and the largest sample of each column, 1 is full scale
    high: NDArray[np.float32]  # (N,)
    levels: NDArray[np.float32]  # (N, MELS) dB of full scale: mean powers, from the lowest band


class SoundPainter:
    """Pieces of a sound in, its picture out."""

    def __init__(self, size: int) -> None:
        """size: samples at 16 kHz that will come, about; more than it count into the last column. At least 1."""
        self._size = max(1, size)
        self._count = min(PICTURE_COLUMNS, max(1, math.ceil(self._size / SAMPLE_RATE * COLUMN_RATE)))
        self._low, self._high = (np.zeros(self._count, np.float32) for _ in range(2))
        self._powers, self._frames = np.zeros((self._count, MELS)), np.zeros(self._count)
        self._samples = 0  # that came
        self._waiting = np.zeros(FRAME_WINDOW // 2, np.float32)  # the sound of the next frame on, centred at its step
        self._next = 0  # number of the next frame

    def add(self, piece: Waveform) -> None:
        """The next samples (T,)."""
        columns = self._columns(self._samples + np.arange(len(piece)))
        firsts = np.flatnonzero(np.diff(columns, prepend=-1))
        if len(piece):
            cells = columns[firsts]
            self._low[cells] = np.minimum(self._low[cells], np.minimum.reduceat(piece, firsts))
            self._high[cells] = np.maximum(self._high[cells], np.maximum.reduceat(piece, firsts))
        self._samples += len(piece)
        self._transform(np.concatenate([self._waiting, piece]))

    def picture(self) -> SoundPicture:
        """The picture of all that came."""
        self._transform(np.concatenate([self._waiting, np.zeros(FRAME_WINDOW, np.float32)]))
        means = self._powers / np.maximum(self._frames, 1)[:, None]
        levels = (10 * np.log10(means + 1e-12)).astype(np.float32)
        return SoundPicture(self._samples / SAMPLE_RATE, self._low, self._high, levels)

    def _columns(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """The column of each sample."""
        return np.minimum(samples * self._count // self._size, self._count - 1)

    def _transform(self, sound: Waveform) -> None:
        """Add the powers of all whole frames of a sound that begins with the next frame."""
        count = max(0, (len(sound) - FRAME_WINDOW) // PAINTED_STEP + 1)
        for first in range(0, count, FRAMES_AT_ONCE):
            last = min(first + FRAMES_AT_ONCE, count)
            part = sound[first * PAINTED_STEP : (last - 1) * PAINTED_STEP + FRAME_WINDOW]
            frames = np.lib.stride_tricks.sliding_window_view(part, FRAME_WINDOW)[::PAINTED_STEP]
            powers = np.square(np.abs(rfft(frames * PAINTED_TAPER, TRANSFORM_SIZE)))
            bands = np.add.reduceat(powers, BAND_BINS, axis=1) / BAND_SIZES * POWER_SCALE
            columns = self._columns((self._next + np.arange(first, last)) * PAINTED_STEP)
            np.add.at(self._powers, columns, bands)
            np.add.at(self._frames, columns, 1)
        self._next += count
        self._waiting = sound[count * PAINTED_STEP :]


def _band_bins() -> NDArray[np.int64]:
    """(MELS,) the first bin of each band; each has a bin of its own."""
    highest = 2595 * math.log10(1 + SAMPLE_RATE / 2 / 700)
    edges = 700 * (10 ** (np.arange(MELS) * highest / MELS / 2595) - 1)
    bins = np.round(edges / SAMPLE_RATE * TRANSFORM_SIZE).astype(np.int64)
    return np.maximum(bins, np.arange(MELS))


PAINTED_TAPER = np.hanning(FRAME_WINDOW).astype(np.float32)
POWER_SCALE = 4 / float(PAINTED_TAPER.sum()) ** 2  # so that a sine of full scale is about 0 dB in its band
BAND_BINS = _band_bins()
BAND_SIZES = np.diff(BAND_BINS, append=TRANSFORM_SIZE // 2 + 1)
