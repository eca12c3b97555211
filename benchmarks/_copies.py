"""Changed copies of a recording, each written as the file that somebody might have made, and synthetic speech."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from scipy.signal import lfilter

RATE = 16_000  # Hz
Wave = NDArray[np.float64]  # (T,), or (T, 2)
Coding = tuple[str, str, str, float | None]  # suffix, format, subtype and compression level of soundfile

WAV: Coding = (".wav", "WAV", "PCM_16", None)
OGG: Coding = (".ogg", "OGG", "VORBIS", 1.0)
OPUS: Coding = (".opus", "OGG", "OPUS", 0.9)
MP3: Coding = (".mp3", "MP3", "MPEG_LAYER_III", 0.99)


def pad(wave: Wave, before: float, after: float) -> Wave:
    """Silence of so many seconds on either side."""
    return np.concatenate([np.zeros(round(before * RATE)), wave, np.zeros(round(after * RATE))])


def trim(wave: Wave, before: float, after: float) -> Wave:
    """Without so many seconds at either end."""
    return wave[round(before * RATE) : len(wave) - round(after * RATE)]


def noisy(wave: Wave, snr: float) -> Wave:
    """With white noise, `snr` dB below the mean power of the clip."""
    scale = np.sqrt(np.mean(wave**2)) * 10 ** (-snr / 20)
    return wave + np.random.default_rng(0).normal(0, scale, len(wave))


def clipped(wave: Wave) -> Wave:
    """10 dB beyond full scale; the file clips it."""
    return wave / np.abs(wave).max() * 10**0.5


def telephone(wave: Wave) -> Wave:
    """Without what is below 300 Hz, by a filter that shifts phases."""
    pole = 0.9  # of a high-pass of the second order at about 270 Hz
    return lfilter([1, -2, 1], [1, -2 * pole, pole**2], wave)


# What is done to the waveform at 16 kHz, the rate in Hz of the file, and its coding.
KINDS: dict[str, tuple[Callable[[Wave], Wave], int, Coding]] = {
    "8 kHz": (lambda w: w, 8_000, WAV),
    "22.05 kHz": (lambda w: w, 22_050, WAV),
    "44.1 kHz": (lambda w: w, 44_100, WAV),
    "48 kHz": (lambda w: w, 48_000, WAV),
    "ogg, 22 kbit/s": (lambda w: w, RATE, OGG),
    "mp3, 24 kbit/s": (lambda w: w, RATE, MP3),
    "mp3 at 8 kHz, 8 kbit/s": (lambda w: w, 8_000, MP3),
    "opus, 20 kbit/s": (lambda w: w, RATE, OPUS),
    "opus, 7 kbit/s": (lambda w: w, RATE, (".opus", "OGG", "OPUS", 1.0)),
    "mu-law at 8 kHz": (lambda w: w, 8_000, (".wav", "WAV", "ULAW", None)),
    "20 dB louder, clipped where it must": (lambda w: w * 10, RATE, WAV),
    "10 dB beyond full scale": (clipped, RATE, WAV),
    "20 dB quieter": (lambda w: w / 10, RATE, WAV),
    "300 ms less at the start": (lambda w: trim(w, 0.3, 0), RATE, WAV),
    "300 ms less at the end": (lambda w: trim(w, 0, 0.3), RATE, WAV),
    "300 ms less at both ends": (lambda w: trim(w, 0.3, 0.3), RATE, WAV),
    "silence at both ends": (lambda w: pad(w, 0.77, 0.4), RATE, WAV),
    "noise, SNR 20 dB": (lambda w: noisy(w, 20), RATE, WAV),
    "inverted": (lambda w: -w, RATE, WAV),
    "offset of 0.1": (lambda w: w + 0.1, RATE, WAV),
    "mixed down from stereo": (lambda w: np.stack([w, 0.4 * np.roll(w, 8)], axis=1), 44_100, WAV),
    "high-pass of a telephone": (telephone, 8_000, WAV),
    "trimmed, and opus, 20 kbit/s": (lambda w: trim(w, 0.3, 0.3), RATE, OPUS),
    "noisy, and mp3, 24 kbit/s": (lambda w: noisy(w, 20), RATE, MP3),
    "clipped, and 8 kHz": (clipped, 8_000, WAV),
    "padded, inverted, and ogg, 22 kbit/s": (lambda w: -pad(w, 0.5, 0.5), RATE, OGG),
    "20 dB quieter, and trimmed": (lambda w: trim(w, 0.3, 0.3) / 10, 22_050, WAV),
}


def write_copy(path: Path, wave: Wave, kind: str) -> Path:
    """Write a copy of `wave`, (T,) at 16 kHz, of a kind of KINDS; `path` gets the suffix of the coding."""
    change, rate, (suffix, container, subtype, level) = KINDS[kind]
    samples = np.clip(soxr.resample(change(np.asarray(wave, dtype=np.float64)), RATE, rate), -1, 1)
    path = path.with_suffix(suffix)
    options = {} if level is None else {"compression_level": level}
    if container == "MP3":
        options["bitrate_mode"] = "CONSTANT"
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with soundfile.SoundFile(path, "w", rate, channels, subtype, format=container, **options) as file:
        file.write(samples)
    return path


def synthetic_speech(seed: int, seconds: float = 3.0) -> NDArray[np.float32]:
    """SYNTHETIC: syllables of a buzz or of noise through three resonances, with pauses between them."""
    rng = np.random.default_rng(seed)
    parts: list[Wave] = [np.zeros(RATE // 5)]
    pitch = rng.uniform(90, 250)
    while sum(map(len, parts)) < seconds * RATE:
        length = int(rng.uniform(0.08, 0.25) * RATE)
        if rng.random() < 0.2:
            parts.append(np.zeros(length))
            continue
        glide = pitch * np.exp(np.linspace(0, rng.normal(0, 0.2), length) + 0.1 * rng.normal())
        sound = np.diff(np.floor(np.cumsum(glide) / RATE), prepend=0) + rng.normal(0, 0.01, length)
        if rng.random() < 0.3:
            sound = rng.normal(0, 0.1, length)
        for low, high in ((250, 900), (900, 2300), (2300, 3400)):
            angle = 2 * np.pi * rng.uniform(low, high) / RATE
            sound = lfilter([1], [1, -2 * 0.97 * np.cos(angle), 0.97**2], sound)
        parts.append(sound * np.hanning(length) * rng.uniform(0.3, 1))
    wave = np.concatenate([*parts, np.zeros(RATE // 5)])
    return np.asarray(0.3 * wave / np.abs(wave).max(), dtype=np.float32)
