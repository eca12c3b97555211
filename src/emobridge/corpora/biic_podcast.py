"""BIIC-Podcast: spontaneous Taiwanese Mandarin of podcasts, collected at National Tsing Hua University.

It follows the protocol of MSP-Podcast: speaking turns are chosen from podcasts by machine and rated by listeners, with
an emotion and arousal, valence and dominance on a scale of 1 (calm, negative, weak) to 7, given here as they are.
`Labels/labels_consensus.csv` has the labels, `Audios` the recordings `BIIC-PODCAST_PPPP_NNNN.wav` (podcast PPPP, turn
NNNN, sometimes a part of it: `BIIC-PODCAST_PPPP_NNNN_KKKK.wav`), and there is one test set.

Not verified against a copy. The names of the recordings, EmoAct, EmoVal, EmoDom with their scale, and the Split_Set
values Train, Development and Test are those of label tables that the EMO-SUPERB benchmark derived from release 1.01.
That the table of the release has FileName, EmoClass (letters as in MSP-Podcast; words are understood too) and SpkrID is
taken over from MSP-Podcast; without a column SpkrID no utterance has a speaker. Where a copy differs, the error names
the column, and the corpus `table` reads any other with a mapping of columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import unique_utterances
from emobridge.corpora._podcast import EMOTION_CLASSES, RATING_RANGE, clips
from emobridge.types import Utterance

LANGUAGES = ("zh-TW",)
LABELS = EMOTION_CLASSES
ATTRIBUTE_RANGE = RATING_RANGE
LICENCE = "academic licence agreement with National Tsing Hua University; not to be passed on"
CITATION = (
    "Upadhyay, Chien, Su, Goncalves, Wu, Salman, Busso & Lee (2023). An Intelligent Infrastructure Toward Large Scale "
    "Naturalistic Affective Speech Corpora Collection. ACII 2023."
)
OBTAIN = (
    "Ask for it at https://biic.ee.nthu.edu.tw/open_resource_detail.php?id=63 and unpack Audios and Labels into one "
    "folder."
)

SPLIT_OF = {"Train": "train", "Development": "validation", "Test": "test"}


def scan(root: Path) -> Iterator[Utterance]:
    """The recordings under `root`, the folder that holds Labels and Audios, or the one above it.

    Rows without a recording, and recordings without a row, are skipped.
    Errors: UserError for a malformed row (`file:row`), a missing column, and where no recording is found.
    """
    return unique_utterances(
        root,
        clips(root, corpus="biic-podcast", language="zh-TW", splits=SPLIT_OF),
        layout="Labels/labels_consensus.csv and Audios/BIIC-PODCAST_0001_0031.wav",
        obtain=OBTAIN,
    )
