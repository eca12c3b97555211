"""MSP-Podcast: spontaneous English of podcasts, collected at the University of Texas at Dallas.

Speaking turns are cut from podcasts, chosen by machine so that emotions are better balanced than by chance, and rated
by several listeners; their consensus is an emotion and the mean arousal, valence and dominance. The means are given as
in the corpus, on a scale of 1 (calm, negative, weak) to 7.
Releases (1.8, 1.11, 1.12, 2.0) differ in size and in who is in which split: say which one you used.

`Labels/labels_consensus.csv` (in some releases `labels_concensus.csv`) has the labels, `Audios` the recordings
`MSP-PODCAST_PPPP_NNNN.wav`: podcast PPPP, turn NNNN. EmoClass is a letter (X: the raters did not agree, here without an
emotion), SpkrID a number or Unknown (here without a speaker), and Split_Set Train, Development, Test1, Test2 or Test3.
The texts in `Transcripts` are not read. Releases whose labels are in Labels.txt (up to 1.8) are not understood.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import unique_utterances
from emobridge.corpora._podcast import EMOTION_CLASSES, RATING_RANGE, clips
from emobridge.errors import unknown
from emobridge.types import Utterance

LANGUAGES = ("en",)
LABELS = EMOTION_CLASSES
ATTRIBUTE_RANGE = RATING_RANGE
LICENCE = "academic licence agreement with the University of Texas at Dallas; not to be passed on"
CITATION = (
    "Lotfian & Busso (2019). Building Naturalistic Emotionally Balanced Speech Corpus by Retrieving Emotional Speech "
    "From Existing Podcast Recordings. IEEE Transactions on Affective Computing 10(4), 471-483. "
    "doi:10.1109/TAFFC.2017.2736999"
)
OBTAIN = (
    "Ask for it at https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Podcast.html (an agreement is signed by "
    "your institution) and unpack Audios and Labels into one folder."
)

TESTS = ("Test1", "Test2", "Test3")


def scan(root: Path, *, test: str = "Test1") -> Iterator[Utterance]:
    """The recordings under `root`, the folder that holds Labels and Audios, or the one above it.

    test: which test set is the split "test": Test1, Test2 or Test3; the others are left out. "all" takes the three
    together. Rows without a recording, and recordings without a row, are skipped.
    Errors: UserError for another `test`, for a malformed row (`file:row`), and where no recording is found.
    """
    choices = {name.casefold(): (name,) for name in TESTS} | {"all": TESTS}
    chosen = choices.get(str(test).casefold())
    if chosen is None:
        raise unknown("test set", str(test), [*TESTS, "all"])
    splits = {"Train": "train", "Development": "validation"} | {
        name: "test" if name in chosen else None for name in TESTS
    }
    return unique_utterances(
        root,
        clips(root, corpus="msp-podcast", language="en", splits=splits),
        layout="Labels/labels_consensus.csv and Audios/MSP-PODCAST_0001_0008.wav",
        obtain=OBTAIN,
    )
