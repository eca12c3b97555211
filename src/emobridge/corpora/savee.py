"""SAVEE, Surrey Audio-Visual Expressed Emotion: four male speakers of British English, 2011.

Each says fifteen sentences in each of six emotions and thirty in a neutral voice: 120 clips a speaker, 480 in all, of
them neutral 120 and each other emotion 60 (the Info.txt beside them says fifteen for neutral too).
A name is an emotion (a anger, d disgust, f fear, h happiness, n neutral, sa sadness, su surprise) and a sentence of two
digits, in a folder of the speaker: AudioData/DC/a01.wav. A copy that is often met has all in one folder, the speaker
before the name: DC_a01.wav. Both are understood, and have the same ids. A sentence counts within its emotion, and what
it says is not in the names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import corpus_files, emotion_of, unique_utterances
from emobridge.types import Utterance

LANGUAGES = ("en",)
LABELS = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}
LICENCE = "free for research, after registration"
CITATION = (
    "Haq & Jackson (2011). Multimodal emotion recognition. In Wang (ed.), Machine Audition: Principles, Algorithms and "
    "Systems, 398-423. IGI Global. doi:10.4018/978-1-61520-919-4.ch017"
)
OBTAIN = "Register at http://kahlan.eps.surrey.ac.uk/savee/Download.html, get AudioData and unpack it."

SPEAKERS = ("DC", "JE", "JK", "KL")
NAME = re.compile(r"(?:([A-Z]{2})_)?([a-z]{1,2})(\d\d)")


def scan(root: Path) -> Iterator[Utterance]:
    """The clips under `root`, which holds the speakers' folders at any depth, is one, or holds names with speakers.

    The speaker is "DC", "JE", "JK" or "KL", and with the name it makes the id; other files are skipped.
    Errors: UserError for an unknown emotion code, a name met twice, and where no clip is found.
    """
    return unique_utterances(root, _clips(root), layout="DC/a01.wav or DC_a01.wav", obtain=OBTAIN)


def _clips(root: Path) -> Iterator[Utterance]:
    for path in corpus_files(root):
        match = NAME.fullmatch(path.stem)
        if match is None:
            continue
        prefix, emotion, sentence = match.groups()
        speaker = prefix or path.absolute().parent.name
        if speaker in SPEAKERS:
            yield Utterance(
                id=f"{speaker}_{emotion}{sentence}",
                corpus="savee",
                path=str(path),
                language="en",
                speaker=speaker,
                emotion=emotion_of(emotion, LABELS, path),
                gender="male",
                naturalness="acted",
            )
