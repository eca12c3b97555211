"""RAVDESS: 24 professional actors of North American English (12 women, 12 men), Toronto 2018.

Each says two sentences in eight expressions, two intensities (neutral has one) and two repetitions: 60 clips an actor,
1440 in all. A name is seven numbers, `03-01-EE-II-SS-RR-AA`: modality (03 audio only), channel (01 speech), emotion EE,
intensity II (01 normal, 02 strong), sentence SS, repetition RR and actor AA (odd male, even female).

The distribution also has songs (channel 02) and video (modalities 01 and 02) of the same actors. Only speech is taken:
songs lack disgust and surprise, and their melody is given, so that pitch tells little of the emotion.
In the published files Actor_07's 03-01-03-01-02-01-07 and 03-01-03-01-02-02-07 are the same audio; `audit` finds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import Download, corpus_files, emotion_of, unique_utterances
from emobridge.types import Utterance

LANGUAGES = ("en",)
LABELS = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
LICENCE = "CC BY-NC-SA 4.0"
CITATION = (
    "Livingstone & Russo (2018). The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS). "
    "PLoS ONE 13(5): e0196391. doi:10.1371/journal.pone.0196391"
)
OBTAIN = "Get Audio_Speech_Actors_01-24.zip from https://zenodo.org/records/1188976 and unpack it."
DOWNLOADS = (
    Download(
        url="https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip",
        checksum="md5:bc696df654c87fed845eb13823edef8a",
        name="Audio_Speech_Actors_01-24.zip",
        size=208_468_073,
        unpack=True,
    ),
)

TEXTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
NAME = re.compile(r"(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)")


def scan(root: Path) -> Iterator[Utterance]:
    """The speech clips under `root`, which holds Actor_01 to Actor_24 (or some of them) at any depth.

    The speaker is the actor's number, "01" to "24"; files with other names, songs and video are skipped.
    Errors: UserError for an emotion number other than 01 to 08, a name met twice, and where no clip is found.
    """
    return unique_utterances(root, _clips(root), layout="Actor_01/03-01-01-01-01-01-01.wav", obtain=OBTAIN)


def _clips(root: Path) -> Iterator[Utterance]:
    for path in corpus_files(root):
        match = NAME.fullmatch(path.stem)
        if match is None:
            continue
        modality, channel, emotion, _, sentence, _, actor = match.groups()
        if (modality, channel) == ("03", "01"):
            yield Utterance(
                id=path.stem,
                corpus="ravdess",
                path=str(path),
                language="en",
                speaker=actor,
                emotion=emotion_of(emotion, LABELS, path),
                text=TEXTS.get(sentence, sentence),
                gender="male" if int(actor) % 2 else "female",
                naturalness="acted",
            )
