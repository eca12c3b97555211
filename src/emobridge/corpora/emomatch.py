"""EmoMatchSpanishDB: fifty speakers of Spanish who are no actors, Madrid 2023.

Seven emotions were elicited from them, and a crowd of listeners heard the recordings. EmoSpanishDB is what the crowd
agreed on; EmoMatchSpanishDB, the part of it where it heard the emotion that was elicited. D'Asaro et al. (2024) count
2,020 clips in it, others 2,005 or 2,050; not verified against a copy.
A name is `SS_Eeee_NN`: speaker SS, emotion (its Spanish word, without accents: Alegria, Asco, Ira, Miedo, Neutro,
Sorpresa, Tristeza) and sentence NN, whose words are not in the names. The scheme is that of code by one of the
corpus's authors, not verified against a copy; two underscores in place of one, a slip met in such names, do no harm.

A speaker's gender is not in the names: `gender` is None.
Scan EmoMatchSpanishDB alone: in EmoSpanishDB the emotion elicited need not be the one that was heard.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import corpus_files, emotion_of, unique_utterances
from emobridge.types import Utterance

LANGUAGES = ("es",)
LABELS = {
    "Alegria": "happiness",
    "Asco": "disgust",
    "Ira": "anger",
    "Miedo": "fear",
    "Neutro": "neutral",
    "Sorpresa": "surprise",
    "Tristeza": "sadness",
}
LICENCE = "not verified: ask the authors"
CITATION = (
    "Garcia-Cuesta, Barba Salvador & Gachet Páez (2024). EmoMatchSpanishDB: study of speech emotion recognition "
    "machine learning models in a new Spanish elicited database. Multimedia Tools and Applications 83, 13093-13112. "
    "doi:10.1007/s11042-023-15959-w"
)
OBTAIN = "Ask the authors of https://doi.org/10.1007/s11042-023-15959-w for EmoMatchSpanishDB and unpack it."

NAME = re.compile(r"(\d+)_+([A-Z][a-z]+)_+\d+")


def scan(root: Path) -> Iterator[Utterance]:
    """The clips under `root`, at any depth.

    The speaker is the number of the names; files with other names are skipped.
    Errors: UserError for an unknown emotion word, a name met twice, and where no clip is found.
    """
    return unique_utterances(root, _clips(root), layout="03_Alegria_02.WAV", obtain=OBTAIN)


def _clips(root: Path) -> Iterator[Utterance]:
    for path in corpus_files(root):
        match = NAME.fullmatch(path.stem)
        if match is None:
            continue
        speaker, emotion = match.groups()
        yield Utterance(
            id=path.stem,
            corpus="emomatch",
            path=str(path),
            language="es",
            speaker=speaker,
            emotion=emotion_of(emotion, LABELS, path),
            naturalness="elicited",
        )
