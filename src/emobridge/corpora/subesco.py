"""SUBESCO, the SUST Bangla Emotional Speech Corpus: 20 professional actors (ten women, ten men), Sylhet 2021.

Each says ten sentences in seven emotions, five times: 7,000 clips, 1,000 an emotion, 7 h 40 min. Fifty listeners
recognised 71 % of what was acted.
A name is `G_NN_NAME_S_s_EMOTION_t`: gender G (F or M), the speaker's number within the gender and name, sentence s,
emotion and take t, as F_02_MONIKA_S_1_NEUTRAL_5. What the sentences are is not in the names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import GENDERS, corpus_files, emotion_of, unique_utterances
from emobridge.types import Utterance

LANGUAGES = ("bn",)
LABELS = {
    "ANGRY": "anger",
    "DISGUST": "disgust",
    "FEAR": "fear",
    "HAPPY": "happiness",
    "NEUTRAL": "neutral",
    "SAD": "sadness",
    "SURPRISE": "surprise",
}
LICENCE = "CC BY 4.0"
CITATION = (
    "Sultana, Rahman, Selim & Iqbal (2021). SUST Bangla Emotional Speech Corpus (SUBESCO): An audio-only emotional "
    "speech corpus for Bangla. PLoS ONE 16(4): e0250173. doi:10.1371/journal.pone.0250173"
)
OBTAIN = "Get SUBESCO.zip from https://zenodo.org/records/4526477 and unpack it."

NAME = re.compile(r"([FM])_(\d+)_[A-Z]+_S_(\d+)_([A-Z]+)_\d+")


def scan(root: Path) -> Iterator[Utterance]:
    """The clips under `root`, at any depth.

    The speaker is the gender and the number of the names, as "F_02"; files with other names are skipped.
    Errors: UserError for an unknown emotion word, a name met twice, and where no clip is found.
    """
    return unique_utterances(root, _clips(root), layout="F_02_MONIKA_S_1_NEUTRAL_5.wav", obtain=OBTAIN)


def _clips(root: Path) -> Iterator[Utterance]:
    for path in corpus_files(root):
        match = NAME.fullmatch(path.stem)
        if match is None:
            continue
        gender, speaker, sentence, emotion = match.groups()
        yield Utterance(
            id=path.stem,
            corpus="subesco",
            path=str(path),
            language="bn",
            speaker=f"{gender}_{speaker}",
            emotion=emotion_of(emotion, LABELS, path),
            text=f"sentence {sentence}",
            gender=GENDERS[gender.casefold()],
            naturalness="acted",
        )
