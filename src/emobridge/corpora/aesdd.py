"""AESDD, the Acted Emotional Speech Dynamic Database: Greek actors, Aristotle University of Thessaloniki 2017.

Each says nineteen sentences and an improvised one in five emotions; neutral speech is lacking. "Dynamic" means that it
grows: its readme tells of five actors (three women, two men) and around 500 utterances, later ones being added, and
the published files have six speakers and 605 names, about 120 an emotion.
A name is `xAA (B)`: emotion x (a letter, as is its folder anger, disgust, fear, happiness or sadness), utterance AA (01
to 20) and speaker B. Some are irregular: a speaker is written (01) in `f10 (01)`, and a
letter tells a second take in `a06 (5)b`, or the first of two in `s01 (5)a`.
`s05 (3)` is cut off before its audio, so that reading it fails: 604 remain, of them anger 121, disgust 122, fear 120,
happiness 119, sadness 122. What the sentences are is not in the names, so `text` is None though all share them. Nor is
which speakers are women: `gender` is None.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import corpus_files, emotion_of, unique_utterances
from emobridge.types import Utterance

LANGUAGES = ("el",)
LABELS = {"a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "s": "sadness"}
LICENCE = "CC BY 4.0, says the card of a copy (not verified at the source); cite the paper"
CITATION = (
    "Vryzas, Kotsakis, Liatsou, Dimoulas & Kalliris (2018). Speech emotion recognition for performance interaction. "
    "Journal of the Audio Engineering Society 66(6), 457-467. doi:10.17743/jaes.2018.0036"
)
OBTAIN = "Get it from http://m3c.web.auth.gr/research/aesdd-speech-emotion-recognition/ and unpack it."

NAME = re.compile(r"([a-z])\d\d ?\((\d+)\)[a-z]?")


def scan(root: Path) -> Iterator[Utterance]:
    """The clips under `root`, which holds the folders anger, disgust, fear, happiness and sadness at any depth.

    The speaker is the number in brackets without leading zeros, "1" to "6"; files with other names are skipped.
    Errors: UserError for an unknown emotion letter, a name met twice, and where no clip is found.
    """
    return unique_utterances(root, _clips(root), layout="anger/a03 (4).wav", obtain=OBTAIN)


def _clips(root: Path) -> Iterator[Utterance]:
    for path in corpus_files(root):
        match = NAME.fullmatch(path.stem)
        if match is None:
            continue
        emotion, speaker = match.groups()
        yield Utterance(
            id=path.stem,
            corpus="aesdd",
            path=str(path),
            language="el",
            speaker=str(int(speaker)),
            emotion=emotion_of(emotion, LABELS, path),
            naturalness="acted",
        )
