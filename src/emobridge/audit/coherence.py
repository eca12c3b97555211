"""Whether two clips have the same waveform at a lag: the coherence of their signs.

Coherence is |mean of s_a(t) s_b(t + lag)| over the times at which both clips are active, with the signs s of
`Fingerprint`: 1 for the same waveform, and the same inverted; about 0 for different ones, because no one can say a
sentence again to within a fraction of a millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from emobridge.audit.fingerprint import SIGNS, Fingerprint
from emobridge.audit.subfingerprints import PRINT_HOP
from emobridge.types import SAMPLE_RATE

HOP_RATE = SAMPLE_RATE / PRINT_HOP  # Hz
SIGN_RATE = HOP_RATE * SIGNS  # Hz
REACH = 48  # signs about a lag of whole hops that are tried, 15 ms
BEYOND = 3 * SIGNS  # signs about it, 60 ms, among which the best must stand out
# Limits for copies; benchmarks/README.md has the measurements that they rest on.
SAME = 0.29  # least coherence, where SAME_OVER and more are compared
SAME_OVER = 1.2  # s of active hops; what is compared over less must be more alike, as chance is greater
LEAST_OVERLAP = 0.3  # s of active hops that must be compared
COVERED = 0.6  # share of the active hops, of the clip with fewer of them, that must be compared
PEAK = 7  # signs about the best lag, 2 ms, that are its own peak
PERIODIC = 0.8  # of the best coherence, beyond that peak: a hum or a tone is the same at every period


@dataclass(frozen=True, slots=True)
class Match:
    """Two clips a and b at their best lag."""

    coherence: float  # in [0, 1]
    neighbouring: float  # the greatest coherence more than 2 ms and less than 60 ms from that lag
    seconds: float  # of active hops that were compared
    share: float  # of the active hops, of the clip with more of them, that were compared
    lag: float  # s; what is in a at time t is in b at t + lag
    gain: float  # dB of b over a
    inverted: bool

    @property
    def evidence(self) -> float:
        """Coherence over what a copy has at least, so 1 or more for a copy; 0 for a hum or a tone."""
        least = SAME * max(1.0, SAME_OVER / self.seconds) ** 0.5
        return 0.0 if self.neighbouring > PERIODIC * self.coherence else self.coherence / least


def match_clips(a: Fingerprint, b: Fingerprint, lag: int) -> Match | None:
    """The match of two clips at a lag of about `lag` hops; None where they have too little in common to tell."""
    first, last = max(0, -lag), min(len(a.subfingerprints), len(b.subfingerprints) - lag)
    active_a, active_b = a.active, b.active
    both = np.flatnonzero(active_a[first:last] & active_b[first + lag : last + lag]) + first
    fewer, more = sorted((int(active_a.sum()), int(active_b.sum())))
    if len(both) < max(LEAST_OVERLAP * HOP_RATE, COVERED * fewer):
        return None
    first, last, margin = int(both[0]), int(both[-1]) + 1, BEYOND // SIGNS
    others = _signs(b, active_b, first + lag - margin, last + lag + margin)
    correlation = _correlation(_signs(a, active_a, first, last), others) / (len(both) * SIGNS)
    coherence = np.minimum(np.abs(correlation), 1)
    best = BEYOND - REACH + int(coherence[BEYOND - REACH : BEYOND + REACH + 1].argmax())
    neighbouring = max(coherence[: best - PEAK + 1].max(), coherence[best + PEAK :].max())
    gain = np.mean(b.levels[both + lag], dtype=float) - np.mean(a.levels[both], dtype=float)
    return Match(
        coherence=float(coherence[best]),
        neighbouring=float(neighbouring),
        seconds=len(both) / HOP_RATE,
        share=len(both) / more,
        lag=lag / HOP_RATE + (best - BEYOND) / SIGN_RATE,
        gain=float(gain),
        inverted=bool(correlation[best] < 0),
    )


def _signs(clip: Fingerprint, active: NDArray[np.bool_], first: int, last: int) -> NDArray[np.float32]:
    """((last - first) SIGNS,): 1 and -1, and 0 where the clip is not active or has no such hop."""
    low, high = max(first, 0), min(last, len(active))
    signs = np.zeros(((last - first), SIGNS), np.float32)
    inside = signs[low - first : high - first]
    inside[:] = np.unpackbits(clip.signs[low * SIGNS // 8 : high * SIGNS // 8]).reshape(-1, SIGNS)
    inside *= 2
    inside -= 1
    inside *= active[low:high, None]
    return signs.reshape(-1)


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """(2 BEYOND + 1,): sums of products of a, (n,), with b, (n + 2 BEYOND,), shifted by -BEYOND to BEYOND."""
    size = next_fast_len(len(b), real=True)
    return np.asarray(irfft(np.conj(rfft(a, size)) * rfft(b, size), size)[: 2 * BEYOND + 1])
