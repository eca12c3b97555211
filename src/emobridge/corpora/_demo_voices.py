"""Who speaks in the demonstration corpus, and how an emotion sounds in each language.

A manner of speaking is a point in eight dimensions. An utterance's manner is

    the language's plain one + the speaker's own + strength x (language weight x emotion) + jitter

with the strength drawn for each speaker and each utterance. The language weights and plain manners are what makes
crossing languages hard: what carries an emotion in one language is weak in another, and what is plain in one is a
little moved in another. They are INVENTED, as are the emotions' manners (loosely after Scherer, Speech Communication
40, 2003, table 2), and claim nothing of real languages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Manner:
    """A manner of speaking, relative to a plain one."""

    pitch: float = 0.0  # semitones
    span: float = 0.0  # octaves of change of the pitch range
    tempo: float = 0.0  # octaves of change of the words a minute
    level: float = 0.0  # dB
    tilt: float = 0.0  # dB at 2 kHz and above, of voiced sounds
    breath: float = 0.0  # strength of noise at the formants
    rough: float = 0.0  # espeak-ng's roughness, 0 to 7
    formant: float = 0.0  # percent of change of the formants' frequencies


EMOTION_MANNERS: dict[str, Manner] = {
    "anger": Manner(pitch=2.0, span=0.5, tempo=0.10, level=2.0, tilt=6.0, breath=-0.5, rough=2.5, formant=1.0),
    "happiness": Manner(pitch=4.5, span=0.9, tempo=0.07, level=1.5, tilt=2.0, breath=0.5, rough=-1.0, formant=6.0),
    "neutral": Manner(),
    "sadness": Manner(pitch=-2.0, span=-0.9, tempo=-0.12, level=-2.0, tilt=-5.0, breath=2.0, rough=0.0, formant=-4.0),
    "fear": Manner(pitch=5.0, span=-0.5, tempo=0.15, level=-1.0, tilt=-2.0, breath=2.5, rough=0.5, formant=2.0),
    "disgust": Manner(pitch=-2.5, span=0.1, tempo=-0.08, level=0.0, tilt=2.5, breath=0.5, rough=4.0, formant=-5.0),
    "surprise": Manner(pitch=6.0, span=1.2, tempo=0.0, level=1.5, tilt=-1.5, breath=1.0, rough=0.0, formant=2.0),
}

# Arousal, valence and dominance of each emotion at strength 1.
EMOTION_ATTRIBUTES: dict[str, tuple[float, float, float]] = {
    "anger": (0.7, -0.6, 0.6),
    "happiness": (0.5, 0.7, 0.4),
    "neutral": (0.0, 0.0, 0.0),
    "sadness": (-0.5, -0.6, -0.5),
    "fear": (0.6, -0.6, -0.6),
    "disgust": (0.2, -0.6, 0.2),
    "surprise": (0.6, 0.2, -0.1),
}

LANGUAGE_WEIGHTS: dict[str, Manner] = {
    "en": Manner(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    "de": Manner(0.5, 0.8, 1.1, 1.0, 1.6, 0.8, 1.6, 1.8),
    "it": Manner(1.6, 1.5, 0.6, 0.8, 1.7, 0.6, 0.6, 2.0),
    "fr": Manner(0.8, 1.6, 1.3, 0.4, 0.8, 1.6, 0.6, 1.7),
    "es": Manner(1.7, 1.2, 0.3, 0.1, 1.2, 0.8, 1.2, 1.9),
    "el": Manner(0.9, 0.4, 0.8, 0.9, 1.2, 1.4, 1.5, 0.5),
    "fa": Manner(0.4, 0.9, 1.5, 0.5, 0.5, 1.7, 0.8, 1.5),
    "ar": Manner(1.3, 0.3, 0.4, 0.5, 1.4, 0.9, 1.6, 0.7),
    "cmn": Manner(0.3, 0.2, 1.2, 1.0, 1.4, 1.4, 1.5, 0.8),
    "pl": Manner(0.6, 1.3, 0.9, 0.6, 0.8, 1.9, 0.4, 1.9),
}

# Each language's plain voice: what sounds neutral in one sounds a little moved in another.
PLAIN_MANNERS: dict[str, Manner] = {
    "en": Manner(),
    "de": Manner(pitch=-1.5, span=-0.3, tempo=-0.05, tilt=2.5, breath=-0.4, rough=0.8, formant=-3.0),
    "it": Manner(pitch=2.5, span=0.5, tempo=0.08, tilt=-3.5, breath=0.8, rough=-0.5, formant=4.0),
    "fr": Manner(pitch=1.0, span=0.2, tempo=0.05, tilt=-2.5, breath=0.7, formant=-2.0),
    "es": Manner(pitch=-1.5, span=-0.3, tempo=0.15, tilt=4.5, breath=-0.6, rough=1.2, formant=4.0),
    "el": Manner(pitch=-1.0, tempo=0.08, tilt=2.0, breath=0.5, rough=0.8, formant=1.0),
    "fa": Manner(pitch=1.5, tempo=-0.10, tilt=-1.5, breath=0.8, rough=-0.5, formant=-3.0),
    "ar": Manner(pitch=-2.0, span=0.2, tempo=-0.08, tilt=2.5, breath=0.3, rough=1.0, formant=-2.0),
    "cmn": Manner(pitch=3.0, span=0.3, tempo=-0.05, tilt=-3.5, breath=0.4, formant=3.0),
    "pl": Manner(pitch=-1.5, span=-0.3, tilt=-3.0, breath=1.0, rough=1.0, formant=4.0),
}

# Standard deviations: of speakers about their sex's plain voice, and of utterances about the speaker.
SPEAKER_DEVIATIONS = Manner(pitch=2.0, span=0.25, tempo=0.08, level=3.0, tilt=1.2, breath=0.4, rough=0.4, formant=2.5)
UTTERANCE_DEVIATIONS = Manner(pitch=1.0, span=0.25, tempo=0.08, level=3.5, tilt=1.0, breath=0.3, rough=0.5, formant=1.0)
STRENGTH_OF_SPEAKERS = 0.2  # standard deviation of the logarithm
STRENGTH_OF_UTTERANCES = 0.3
ATTRIBUTE_NOISE = 0.1  # standard deviation

PLAIN_RATE = 165  # words a minute
PLAIN_PITCH = {"m": 95.0, "f": 180.0}  # Hz
PLAIN_SPAN = 0.45  # of the pitch, between its lowest and highest
PLAIN_FORMANTS = {"m": 98.0, "f": 114.0}  # percent of espeak-ng's male voice
PLAIN_BREATH = (0, 2, 3, 3, 3, 3, 3, 2)  # of the eight formants, at breath 1


def seeded_generator(*parts: object) -> np.random.Generator:
    """A random generator that depends on `parts` alone, and not on the order of calls."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))


def speaker_name(number: int) -> str:
    """m01, f02, m03 ...: `number` counts from 0."""
    return f"{'mf'[number % 2]}{number + 1:02}"


def gender_of(speaker: str) -> str:
    """What the speaker's voice is made like: "female" or "male"."""
    return "female" if speaker[0] == "f" else "male"


@dataclass(frozen=True, slots=True)
class Acting:
    """How one utterance is to be spoken."""

    manner: Manner
    attributes: tuple[float, float, float]  # arousal, valence, dominance, in [-1, 1]


def act(seed: int, language: str, speaker: str, emotion: str, text: str, repetition: int) -> Acting:
    """The manner of one utterance and its attributes, which follow from the emotion and its strength."""
    voice = seeded_generator(seed, language, speaker)
    usual = astuple(PLAIN_MANNERS[language]) + np.array(astuple(SPEAKER_DEVIATIONS)) * voice.standard_normal(8)
    strength = np.exp(STRENGTH_OF_SPEAKERS * voice.standard_normal())
    chance = seeded_generator(seed, language, speaker, emotion, text, repetition, "manner")
    strength *= np.exp(STRENGTH_OF_UTTERANCES * chance.standard_normal())
    shown = np.array(astuple(LANGUAGE_WEIGHTS[language])) * astuple(EMOTION_MANNERS[emotion])
    manner = usual + strength * shown + np.array(astuple(UTTERANCE_DEVIATIONS)) * chance.standard_normal(8)
    attributes = strength * np.array(EMOTION_ATTRIBUTES[emotion]) + ATTRIBUTE_NOISE * chance.standard_normal(3)
    arousal, valence, dominance = (round(float(value), 3) for value in np.clip(attributes, -1, 1))
    return Acting(Manner(*map(float, manner)), (arousal, valence, dominance))


def words_a_minute(manner: Manner) -> int:
    """The rate for espeak-ng, within what it takes."""
    return int(np.clip(round(PLAIN_RATE * 2**manner.tempo), 80, 350))


def voice_lines(speaker: str, manner: Manner, language_lines: Sequence[str]) -> list[str]:
    """The voice file of one utterance (espeak-ng's docs/voices.md tells what its lines mean)."""
    sex = speaker[0]
    low = PLAIN_PITCH[sex] * 2 ** (manner.pitch / 12)
    high = low * (1 + PLAIN_SPAN * 2**manner.span)
    scale = PLAIN_FORMANTS[sex] * (1 + manner.formant / 100)
    gain = 10 ** (manner.tilt / 20)
    bright = int(np.clip(round(53 * gain), 5, 255))
    middle = int(np.clip(round(70 * gain**0.5), 5, 255))
    breath = max(0.0, 0.8 + manner.breath)
    return [
        "name emobridge-demo",
        *language_lines,
        f"gender {gender_of(speaker)}",
        f"pitch {round(low)} {round(high)}",
        f"roughness {round(np.clip(1 + manner.rough, 0, 7))}",
        *(f"formant {number} {round(scale)} 100 100" for number in range(1, 9)),
        f"tone 600 100 1200 {middle} 2000 {bright}",
        "breath " + " ".join(str(round(breath * part)) for part in PLAIN_BREATH),
    ]
