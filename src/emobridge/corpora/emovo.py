"""EMOVO, the first emotional corpus of Italian: six actors (three women, three men), Fondazione Ugo Bordoni, Rome 2014.

Each says fourteen sentences (nine that mean something and five of nonsense) in seven expressions, once each: 98 clips a
speaker, 588 in all, so that every speaker shows every emotion equally often.
A name is `eee-sp-tt`: emotion eee (the first letters of its Italian word: disgusto, gioia, neutro, paura, rabbia,
sorpresa, tristezza), speaker sp (f1 to f3, m1 to m3) and sentence tt (b short, l long, n nonsense, d question).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import GENDERS, corpus_files, emotion_of, unique_utterances
from emobridge.types import Utterance

LANGUAGES = ("it",)
LABELS = {
    "dis": "disgust",
    "gio": "happiness",
    "neu": "neutral",
    "pau": "fear",
    "rab": "anger",
    "sor": "surprise",
    "tri": "sadness",
}
LICENCE = "free for research; cite the paper"
CITATION = (
    "Costantini, Iaderola, Paoloni & Todisco (2014). EMOVO corpus: an Italian emotional speech database. "
    "LREC 2014, 3501-3504."
)
OBTAIN = "Get it from http://voice.fub.it/activities/corpora/emovo/index.html and unpack it."

TEXTS = {
    "b1": "Gli operai si alzano presto.",
    "b2": "I vigili sono muniti di pistola.",
    "b3": "La cascata fa molto rumore.",
    "l1": "L'autunno prossimo Tony partirà per la Spagna nella prima metà di ottobre.",
    "l2": "Ora prendo la felpa di là ed esco per fare una passeggiata.",
    "l3": "Un attimo dopo s'è incamminato ed è inciampato.",
    "l4": "Vorrei il numero telefonico del Signor Piatti.",
    "n1": "La casa forte vuole col pane.",
    "n2": "La forza trova il passo e l'aglio rosso.",
    "n3": "Il gatto sta scorrendo nella pera.",
    "n4": "Insalata pastasciutta coscia d'agnello limoncello.",
    "n5": "Uno quarantatré dieci mille cinquantasette venti.",
    "d1": "Sabato sera cosa farà?",
    "d2": "Porti con te quella cosa?",
}
NAME = re.compile(r"([a-z]{3})-([fm]\d)-([a-z]\d)")


def scan(root: Path) -> Iterator[Utterance]:
    """The clips under `root`, which holds the folders f1, f2, f3, m1, m2 and m3 (or some of them) at any depth.

    The speaker is the one of the names, "f1" to "m3"; files with other names are skipped.
    Errors: UserError for an unknown emotion code, a name met twice, and where no clip is found.
    """
    return unique_utterances(root, _clips(root), layout="f1/rab-f1-b1.wav", obtain=OBTAIN)


def _clips(root: Path) -> Iterator[Utterance]:
    for path in corpus_files(root):
        match = NAME.fullmatch(path.stem)
        if match is None:
            continue
        emotion, speaker, sentence = match.groups()
        yield Utterance(
            id=path.stem,
            corpus="emovo",
            path=str(path),
            language="it",
            speaker=speaker,
            emotion=emotion_of(emotion, LABELS, path),
            text=TEXTS.get(sentence, sentence),
            gender=GENDERS[speaker[0]],
            naturalness="acted",
        )
