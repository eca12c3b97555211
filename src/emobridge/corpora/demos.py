"""DEMoS, the Database of Elicited Mood in Speech: 68 Italians (23 women, 45 men), Augsburg and Rome 2019.

Not acted: combinations of mood induction procedures elicited 9,365 samples of seven emotions (the six and guilt), and
332 are neutral: 9,697 in all. By self-assessment and by listeners, 1,564 of 59 speakers were chosen as prototypical.
A name ends in `g_SS_eee...`: gender g (f or m), speaker SS, emotion eee (the first letters of its Italian word: colpa,
disgusto, gioia, neutro, paura, rabbia, sorpresa, tristezza) and what counts the samples. Before it stands PR (the
prototypical) or NP (the others); neutral samples have neither and a folder of their own. What follows the emotion was
not verified against a copy, and is not looked at.

emobridge has no word for guilt (`col`), which becomes "other".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import GENDERS, corpus_files, emotion_of, unique_utterances
from emobridge.errors import unknown
from emobridge.types import Utterance

LANGUAGES = ("it",)
LABELS = {
    "col": "other",
    "dis": "disgust",
    "gio": "happiness",
    "neu": "neutral",
    "pau": "fear",
    "rab": "anger",
    "sor": "surprise",
    "tri": "sadness",
}
LICENCE = "for research, after a signed end user licence agreement"
CITATION = (
    "Parada-Cabaleiro, Costantini, Batliner, Schmitt & Schuller (2020). DEMoS: an Italian emotional speech corpus. "
    "Language Resources and Evaluation 54, 341-383. doi:10.1007/s10579-019-09450-y"
)
OBTAIN = "Ask for it at https://zenodo.org/records/2544829 (a permanent member of a university has to) and unpack it."

SAMPLES = {"all": "", "prototypical": "PR", "nonprototypical": "NP"}  # the mark that names begin with
NAME = re.compile(r"(?:([A-Za-z]+)_)?([fm])_(\d+)_([a-z]{3})[^_]*")


def scan(root: Path, samples: str = "all") -> Iterator[Utterance]:
    """The clips under `root`, which holds the emotional and the neutral samples (or some of them) at any depth.

    samples: "all", or those marked as "prototypical" or "nonprototypical", both without neutral ones.
    The speaker is the gender and number of the names, as "f01"; files with other names are skipped.
    Errors: UserError for unknown `samples` and emotion codes, a name met twice, and where no clip is found.
    """
    if samples not in SAMPLES:
        raise unknown("samples of DEMoS", str(samples), SAMPLES)
    return unique_utterances(root, _clips(root, SAMPLES[samples]), layout="DEMOS/PR_f_01_rab01a.wav", obtain=OBTAIN)


def _clips(root: Path, chosen: str) -> Iterator[Utterance]:
    for path in corpus_files(root):
        match = NAME.fullmatch(path.stem)
        if match is None:
            continue
        mark, gender, speaker, emotion = match.groups()
        if chosen in ("", mark):
            yield Utterance(
                id=path.stem,
                corpus="demos",
                path=str(path),
                language="it",
                speaker=gender + speaker,
                emotion=emotion_of(emotion, LABELS, path),
                gender=GENDERS[gender],
                naturalness="elicited",
            )
