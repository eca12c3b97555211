"""EYASE, the Egyptian Arabic speech emotion database: six speakers (three women, three men), 2020.

579 utterances in four emotions, called semi-natural; what they were taken from was not verified, so that
`naturalness` is None.
A speaker has a folder, Female01 to Female03 and Male01 to Male03, and a name there is `fm01_ang (1)`: speaker, emotion
and a number. This is known from code that reads them, not from a copy, and only for women: the speaker is therefore
taken from the folder, and of the name only the emotion between the last underscore and the bracket.
What is said is not in the names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import GENDERS, corpus_files, emotion_of, unique_utterances
from emobridge.types import Utterance

LANGUAGES = ("ar-EG",)
LABELS = {"ang": "anger", "hap": "happiness", "neu": "neutral", "sad": "sadness"}
LICENCE = "for research, from the author, not to be passed on; cite the paper"
CITATION = (
    "Abdel-Hamid (2020). Egyptian Arabic speech emotion recognition using prosodic, spectral and wavelet features. "
    "Speech Communication 122, 19-30. doi:10.1016/j.specom.2020.04.005"
)
OBTAIN = "Ask the author for it at https://www.researchgate.net/publication/341001383_EYASE_Database and unpack it."

SPEAKER = re.compile(r"(Female|Male)\d\d")
NAME = re.compile(r".*_([a-z]+) ?\(\d+\)")


def scan(root: Path) -> Iterator[Utterance]:
    """The clips under `root`, which holds the folders Female01 to Male03 (or some of them) at any depth, or is one.

    The speaker is the folder, and with the name it makes the id; files elsewhere and with other names are skipped.
    Errors: UserError for an unknown emotion code, a name met twice, and where no clip is found.
    """
    return unique_utterances(root, _clips(root), layout="Female01/fm01_ang (1).wav", obtain=OBTAIN)


def _clips(root: Path) -> Iterator[Utterance]:
    for path in corpus_files(root):
        speaker = path.absolute().parent.name
        match, folder = NAME.fullmatch(path.stem), SPEAKER.fullmatch(speaker)
        if match is None or folder is None:
            continue
        yield Utterance(
            id=f"{speaker}/{path.stem}",
            corpus="eyase",
            path=str(path),
            language="ar-EG",
            speaker=speaker,
            emotion=emotion_of(match[1], LABELS, path),
            gender=GENDERS[folder[1].casefold()],
        )
