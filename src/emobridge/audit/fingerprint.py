"""A fingerprint of a clip: what resampling, coding, gain, clipping, inversion, an offset and light noise leave of it.

Its subfingerprints find likely copies (`audit.likely`). Its signs, of the waveform between 250 and 1000 Hz, tell a copy
from another performance of the sentence, however alike (`audit.coherence`). It takes 650 bytes a second of sound. A
clip that is played faster or slower, or transposed, has another fingerprint.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emobridge.audit.subfingerprints import MARGIN, PRINT_HOP, subfingerprints
from emobridge.types import SAMPLE_RATE

SIGN_BAND = (250.0, 1000.0)  # Hz
DECIMATION = 5  # signs are taken at 3200 Hz
SIGNS = PRINT_HOP // DECIMATION  # a hop
TAPS = 161  # of the filter
ACTIVE = 25  # dB below the loudest hop of the clip, down to which a hop is compared
SHORTEST = 0.3  # s of a clip that has a fingerprint
QUIETEST = -127.0  # dB that a level can hold
HOPS_AT_ONCE = 1500  # hops at a time, so that the memory for a long clip stays flat


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The fingerprint of a clip of F hops of 20 ms."""

    subfingerprints: NDArray[np.uint32]  # (F,)
    levels: NDArray[np.int8]  # (F,), dB of full scale between 250 and 1000 Hz
    signs: NDArray[np.uint8]  # (F SIGNS / 8,), packed; a bit is 1 where the filtered waveform is not negative

    @property
    def active(self) -> NDArray[np.bool_]:
        """(F,), the hops that are loud enough to be compared."""
        return np.asarray(self.levels > max(int(self.levels.max()) - ACTIVE, QUIETEST))


class FingerprintStream:
    """Takes the fingerprint of a clip that comes in pieces, in memory that does not grow but for the fingerprint."""

    def __init__(self) -> None:
        self._blocks: list[tuple[NDArray[np.generic], ...]] = []
        self._waiting = np.empty(0, dtype=np.float32)  # samples from MARGIN before the next hop on
        self._samples = 0

    def add(self, piece: NDArray[np.float32]) -> None:
        """Take the next piece, (T,) at 16 kHz, T >= 1."""
        if not self._samples:
            piece = np.pad(piece, (MARGIN, 0), mode="edge")
            self._samples -= MARGIN
        self._samples += len(piece)
        self._waiting = np.concatenate([self._waiting, piece])
        while len(self._waiting) >= 2 * MARGIN + HOPS_AT_ONCE * PRINT_HOP:
            self._take(HOPS_AT_ONCE)

    def finish(self) -> Fingerprint | None:
        """The fingerprint of all that was added; None for less than 0.3 s."""
        if self._samples < SHORTEST * SAMPLE_RATE:
            return None
        hops = -(-self._samples // PRINT_HOP) - HOPS_AT_ONCE * len(self._blocks)
        self._waiting = np.pad(self._waiting, (0, 2 * MARGIN + hops * PRINT_HOP - len(self._waiting)), mode="edge")
        self._take(hops)
        return Fingerprint(*(np.concatenate(parts) for parts in zip(*self._blocks)))

    def _take(self, hops: int) -> None:
        """Words, levels and signs of the next hops."""
        stretch = self._waiting[: 2 * MARGIN + hops * PRINT_HOP]
        self._waiting = self._waiting[hops * PRINT_HOP :]
        from scipy.signal import upfirdn  # takes half a second

        filtered = upfirdn(_sign_filter(), stretch[MARGIN - TAPS // 2 : TAPS // 2 - MARGIN], down=DECIMATION)
        filtered = filtered[(TAPS - 1) // DECIMATION :][: hops * SIGNS].reshape(-1, SIGNS)
        powers = np.square(filtered, dtype=np.float64).mean(1)
        levels = np.clip(np.round(10 * np.log10(powers + 1e-13)), QUIETEST, 0).astype(np.int8)
        self._blocks.append((subfingerprints(stretch), levels, np.packbits(filtered >= 0)))


def fingerprint(wave: NDArray[np.float32]) -> Fingerprint | None:
    """The fingerprint of `wave`, (T,) at 16 kHz; None for less than 0.3 s."""
    stream = FingerprintStream()
    stream.add(wave)
    return stream.finish()


@functools.cache
def _sign_filter() -> NDArray[np.float32]:
    """A band-pass of linear phase that leaves nothing of a constant."""
    from scipy.signal import firwin

    taps = firwin(TAPS, SIGN_BAND, pass_zero=False, fs=SAMPLE_RATE)
    return np.asarray(taps - taps.mean(), dtype=np.float32)
