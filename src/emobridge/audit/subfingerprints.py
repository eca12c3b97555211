"""Subfingerprints of a sound: 32 bits for each 20 ms, on how the spectrum moves in the 0.42 s about it.

As those of Haitsma & Kalker (2002), the bits are signs of differences of energy over time and over
bands, so that neither gain nor a constant filter changes them. Here the differences are the orders 1 to 4 in time by 1
to 8 in frequency of a cosine transform of log energies, and the waveform is limited first, which is what clipping does.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.fft import rfft
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from emobridge.types import SAMPLE_RATE

PRINT_HOP = SAMPLE_RATE // 50  # samples between subfingerprints, 20 ms
WINDOW = 2 * PRINT_HOP  # samples of a spectrum
SPAN = 21  # spectra of a subfingerprint
MEL_COUNT = 16
BAND_LIMITS = (200.0, 3600.0)  # Hz of the bands: what a telephone leaves
TIME_ORDERS, BAND_ORDERS = 4, 8
LIMIT = 0.7  # of the RMS over WINDOW samples about a sample: no sample is larger
FLOOR = 1e-3  # of the strongest band of a subfingerprint: below it, noise and coders decide
# Samples on either side that subfingerprints depend on.
MARGIN = (SPAN // 2) * PRINT_HOP + (WINDOW - PRINT_HOP) // 2 + WINDOW
POWER_FLOOR = 1e-12  # keeps silence finite


def subfingerprints(stretch: NDArray[np.float32]) -> NDArray[np.uint32]:
    """The subfingerprints of each PRINT_HOP of a stretch: (MARGIN + F PRINT_HOP + MARGIN,) -> (F,)."""
    wave = np.asarray(stretch, dtype=np.float64)
    wave = wave - uniform_filter1d(wave, WINDOW)
    scale = np.sqrt(np.maximum(uniform_filter1d(np.square(wave), WINDOW), 0) + POWER_FLOOR)
    limited = np.clip(wave / scale, -LIMIT, LIMIT)[WINDOW:-WINDOW].astype(np.float32)
    spectra = rfft(sliding_window_view(limited, WINDOW)[::PRINT_HOP] * TAPER)
    energies = np.square(np.abs(spectra)) @ MEL_BANDS + np.float32(POWER_FLOOR)  # (F + SPAN - 1, MEL_COUNT)
    floors = np.float32(FLOOR) * maximum_filter1d(energies.max(1), SPAN)[SPAN // 2 : -(SPAN // 2)]
    patches = sliding_window_view(energies, SPAN, axis=0)  # (F, MEL_COUNT, SPAN)
    logs = np.log(patches + floors[:, None, None])
    moves = np.swapaxes(logs @ TIME_PATTERNS, 1, 2) @ BAND_PATTERNS  # (F, TIME_ORDERS, BAND_ORDERS)
    bits = np.packbits(moves.reshape(len(moves), -1) > 0, axis=1)
    return bits.view(">u4")[:, 0].astype(np.uint32)


def _mel_bands() -> NDArray[np.float64]:
    """(WINDOW / 2 + 1, MEL_COUNT), triangles that are equally spaced in mel."""
    low, high = (2595 * np.log10(1 + frequency / 700) for frequency in BAND_LIMITS)
    edges = 700 * (10 ** (np.linspace(low, high, MEL_COUNT + 2) / 2595) - 1)
    frequencies = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)[:, None]
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    return np.clip(np.minimum(rising, falling), 0, None)


def _cosines(size: int, orders: int) -> NDArray[np.float64]:
    """(size, orders): the orders from 1 on of the cosine transform."""
    return np.asarray(np.cos(np.pi * np.outer(np.arange(size) + 0.5, np.arange(1, orders + 1)) / size))


def _time_patterns() -> NDArray[np.float64]:
    """(SPAN, TIME_ORDERS): cosines under a Hann window, each of sum 0."""
    taper = np.hanning(SPAN + 2)[1:-1, None]
    patterns = _cosines(SPAN, TIME_ORDERS) * taper
    return np.asarray(patterns - taper * patterns.sum(0) / taper.sum())


TAPER, MEL_BANDS = np.hanning(WINDOW).astype(np.float32), _mel_bands().astype(np.float32)
TIME_PATTERNS, BAND_PATTERNS = _time_patterns().astype(np.float32), _cosines(MEL_COUNT, BAND_ORDERS).astype(np.float32)
