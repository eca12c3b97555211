"""A tiny listening test in a folder, with the recordings of its items: tones, of which none tells anything."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from emobridge.listening.questions import QUESTIONS, RULES
from emobridge.listening.records import ListeningItem, ListeningStudy, Rule
from emobridge.listening.study import AUDIO_FOLDER, write_study_file

EMOTIONS = ("anger", "happiness", "neutral", "sadness")
SECONDS = 0.5
RATE = 16_000


def tiny_study(per_emotion: int = 2, languages: tuple[str, ...] = ("de", "zh"), **changes) -> ListeningStudy:
    """A study of so many items an emotion and language, a practice item an emotion and one attention check."""
    items = [
        ListeningItem(
            id=(name := f"i{language}{emotion[0]}{number}"), audio=f"{name}.wav", seconds=SECONDS, emotion=emotion,
            language=language, corpus={"de": "emodb", "zh": "esd"}.get(language, "toy"), speaker=f"s{number % 2}",
            utterance=f"{language}-{emotion}-{number}",
        )
        for language in languages for emotion in EMOTIONS for number in range(per_emotion)
    ]  # fmt: skip
    items += [
        ListeningItem(f"p{emotion[0]}", f"p{emotion[0]}.wav", SECONDS, emotion, "practice") for emotion in EMOTIONS
    ]
    items.append(ListeningItem("c0", "c0.wav", SECONDS, "sadness", "attention"))
    rules = (*RULES, Rule("languages", "excludes", ("zh",), "de"), Rule("english", "at least", 6.5))
    values = {"name": "tiny", "seed": 0, "emotions": EMOTIONS, "items": tuple(items), "questions": QUESTIONS,
              "rules": rules, "block": 8, **changes}  # fmt: skip
    return ListeningStudy(**values)


def write_tiny_study(folder: Path, study: ListeningStudy | None = None) -> ListeningStudy:
    """Write a study, by default the tiny one, and a tone for each item."""
    study = study or tiny_study()
    audio = folder / AUDIO_FOLDER
    audio.mkdir(parents=True, exist_ok=True)
    for number, item in enumerate(study.items):
        tone = 0.2 * np.sin(2 * np.pi * (200 + 10 * number) * np.arange(round(item.seconds * RATE)) / RATE)
        with wave.open(str(audio / item.audio), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes((tone * 32767).astype("<i2").tobytes())
    write_study_file(folder, study)
    return study
