"""CaFE, the Canadian French Emotional speech dataset: twelve actors (six women, six men), Sherbrooke 2018.

Each says six sentences in six emotions of two intensities (1 faible, 2 fort) and, once, in a neutral voice: 78 clips an
actor, 936 in all, of them neutral 72 and each other emotion 144.
A name is `AA-E-I-S`: actor AA (01 to 12; odd male, even female), emotion E (the initial of its French word: colère,
dégoût, joie, neutre, peur, surprise, tristesse), intensity I and sentence S.

The same recordings are published at 48 kHz (CaFE_48k) and at 192 kHz (CaFE_192k_1 and CaFE_192k_2), under the same
names: scan one of them. Every encoder here needs less than the lower rate.
The counts of Agarla et al. (2024), in literature/agarla2024_emotions.csv, have neutral and sadness the other way round.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import corpus_files, emotion_of, unique_utterances
from emobridge.types import Utterance

LANGUAGES = ("fr-CA",)
LABELS = {
    "C": "anger",
    "D": "disgust",
    "J": "happiness",
    "N": "neutral",
    "P": "fear",
    "S": "surprise",
    "T": "sadness",
}
LICENCE = "CC BY-NC-SA 4.0"
CITATION = (
    "Gournay, Lahaie & Lefebvre (2018). A Canadian French emotional speech dataset. "
    "ACM Multimedia Systems Conference 2018, 399-402. doi:10.1145/3204949.3208121"
)
OBTAIN = "Get CaFE_48k.zip from https://zenodo.org/records/1478765 and unpack it."

TEXTS = {
    "1": "Un cheval fou dans mon jardin",
    "2": "Deux ânes aigris au pelage brun",
    "3": "Trois cygnes aveugles au bord du lac",
    "4": "Quatre vieilles truies éléphantesques",
    "5": "Cinq pumas fiers et passionnés",
    "6": "Six ours aimants domestiqués",
}
NAME = re.compile(r"(\d\d)-([A-Z])-\d-(\d)")


def scan(root: Path) -> Iterator[Utterance]:
    """The clips under `root`, which holds the folders Colère, Dégoût, Joie ... (or some of them) at any depth.

    The speaker is the actor's number, "01" to "12"; files with other names are skipped.
    Errors: UserError for an unknown emotion letter, a name met twice (as where both rates are there), and where no clip
    is found.
    """
    return unique_utterances(root, _clips(root), layout="Joie/Fort/01-J-2-1.wav", obtain=OBTAIN)


def _clips(root: Path) -> Iterator[Utterance]:
    for path in corpus_files(root):
        match = NAME.fullmatch(path.stem)
        if match is None:
            continue
        actor, emotion, sentence = match.groups()
        yield Utterance(
            id=path.stem,
            corpus="cafe",
            path=str(path),
            language="fr-CA",
            speaker=actor,
            emotion=emotion_of(emotion, LABELS, path),
            text=TEXTS.get(sentence, sentence),
            gender="male" if int(actor) % 2 else "female",
            naturalness="acted",
        )
