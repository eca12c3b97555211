"""URDU: unacted speech of 38 speakers (27 men, 11 women) in talk shows of Pakistani television, 2018.

400 utterances, 100 of each of four emotions, taken from YouTube.
A name is `SGnn_Fm_Ekkk`: speaker S with gender G (M or F) and number nn, the speaker's utterance m in this folder, and
emotion E (A angry, H happy, N neutral, S sad) with its running number. Many speakers show one emotion only, and SM5
alone has 72 of the neutral clips, so that normalisation by speaker takes much of the emotion out: keep `--guard` on.
The folders Angry, Happy, Neutral and Sad say the same as the letter. What is said is not in the names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import GENDERS, corpus_files, emotion_of, unique_utterances
from emobridge.types import Utterance

LANGUAGES = ("ur",)
LABELS = {"A": "anger", "H": "happiness", "N": "neutral", "S": "sadness"}
LICENCE = "for research only"
CITATION = (
    "Latif, Qayyum, Usman & Qadir (2018). Cross lingual speech emotion recognition: Urdu vs. Western languages. "
    "International Conference on Frontiers of Information Technology (FIT) 2018, 88-93. doi:10.1109/FIT.2018.00023"
)
OBTAIN = "Clone https://github.com/siddiquelatif/URDU-Dataset."

NAME = re.compile(r"(S([MF])\d+)_F\d+_([A-Z])\d+")


def scan(root: Path) -> Iterator[Utterance]:
    """The clips under `root`, which holds the folders Angry, Happy, Neutral and Sad (or some of them) at any depth.

    The speaker is that of the names, as "SM5"; files with other names are skipped.
    Errors: UserError for an unknown emotion letter, a name met twice, and where no clip is found.
    """
    return unique_utterances(root, _clips(root), layout="Angry/SM1_F1_A01.wav", obtain=OBTAIN)


def _clips(root: Path) -> Iterator[Utterance]:
    for path in corpus_files(root):
        match = NAME.fullmatch(path.stem)
        if match is None:
            continue
        speaker, gender, emotion = match.groups()
        yield Utterance(
            id=path.stem,
            corpus="urdu",
            path=str(path),
            language="ur",
            speaker=speaker,
            emotion=emotion_of(emotion, LABELS, path),
            gender=GENDERS[gender.casefold()],
            naturalness="natural",
        )
