"""A small study with sound files, for the tests of the listening test and its load test."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from emobridge.listening.records import ListeningItem, ListeningStudy, Question

EMOTIONS = ("anger", "happiness", "neutral", "sadness")


def make_items(languages=("de", "it"), each=2, practice=1, attention=1) -> tuple[ListeningItem, ...]:
    """Items of each emotion and language, then those of practice and the attention checks."""
    cells = [(emotion, language) for language in languages for emotion in EMOTIONS for _ in range(each)]
    kinds = ["item"] * len(cells) + ["practice"] * practice + ["attention"] * attention
    cells += [(EMOTIONS[number % 4], languages[0]) for number in range(practice + attention)]
    return tuple(
        ListeningItem(f"i{number:03}", f"i{number:03}.wav", 0.5, emotion, kind, language, corpus="toy", speaker="s1")
        for number, (kind, (emotion, language)) in enumerate(zip(kinds, cells))
    )


def make_study(**changes) -> ListeningStudy:
    facts = {
        "name": "toy",
        "seed": 3,
        "emotions": EMOTIONS,
        "items": make_items(),
        "questions": (Question("headphones", "choice", ("headphones", "loudspeakers")),),
        "block": 8,
    }
    return ListeningStudy(**(facts | changes))


def write_audio(folder: Path, study: ListeningStudy) -> None:
    """A short tone for each item."""
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    for number, item in enumerate(study.items):
        tone = np.sin(np.arange(int(item.seconds * 8000)) * (0.1 + 0.01 * number))
        with wave.open(str(folder / "audio" / item.audio), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes((tone * 8000).astype("<i2").tobytes())
