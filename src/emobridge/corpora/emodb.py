"""EMO-DB, the Berlin Database of Emotional Speech: ten German actors (five women, five men), TU Berlin 1997-1999.

They say ten everyday sentences in seven emotions, in an anechoic chamber; of some 800 takes the 535 stayed that
listeners recognised (80 %) and found natural (60 %), so that speakers and sentences are not balanced over emotions.
A name is `SSTTTEv`: speaker SS (women 08 09 13 14 16, men 03 10 11 12 15), sentence TTT (a01 to b10), emotion E (the
initial of its German word: Wut, Langeweile, Ekel, Angst, Freude, Trauer, neutral) and take v. The speakers' ages, 21 to
35 years, are those of the distribution's table of speakers.

Where the distribution's folder `lablaut` stands beside `wav`, `phones` is the hand-made phone alignment of the clip.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import corpus_files, emotion_of, unique_utterances
from emobridge.types import Utterance

LANGUAGES = ("de",)
LABELS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
LICENCE = "free for research; cite the paper"
CITATION = (
    "Burkhardt, Paeschke, Rolfes, Sendlmeier & Weiss (2005). A database of German emotional speech. "
    "Interspeech 2005, 1517-1520. doi:10.21437/Interspeech.2005-446"
)
OBTAIN = "Get download.zip from http://emodb.bilderbar.info and unpack it."

TEXTS = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
WOMEN, MEN = ("08", "09", "13", "14", "16"), ("03", "10", "11", "12", "15")
GENDER = dict.fromkeys(WOMEN, "female") | dict.fromkeys(MEN, "male")
AGES = {"03": 31, "08": 34, "09": 21, "10": 32, "11": 26, "12": 30, "13": 32, "14": 35, "15": 25, "16": 31}
NAME = re.compile(r"(\d\d)([ab]\d\d)([A-Z])([a-z])")


def scan(root: Path) -> Iterator[Utterance]:
    """The clips under `root`: the folder that holds `wav`, or `wav` itself.

    The speaker is the number of the names, "03" to "16"; files with other names are skipped.
    Errors: UserError for an unknown emotion letter, a name met twice, and where no clip is found.
    """
    return unique_utterances(root, _clips(root), layout="wav/03a01Fa.wav", obtain=OBTAIN)


def _clips(root: Path) -> Iterator[Utterance]:
    for path in corpus_files(root):
        match = NAME.fullmatch(path.stem)
        if match is None:
            continue
        speaker, sentence, emotion, _ = match.groups()
        phones = path.parent.parent / "lablaut" / f"{path.stem}xx.lablaut"
        yield Utterance(
            id=path.stem,
            corpus="emodb",
            path=str(path),
            language="de",
            speaker=speaker,
            emotion=emotion_of(emotion, LABELS, path),
            text=TEXTS.get(sentence, sentence),
            phones=str(phones) if phones.is_file() else None,
            gender=GENDER.get(speaker),
            naturalness="acted",
            age=AGES.get(speaker),
        )
