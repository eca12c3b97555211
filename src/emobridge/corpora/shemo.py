"""ShEMO, the Sharif Emotional Speech Database: 87 speakers of Persian (31 women, 56 men), Sharif University 2018.

3,000 utterances, 3 h 25 min, cut out of radio plays, so that `naturalness` is "acted" (the paper says semi-natural);
twelve annotators heard them, and the majority gave the label:
anger 1,059, neutral 1,028, sadness 449, surprise 225, happiness 201 and fear 38. It is far from balanced.
A name is `GSSENN`: gender G (F or M), speaker SS, emotion E (A anger, F fear, H happiness, N neutral, S sadness, W
surprise) and a number NN: F at the beginning is female, F in the middle is fear.

The distribution also has a table, shemo.json, which is not read: EmoBox, which took labels from it, has 2,838 of the
3,000 utterances, and 347 transcripts were later found with the wrong recording (Yazdani & Shekofteh 2022, whose
"modified ShEMO" repairs them), so that `text` is None. Counts of other papers may come from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import GENDERS, corpus_files, emotion_of, unique_utterances
from emobridge.types import Utterance

LANGUAGES = ("fa",)
LABELS = {
    "A": "anger",
    "F": "fear",
    "H": "happiness",
    "N": "neutral",
    "S": "sadness",
    "W": "surprise",
}
LICENCE = "free for academic purposes, says the paper; Apache 2.0, says the card of the authors' dataset"
CITATION = (
    "Mohamad Nezami, Jamshid Lou & Karami (2019). ShEMO: a large-scale validated database for Persian speech emotion "
    "detection. Language Resources and Evaluation 53, 1-16. doi:10.1007/s10579-018-9427-x"
)
OBTAIN = "Get female.zip and male.zip from https://github.com/pariajm/sharif-emotional-speech-dataset and unpack them."

NAME = re.compile(r"([FM]\d\d)([A-Z])\d+")


def scan(root: Path) -> Iterator[Utterance]:
    """The clips under `root`, which holds the folders female and male (or one of them) at any depth.

    The speaker is the gender and the number of the names, as "F21"; files with other names are skipped.
    Errors: UserError for an unknown emotion letter, a name met twice, and where no clip is found.
    """
    return unique_utterances(root, _clips(root), layout="female/F21N37.wav", obtain=OBTAIN)


def _clips(root: Path) -> Iterator[Utterance]:
    for path in corpus_files(root):
        match = NAME.fullmatch(path.stem)
        if match is None:
            continue
        speaker, emotion = match.groups()
        yield Utterance(
            id=path.stem,
            corpus="shemo",
            path=str(path),
            language="fa",
            speaker=speaker,
            emotion=emotion_of(emotion, LABELS, path),
            gender=GENDERS[speaker[0].casefold()],
            naturalness="acted",
        )
