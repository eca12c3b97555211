"""IEMOCAP: ten actors of American English in dialogues, University of Southern California 2008.

In each of five sessions a woman and a man play scripted scenes and improvise on given situations; 10,039 turns, about
half of them improvised. At least three annotators named an emotion (the majority counts) and two or more rated
valence, activation (here arousal) and dominance from 1 (negative, calm, weak) to 5: the means are given as they are.

`SessionN/dialog/EmoEvaluation/DIALOGUE.txt` has a line a turn, `[start - end] TURN emotion [V, A, D]`, followed by what
each annotator said; `SessionN/dialog/transcriptions/DIALOGUE.txt` has the texts and
`SessionN/sentences/wav/DIALOGUE/TURN.wav` the turns. A turn is `Ses01F_impro01_M003`: session, who wears the motion
capture markers (F or M), dialogue (`impro` or `script`), and who speaks: the speaker of this one is Ses01M, not Ses01F.

Scripted turns are "acted", improvised ones "elicited": the situations were designed to elicit emotions.

Labels are ang hap exc sad neu fru fea sur dis oth, and xxx where annotators did not agree (here without an emotion).
Excitement and frustration are none of emobridge's emotions and become "other", or excitement happiness, as many papers
have it: their four classes are often ang, hap + exc, neu, sad. Scripted turns share their texts between sessions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import GENDERS, files_like, unique_utterances
from emobridge.errors import UserError, unknown
from emobridge.types import Range, Utterance

LANGUAGES = ("en",)
LABELS = {
    "ang": "anger",
    "hap": "happiness",
    "exc": "other",
    "sad": "sadness",
    "neu": "neutral",
    "fru": "other",
    "fea": "fear",
    "sur": "surprise",
    "dis": "disgust",
    "oth": "other",
}
LICENCE = "licence agreement with the University of Southern California, for research; not to be passed on"
CITATION = (
    "Busso, Bulut, Lee, Kazemzadeh, Mower, Kim, Chang, Lee & Narayanan (2008). IEMOCAP: Interactive emotional dyadic "
    "motion capture database. Language Resources and Evaluation 42, 335-359. doi:10.1007/s10579-008-9076-6"
)
OBTAIN = "Ask for it at https://sail.usc.edu/iemocap/iemocap_release.htm and unpack it."
ATTRIBUTE_RANGE = Range(1, 5)

NO_AGREEMENT = "xxx"
EXCITED = {"separate": "other", "happiness": "happiness"}
EVALUATIONS = tuple(f"{folder}dialog/EmoEvaluation/*.txt" for folder in ("Session*/", "*/Session*/", ""))
TURN = re.compile(r"(Ses0\d)[FM]_\w+_([FM])\w+")
SUMMARY = re.compile(r"\[\S+ - \S+\]\s+(\w+)\s+(\w+)\s+\[([^,\]]+),([^,\]]+),([^,\]]+)\]")
TRANSCRIPT = re.compile(r"(Ses\w+) \[[^\]]*\]:\s*(.*)")


def scan(root: Path, *, improvised: bool = False, excited: str = "separate") -> Iterator[Utterance]:
    """The turns under `root`: IEMOCAP_full_release, the folder above it, or one Session.

    improvised: only the improvised dialogues. excited: "separate" makes it "other", "happiness" merges the two.
    Evaluated turns without a recording are skipped.
    Errors: UserError for another `excited`, an unknown emotion code or a malformed line (`file:line`), and where no
    turn is found.
    """
    if excited not in EXCITED:
        raise unknown("choice for excited", str(excited), EXCITED)
    labels = LABELS | {"exc": EXCITED[excited]}
    layout = "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt with its sentences/wav"
    return unique_utterances(root, _turns(root, labels, improvised), layout=layout, obtain=OBTAIN)


def _turns(root: Path, labels: dict[str, str], improvised: bool) -> Iterator[Utterance]:
    for evaluation in files_like(root, *EVALUATIONS):
        dialogue, session = evaluation.stem, evaluation.parents[2]
        if improvised and "_impro" not in dialogue:
            continue
        texts = _texts(session / "dialog" / "transcriptions" / evaluation.name)
        for number, line in enumerate(_lines(evaluation), 1):
            if not line.startswith("["):
                continue
            where = f"{evaluation}:{number}"
            summary = SUMMARY.fullmatch(line.strip())
            turn = TURN.fullmatch(summary[1]) if summary else None
            if summary is None or turn is None:
                raise UserError(f"{where}: expected '[start - end] TURN emotion [V, A, D]', not {line.strip()!r}")
            name, code, *ratings = summary.groups()
            path = session / "sentences" / "wav" / dialogue / f"{name}.wav"
            if not path.is_file():
                continue
            if code not in (*labels, NO_AGREEMENT):
                raise UserError(f"{where}: {unknown('emotion code', code, (*labels, NO_AGREEMENT))}")
            valence, arousal, dominance = (_rating(text, where) for text in ratings)
            yield Utterance(
                id=name,
                corpus="iemocap",
                path=str(path),
                language="en",
                speaker=turn[1] + turn[2],
                emotion=labels.get(code),
                arousal=arousal,
                valence=valence,
                dominance=dominance,
                text=texts.get(name),
                gender=GENDERS[turn[2].casefold()],
                naturalness="elicited" if "_impro" in dialogue else "acted",
            )


def _rating(text: str, where: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        raise UserError(f"{where}: a rating is {text.strip()!r}; expected a number from 1 to 5") from None
    return value if math.isfinite(value) else None


def _texts(path: Path) -> dict[str, str]:
    """Turn -> its text; empty where the file is missing."""
    matches = (TRANSCRIPT.fullmatch(line.strip()) for line in _lines(path)) if path.is_file() else ()
    return {match[1]: match[2] for match in matches if match is not None}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
