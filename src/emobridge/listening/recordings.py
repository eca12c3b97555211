"""The recordings of a listening test: cut, at 16 kHz as models hear them, one channel, 16 bits, equally loud.

A file holds samples and nothing else. Its rate, channel and format are the same for every item, so that only the sound
and its length tell what it is.
"""

from __future__ import annotations

import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emobridge.data.audio import END_TOLERANCE, AudioError, read_audio, read_utterance
from emobridge.files import whole_file
from emobridge.types import SAMPLE_RATE, Utterance

_LOUDNESS = 10 ** (-26 / 20)  # RMS of full scale: -26 dB, the usual level of speech in listening tests (ITU-T P.800)
_MOST_PEAK = 0.99  # of full scale
_FAINTEST = 1e-5  # RMS of full scale: -100 dB; 16 bits hold nothing below
_LONGEST = 60.0  # s; who listens to more in one item gives more than one answer
_TONE_SECONDS, _TONE_PITCH, _TONE_FADE = 1.0, 440.0, 0.05  # s, Hz, s: what an attention check plays


@dataclass(frozen=True, slots=True)
class Loudness:
    """What is measured of a recording before it is written."""

    seconds: float
    rms: float  # of full scale
    peak: float


def read_recording(utterance: Utterance, *, whole: bool) -> NDArray[np.float32]:
    """(T,): what is played of an utterance: its stretch, or the whole file. Errors: AudioError."""
    return read_audio(utterance.path, channel=utterance.channel) if whole else read_utterance(utterance)


def measure_recording(utterance: Utterance, *, whole: bool) -> Loudness:
    """How long and loud it is. Errors: AudioError as `read_recording`, for more than _LONGEST and for silence."""
    samples = read_recording(utterance, whole=whole)
    seconds = len(samples) / SAMPLE_RATE
    if seconds > _LONGEST:
        raise AudioError(f"{utterance.path}: {seconds:.1f} s; a listening test plays {_LONGEST:g} s at most")
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    if whole and utterance.end is not None and utterance.end > seconds + END_TOLERANCE:
        raise AudioError(f"{utterance.path}: end {utterance.end} s is beyond the end of the file ({seconds:.3f} s)")
    if rms < _FAINTEST:
        raise AudioError(f"{utterance.path}: nothing is heard in it")
    return Loudness(seconds, rms, float(np.abs(samples).max()))


def gains(levels: Sequence[Loudness], corpora: Sequence[str], how: str) -> list[float]:
    """The factor of each recording, with which none clips: of its corpus, of its own level, or 1.

    how: "corpus": all recordings of a corpus together are as loud as those of another; where a peak would clip at the
    usual loudness, ALL are quieter by as much, see `lowered`. "item": each is as loud as another, but for those that
    would clip. "none": as they are; a corpus that clips is lowered by itself.
    """
    if how == "item":
        return [min(_LOUDNESS / level.rms, _MOST_PEAK / level.peak) for level in levels]
    groups = _by_corpus(levels, corpora)
    if how == "none":
        return [min(1.0, _MOST_PEAK / max(level.peak for level in groups[corpus])) for corpus in corpora]
    loudness = {corpus: _loudness_of(own) for corpus, own in groups.items()}
    reached = _LOUDNESS * 10 ** (-lowered(levels, corpora) / 20)
    return [reached / loudness[corpus] for corpus in corpora]


def lowered(levels: Sequence[Loudness], corpora: Sequence[str]) -> float:
    """How many dB below the usual loudness corpora are as loud as each other without a peak that clips; 0 or more."""
    groups = _by_corpus(levels, corpora).values()
    reached = [_MOST_PEAK * _loudness_of(own) / max(level.peak for level in own) for own in groups]
    return max(0.0, 20 * float(np.log10(_LOUDNESS / min(reached))))


def _by_corpus(levels: Sequence[Loudness], corpora: Sequence[str]) -> dict[str, list[Loudness]]:
    groups: dict[str, list[Loudness]] = {}
    for corpus, level in zip(corpora, levels):
        groups.setdefault(corpus, []).append(level)
    return groups


def _loudness_of(levels: Sequence[Loudness]) -> float:
    """The RMS of some recordings, one after the other."""
    seconds = np.array([level.seconds for level in levels])
    power = np.array([level.rms for level in levels]) ** 2
    return float(np.sqrt((seconds * power).sum() / seconds.sum()))


def tone() -> NDArray[np.float32]:
    """(T,): what an attention check plays, as loud as speech, with soft ends."""
    times = np.arange(round(_TONE_SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    ends = np.minimum(1.0, np.minimum(times, _TONE_SECONDS - times) / _TONE_FADE)
    return np.asarray(_LOUDNESS * np.sqrt(2) * ends * np.sin(2 * np.pi * _TONE_PITCH * times), dtype=np.float32)


def write_recording(path: Path, samples: NDArray[np.float32], gain: float = 1.0) -> float:
    """Write samples as a WAV file of 16 bits, whole or not at all; its seconds."""
    numbers = np.rint(np.clip(samples.astype(np.float64) * gain, -1, 1) * 32767).astype("<i2")
    with whole_file(path, durable=False) as temporary, wave.open(str(temporary), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(numbers.tobytes())
    return len(numbers) / SAMPLE_RATE
