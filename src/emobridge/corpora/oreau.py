"""Oréau, the French emotional speech database: 32 speakers who are no actors (7 women, 25 men), 2020.

They say 79 utterances of everyday life in a classroom, ten to thirteen written for each of seven emotions, though each
speaker only some of them. There are two versions, both in the distribution: OréauFR_01 has all 502 clips, and
OréauFR_02 the 434 whose emotion listeners recognised (anger 67, disgust 67, fear 51, happiness 62, neutral 70, sadness
55, surprise 62). The documentation calls this 90 %, but it is 86 %.
A name is `SSxNNEa`: speaker SS (07 to 42, with gaps), utterance xNN, emotion E (the initial of its French word: colère,
dégoût, joie, neutre, peur, surprise, tristesse) and a letter, `a` in all of OréauFR_02. The utterance is `a` and two
digits, but also `z03` and `z04`; what it says is not in the names. The folder f or m above it tells the gender.
The emotions were asked for, so that `naturalness` is "acted".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import GENDERS, corpus_files, emotion_of, unique_utterances
from emobridge.errors import unknown
from emobridge.types import Utterance

LANGUAGES = ("fr",)
LABELS = {
    "C": "anger",
    "D": "disgust",
    "J": "happiness",
    "N": "neutral",
    "P": "fear",
    "S": "surprise",
    "T": "sadness",
}
LICENCE = "open; terms at https://zenodo.org/records/4405783"
CITATION = (
    "Kerkeni, Cleder, Serrestou & Raoof (2020). French emotional speech database - Oréau. Zenodo. "
    "doi:10.5281/zenodo.4405783"
)
OBTAIN = "Get it from https://zenodo.org/records/4405783 and unpack it."

FOLDER_ENDINGS = {"1": "FR_01", "2": "FR_02"}  # how the folder's name ends; its é comes in two spellings of Unicode
NAME = re.compile(r"(\d\d)[a-z]\d\d([A-Z])[a-z]")


def scan(root: Path, version: int = 1) -> Iterator[Utterance]:
    """The clips under `root`: the folder that holds OréauFR_01 and OréauFR_02, or one of them itself.

    version: 1 is all clips, 2 those that listeners recognised; the folder of the other version is skipped.
    The speaker is the number of the names; files with other names are skipped.
    Errors: UserError for an unknown version or emotion letter, a name met twice, and where no clip is found.
    """
    if str(version) not in FOLDER_ENDINGS:
        raise unknown("version of Oréau", str(version), FOLDER_ENDINGS)
    others = tuple(end for number, end in FOLDER_ENDINGS.items() if number != str(version))
    return unique_utterances(root, _clips(root, others), layout="OréauFR_01/f/sessj/10a02Ja.wav", obtain=OBTAIN)


def _clips(root: Path, others: tuple[str, ...]) -> Iterator[Utterance]:
    for path in corpus_files(root):
        match = NAME.fullmatch(path.stem)
        if match is None or any(folder.endswith(others) for folder in path.relative_to(root).parts[:-1]):
            continue
        speaker, emotion = match.groups()
        yield Utterance(
            id=path.stem,
            corpus="oreau",
            path=str(path),
            language="fr",
            speaker=speaker,
            emotion=emotion_of(emotion, LABELS, path),
            gender=next((GENDERS[folder] for folder in path.absolute().parts[-3:-1] if folder in GENDERS), None),
            naturalness="acted",
        )
