"""TESS, the Toronto Emotional Speech Set: two actresses of Toronto, aged 64 and 26, 2010.

Each says 200 words after "Say the word" in seven emotions: 2,800 clips, 400 an emotion. Whatever is learnt from it
alone is learnt from two voices, of one sex, and a split that keeps speakers apart has one of them on each side.
A name is `SAF_word_emotion`: speaker OAF (older) or YAF (younger), the word and the emotion, where `ps` is a pleasant
surprise. One is misspelt: OA_bite_neutral is of the speaker OAF, and keeps its name as its id.
A copy that is often met holds the whole corpus twice, one folder within the other: point to the inner one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import corpus_files, emotion_of, unique_utterances
from emobridge.types import Utterance

LANGUAGES = ("en",)
LABELS = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "ps": "surprise",
    "sad": "sadness",
}
LICENCE = "CC BY-NC-ND 4.0"
CITATION = (
    "Pichora-Fuller & Dupuis (2020). Toronto emotional speech set (TESS). Scholars Portal Dataverse. "
    "doi:10.5683/SP2/E8H2MF"
)
OBTAIN = "Get it from https://doi.org/10.5683/SP2/E8H2MF and unpack it."

SPEAKERS = {"OAF": "OAF", "YAF": "YAF", "OA": "OAF"}  # the last is the misspelt one
NAME = re.compile(r"(OAF|YAF|OA)_([a-z]+)_([a-z]+)")


def scan(root: Path) -> Iterator[Utterance]:
    """The clips under `root`, at any depth and in whatever folders.

    The speaker is "OAF" or "YAF"; files with other names are skipped.
    Errors: UserError for an unknown emotion word, a name met twice, and where no clip is found.
    """
    return unique_utterances(root, _clips(root), layout="OAF_angry/OAF_back_angry.wav", obtain=OBTAIN)


def _clips(root: Path) -> Iterator[Utterance]:
    for path in corpus_files(root):
        match = NAME.fullmatch(path.stem)
        if match is None:
            continue
        speaker, word, emotion = match.groups()
        yield Utterance(
            id=path.stem,
            corpus="tess",
            path=str(path),
            language="en",
            speaker=SPEAKERS[speaker],
            emotion=emotion_of(emotion, LABELS, path),
            text=f"Say the word {word}",
            gender="female",
            naturalness="acted",
        )
