"""Phones of speech by its text: espeak-ng speaks the text, and the times of its phones are warped to the recording.

Both are log-mels (the encoder `logmel`, a frame each 10 ms) between their first and last loud frame, no lower than
BAND_FLOOR below the clip's loud frames, each band standardised over the clip, with their slopes beside. Dynamic time
warping of their cosines says which frames belong together. All of it is ours: docs/results/aligner.md has what was
tried.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from emobridge.data.activity import loud_frames
from emobridge.encoders.logmel import Logmel
from emobridge.errors import UserError
from emobridge.phones.base import Alignment, Phone
from emobridge.phones.espeak import Synthesis
from emobridge.phones.speaking import speak_alone, wave_of
from emobridge.phones.warping import cosine_costs, mapped_times, warp
from emobridge.types import SAMPLE_RATE

BAND_FLOOR = 9.0  # nats, 39 dB of power
LOUD_QUANTILE = 0.95  # quantile over frames of their loudest band that stands for the loud frames
SLOPE_SPAN = 2  # frames on either side over which a slope is taken
SHORTEST_PHONE = 0.005  # s; a phone of the text that gets less was not said, or cannot be told from its neighbours
LONGEST_SPEECH = 60.0  # s of speech: the warping holds some 5 bytes for each pair of frames
MOST_STRETCH = 4.0  # a text that takes so many times more or less time than the speech is of another recording


@dataclass(frozen=True, slots=True)
class SpokenText:
    """A text as espeak-ng says it: what its readings are aligned with."""

    features: NDArray[np.float32]  # (N, D) of the frames from `start` on
    start: float  # s, of the synthesis
    synthesis: Synthesis


@dataclass(frozen=True, slots=True)
class AlignedText:
    """The phones and words of a reading."""

    phones: Alignment
    words: tuple[tuple[float, float, str], ...]  # start, end (s), text; gaps are pauses


def spoken_text(text: str, voice: str) -> SpokenText:
    """Speak a text. voice: as `speaking.voice_of` gives it. Errors: UserError as `speaking.speak_alone`."""
    synthesis = speak_alone(text, voice)
    features, start = speech_features(wave_of(synthesis))
    return SpokenText(features, start, synthesis)


def align(spoken: SpokenText, wave: NDArray[np.float32]) -> AlignedText:
    """The phones of a reading of the text, (T,) at 16 kHz, from its start.

    Errors: UserError without speech, for speech longer than LONGEST_SPEECH, and where the text does not fit its length.
    """
    features, start = speech_features(wave)
    stretch = len(features) / len(spoken.features)
    if not 1 / MOST_STRETCH <= stretch <= MOST_STRETCH:
        raise UserError(
            f"the text takes {len(spoken.features) / Logmel.frame_rate:.1f} s and the speech "
            f"{len(features) / Logmel.frame_rate:.1f} s: is it the text of another recording?"
        )
    path = warp(cosine_costs(spoken.features, features))
    phones = spoken.synthesis.phones
    times = np.array([(phone.start, phone.end) for phone in phones], np.float64)
    mapped = start + mapped_times(path, times - spoken.start, Logmel.frame_rate)
    mapped = np.clip(mapped, 0.0, len(wave) / SAMPLE_RATE)
    placed = [replace(phone, start=float(a), end=float(b)) for phone, (a, b) in zip(phones, mapped)]
    return AlignedText(
        Alignment(tuple(phone for phone in placed if phone.end - phone.start >= SHORTEST_PHONE)),
        _words(spoken.synthesis, placed),
    )


def speech_features(wave: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """(T,) at 16 kHz -> (F, 128) of the frames from the first loud one to the last, and the time (s) of the first.

    Errors: UserError without a loud frame, and for more than LONGEST_SPEECH between the first and the last.
    """
    loud = np.flatnonzero(loud_frames(wave))
    if not len(loud):
        raise UserError("no speech")
    first, last = int(loud[0]), int(loud[-1]) + 1
    if last - first > LONGEST_SPEECH * Logmel.frame_rate:
        seconds = (last - first) / Logmel.frame_rate
        raise UserError(f"{seconds:.0f} s of speech; expected {LONGEST_SPEECH:g} s at most: cut it into utterances")
    with torch.inference_mode():
        samples = torch.from_numpy(np.ascontiguousarray(wave))[None]
        layers = _encoder()(samples, torch.ones_like(samples, dtype=torch.bool))
    bands = layers.hidden[0, 0, first:last].numpy()
    bands = np.maximum(bands, np.quantile(bands.max(1), LOUD_QUANTILE) - BAND_FLOOR)
    bands = _standardised(bands)
    return np.hstack([bands, _standardised(_slopes(bands))]), first / Logmel.frame_rate


def _standardised(features: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = features - features.mean(0)
    return np.asarray(centred / (centred.std(0) + 1e-6), np.float32)


def _slopes(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """(F, D) -> (F, D): the regression slope over SLOPE_SPAN frames on either side, but for a factor."""
    count = len(features)
    padded = np.pad(features, ((SLOPE_SPAN, SLOPE_SPAN), (0, 0)), "edge")
    slopes = np.zeros_like(features)
    for step in range(1, SLOPE_SPAN + 1):
        later = padded[SLOPE_SPAN + step : SLOPE_SPAN + step + count]
        slopes += step * (later - padded[SLOPE_SPAN - step : SLOPE_SPAN - step + count])
    return slopes


def _words(synthesis: Synthesis, placed: list[Phone]) -> tuple[tuple[float, float, str], ...]:
    """Each word from its first phone to its last; a word without a phone of its own is left out."""
    starts = [start for start, _ in synthesis.words]
    of_word: dict[int, list[Phone]] = {}
    for phone, moved in zip(synthesis.phones, placed):
        index = int(np.searchsorted(starts, phone.start + 1e-6, side="right")) - 1
        if index >= 0:
            of_word.setdefault(index, []).append(moved)
    words = [(phones[0].start, phones[-1].end, synthesis.words[index][1]) for index, phones in sorted(of_word.items())]
    return tuple(word for word in words if word[1] > word[0])


@functools.cache
def _encoder() -> Logmel:
    return Logmel().eval()
