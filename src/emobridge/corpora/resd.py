"""RESD, Russian Emotional Speech Dialogues: actors improvise in pairs, each with an emotion given, Aniemore 2022.

1,396 utterances of seven emotions, 1,116 to train on and 280 to test on, 2.3 h, at 16 and at 44.1 kHz.
A clip is `train/DIALOGUE/NN_first_second_e_kkk.wav`, or in `test`: dialogue NN, the emotions of its two actors, the
initial e of the emotion of the one who speaks (anger, disgust, enthusiasm, fear, happiness, neutral, sadness) and a
running number. Some have a space before the initial, as `03_disgust_neutral n_050`.

The speaker is the dialogue with the initial, "32h": one actor. WHETHER AN ACTOR SPEAKS IN SEVERAL DIALOGUES, OR IN BOTH
SPLITS, IS NOT TOLD (those who use it count 20, 200 or 240 actors), so that a split by speaker may share a person.
Enthusiasm is none of emobridge's emotions and becomes "other".
The copy on the Hugging Face hub holds the audio within parquet files: save it as files of these names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import corpus_files, emotion_of, unique_utterances
from emobridge.types import Utterance

LANGUAGES = ("ru",)
LABELS = {
    "a": "anger",
    "d": "disgust",
    "e": "other",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "s": "sadness",
}
LICENCE = "MIT"
CITATION = (
    "Amentes, Lubenets & Davidchuk (2022). Aniemore, an open library of artificial intelligence to recognise emotions "
    "in speech. https://github.com/aniemore/Aniemore; the data: doi:10.57967/hf/1272"
)
OBTAIN = "Get Aniemore/resd from the Hugging Face hub, its audio as files in the folders train and test."

SPLIT_FOLDERS = ("train", "test")
NAME = re.compile(r"(\d+)_[a-z]+_[a-z]+[ _]+([a-z])_\d+")


def scan(root: Path) -> Iterator[Utterance]:
    """The clips under `root`, which holds the folders train and test (or one of them); other files are skipped.

    Errors: UserError for an unknown initial of an emotion, a name met twice, and where no clip is found.
    """
    return unique_utterances(
        root, _clips(root), layout="train/happiness_enthusiasm_32/32_happiness_enthusiasm_h_120.wav", obtain=OBTAIN
    )


def _clips(root: Path) -> Iterator[Utterance]:
    for path in corpus_files(root):
        match = NAME.fullmatch(path.stem)
        if match is None:
            continue
        dialogue, initial = match.groups()
        yield Utterance(
            id=path.stem,
            corpus="resd",
            path=str(path),
            language="ru",
            speaker=dialogue + initial,
            emotion=emotion_of(initial, LABELS, path),
            split=next((folder for folder in path.absolute().parts[-3:-1] if folder in SPLIT_FOLDERS), None),
            naturalness="acted",
        )
