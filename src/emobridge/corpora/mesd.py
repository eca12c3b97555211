"""MESD, the Mexican Emotional Speech Database: single words by people who are no actors, Monterrey 2021.

Three women, two men and six children say words in six emotions: 864 clips, 144 an emotion, 48 of them each by women,
men and children.
A name is `Emotion_V_C_word`: emotion (its English word), voice V (F women, M men, C children), corpus C (A: the same
words in all emotions and voices; B: words that mean the emotion) and the word.

THE NAMES DO NOT TELL WHO SPEAKS, only which kind of voice: `speaker` is None, so that no split can keep speakers apart.
Of children `gender` is None. The second part of the distribution ("naturalness-reduced female voices", names with L1
or L2 before the word) is edited speech, and is skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import GENDERS, corpus_files, emotion_of, unique_utterances
from emobridge.types import Utterance

LANGUAGES = ("es-MX",)
LABELS = {
    "Anger": "anger",
    "Disgust": "disgust",
    "Fear": "fear",
    "Happiness": "happiness",
    "Neutral": "neutral",
    "Sadness": "sadness",
}
LICENCE = "CC BY 4.0"
CITATION = (
    "Duville, Alonso-Valerdi & Ibarra-Zarate (2021). Mexican Emotional Speech Database based on semantic, frequency, "
    "familiarity, concreteness, and cultural shaping of affective prosody. Data 6(12): 130. doi:10.3390/data6120130"
)
OBTAIN = "Get it from https://data.mendeley.com/datasets/cy34mh68j9 and unpack it."

NAME = re.compile(r"([A-Z][a-z]+)_([FMC])_[AB]_(?!L\d_)(.+)")


def scan(root: Path) -> Iterator[Utterance]:
    """The clips under `root`, at any depth; files with other names are skipped.

    Errors: UserError for an unknown emotion word, a name met twice, and where no clip is found.
    """
    return unique_utterances(root, _clips(root), layout="Anger_C_A_abajo.wav", obtain=OBTAIN)


def _clips(root: Path) -> Iterator[Utterance]:
    for path in corpus_files(root):
        match = NAME.fullmatch(path.stem)
        if match is None:
            continue
        emotion, voice, word = match.groups()
        yield Utterance(
            id=path.stem,
            corpus="mesd",
            path=str(path),
            language="es-MX",
            emotion=emotion_of(emotion, LABELS, path),
            text=word.replace("_", " ").strip(),
            gender=GENDERS.get(voice.casefold()),
            naturalness="acted",
        )
