"""Sounds without speech, (T,) at 16 kHz, each at about -20 dB of full scale; made here, from a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
Wave = NDArray[np.float64]
Make = Callable[[int, np.random.Generator], Wave]
MAJOR = ((0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7), (9, 12, 16), (5, 9, 12), (2, 5, 9), (7, 11, 14))


def coloured(count: int, rng: np.random.Generator, slope: float) -> Wave:
    """Noise whose power falls with frequency as f ** -slope above 20 Hz."""
    spectrum = np.fft.rfft(rng.normal(size=count))
    frequencies = np.fft.rfftfreq(count, 1 / RATE)
    return np.fft.irfft(spectrum * np.maximum(frequencies, 20.0) ** (-slope / 2), count)


def tones(count: int, frequencies: Sequence[float], weights: Sequence[float] | None = None) -> Wave:
    """A sum of sines."""
    t = np.arange(count) / RATE
    pairs = zip(frequencies, weights or [1.0] * len(frequencies))
    return np.sum([weight * np.sin(2 * np.pi * hertz * t + hertz) for hertz, weight in pairs], axis=0)


def switched(sound: Wave, on: float, off: float) -> Wave:
    """A sound that is on and off in turn (seconds)."""
    t = np.arange(len(sound)) / RATE % (on + off)
    return sound * np.clip(np.minimum(t, on - t) / 0.005, 0, 1)


def semitone(number: float) -> float:
    """The frequency so many semitones above middle C."""
    return 261.63 * 2 ** (number / 12)


def notes(count: int, chords: Sequence[Sequence[int]], seconds: float, decay: float, partials: int) -> Wave:
    """Chords one after the other, each struck and dying away by exp(-t / decay)."""
    each = min(round(seconds * RATE), count)
    t = np.arange(each) / RATE
    envelope = np.minimum(t / 0.01, 1) * np.exp(-t / decay)
    struck = []
    for index in range(-(-count // each)):
        hertz = [semitone(n) * k for n in chords[index % len(chords)] for k in range(1, partials + 1)]
        weights = [1 / k for _ in chords[index % len(chords)] for k in range(1, partials + 1)]
        struck.append(envelope * tones(each, hertz, weights))
    return np.concatenate(struck)[:count]


def clicks(count: int, rng: np.random.Generator, rate: float) -> Wave:
    """Claps or keys at random times: bursts of noise that die away in 20 ms."""
    impulses = (rng.random(count) < rate / RATE) * rng.uniform(0.3, 1, count)
    burst = rng.normal(size=RATE // 5) * np.exp(-np.arange(RATE // 5) / (0.02 * RATE))
    return np.fft.irfft(np.fft.rfft(impulses, 2 * count) * np.fft.rfft(burst, 2 * count))[:count]


def drums(count: int, rng: np.random.Generator) -> Wave:
    """A bass drum, whose pitch glides, twice a second, and a snare between."""
    each = RATE // 2
    t = np.arange(each) / RATE
    beat = np.sin(2 * np.pi * (60 * t + 20 * (1 - np.exp(-30 * t)))) * np.exp(-10 * t)
    beat[each // 2 :] += rng.normal(size=each - each // 2) * np.exp(-t[: each - each // 2] / 0.03)
    return np.tile(beat, -(-count // each))[:count]


def siren(count: int) -> Wave:
    """A tone that goes up and down between 600 and 1200 Hz every three seconds."""
    t = np.arange(count) / RATE
    return np.sin(2 * np.pi * np.cumsum(900 + 300 * np.sin(2 * np.pi * t / 3)) / RATE)


def melody(count: int, rng: np.random.Generator) -> Wave:
    """Notes of a fifth of a second to half a second with six partials."""
    parts, at = [], 0
    while at < count:
        part = notes(round(rng.choice([0.2, 0.3, 0.5]) * RATE), [[int(rng.integers(-5, 12))]], 1.0, 0.15, 6)
        parts.append(part)
        at += len(part)
    return np.concatenate(parts)[:count]


def swelling(count: int, rng: np.random.Generator) -> Wave:
    """Wind or waves: pink noise whose level moves by some 20 dB over seconds."""
    t = np.arange(count) / RATE
    return coloured(count, rng, 1) * 10 ** (-0.5 + 0.5 * np.sin(2 * np.pi * t / 4))


NON_SPEECH: dict[str, Make] = {
    "silence": lambda n, rng: np.zeros(n),
    "low noise (-70 dB)": lambda n, rng: 10 ** (-50 / 20) * rng.normal(size=n),
    "white noise": lambda n, rng: rng.normal(size=n),
    "pink noise": lambda n, rng: coloured(n, rng, 1),
    "brown noise": lambda n, rng: coloured(n, rng, 2),
    "tone, 440 Hz": lambda n, rng: tones(n, [440]),
    "tone, 150 Hz": lambda n, rng: tones(n, [150]),
    "hum, 50 Hz and harmonics": lambda n, rng: tones(n, [50, 100, 150, 200, 250], [1, 0.6, 0.5, 0.2, 0.2]),
    "sustained chord, sines": lambda n, rng: tones(n, [semitone(k) for k in (0, 4, 7)]),
    "sustained low chord, six partials": lambda n, rng: notes(n, [(-12, -8, -5)], 1000, 1e6, 6),
    "engine, 83 Hz": lambda n, rng: notes(n, [(-20,)], 1000, 1e6, 20) + 0.3 * coloured(n, rng, 1),
    "dial tone": lambda n, rng: tones(n, [350, 440]),
    "busy tone": lambda n, rng: switched(tones(n, [480, 620]), 0.5, 0.5),
    "ringing tone": lambda n, rng: switched(tones(n, [440, 480]), 2, 4),
    "dialling, DTMF": lambda n, rng: switched(tones(n, [770, 1336]), 0.15, 0.15),
    "beeps": lambda n, rng: switched(tones(n, [1000]), 0.3, 1.2),
    "siren": lambda n, rng: siren(n),
    "noise in bursts, 4 Hz": lambda n, rng: switched(rng.normal(size=n), 0.125, 0.125),
    "swelling noise": swelling,
    "claps": lambda n, rng: clicks(n, rng, 3.0),
    "typing": lambda n, rng: clicks(n, rng, 8.0),
    "chord progression, sines": lambda n, rng: notes(n, MAJOR, 1.0, 0.5, 1),
    "chord progression, six partials": lambda n, rng: notes(n, MAJOR, 1.0, 0.5, 6),
    "melody": melody,
    "drums": drums,
}


def make_sound(name: str, seconds: float, seed: int = 0) -> NDArray[np.float32]:
    """A sound of NON_SPEECH, at -20 dB of full scale but for the first two."""
    count = round(seconds * RATE)
    wave = NON_SPEECH[name](count, np.random.default_rng(seed))
    if "low" in name and "noise" in name:
        return (wave * 0.1).astype(np.float32)
    return np.asarray(0.1 * wave / (np.sqrt(np.mean(np.square(wave))) or 1.0), dtype=np.float32)
