"""A printed number as a record, and what readers of tables share: label sets, names of encoders, and decimals.

Corpora and encoders have our names, not those in print: CORPORA and ENCODERS say which is which.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

FOUR = ("anger", "happiness", "neutral", "sadness")
FIVE = ("anger", "fear", "happiness", "neutral", "sadness")
SEVEN = ("anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness")  # EMO-DB
EIGHT = ("anger", "calm", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")  # RAVDESS
BIG_SIX = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")  # Ekman's six and neutral
SIX = ("anger", "fear", "happiness", "neutral", "sadness", "surprise")  # of CAMEO, in most of its languages
NOT_STATED = "not stated"
UNDETERMINED = "und"  # BCP 47
MANY = "mul"  # BCP 47

# The label sets of single-corpus studies, from the corpora's own descriptions; DEMoS's seven are not all among ours.
CORPUS_LABELS = {
    "aesdd": ("anger", "disgust", "fear", "happiness", "sadness"),
    "cafe": BIG_SIX,
    "emodb": SEVEN,
    "emomatch": BIG_SIX,
    "emovo": BIG_SIX,
    "eyase": FOUR,
    "oreau": BIG_SIX,
    "shemo": SIX,
}

# Our presets and plug-ins by the names that tables print; other names are the same in both, or have no preset.
ENCODERS = {
    "ast-from-scratch": "ast",
    "byol-s": "byol-s-1024",  # Agarla et al.: 1024 features, 1.6 million weights
    "emotioncnn": "emotion-cnn",
    "hubert": "hubert-base",
    "hubert-large-ll60k": "hubert-large",
    "w2v2-cn": "wav2vec2-base-zh",
    "w2v2-de": "wav2vec2-base-de",
    "wavlm": "wavlm-base",  # Upadhyay et al.: 12 layers; which checkpoint is silent
    "whisper": "whisper-small",  # Upadhyay et al.: 12 layers; which checkpoint is silent
    "xls-r": "xls-r-300m",  # D'Asaro et al.; which size is silent
}
# Our corpora by the names that tables print, where they differ by more than case.
CORPORA = {
    "CREMA-D": "crema-d",
    "EMO-DB": "emodb",
    "IEMOCAP improvised": "iemocap",
    "msp": "msp-podcast",
    "biic": "biic-podcast",
}

# Our measure by the name that a table prints; other names are the same in both.
MEASURES = {"UAR": "UA", "F1": "F1 macro"}


@dataclass(frozen=True, slots=True)
class Published:
    """One printed number. `labels` is empty where the study does not say which emotions it scored."""

    id: str  # "agarla2024/table-4/de/hubert-base/target": no other number has it
    study: str
    table: str  # as the paper numbers it: "Table 4"
    measure: str  # as printed: "UA", "UAR", "WA", "F1", "CCC arousal", "EDER"
    source_language: str  # BCP 47; "" where the number has no training language (listeners)
    target_language: str
    source: str  # corpora that were trained on, joined by "+"
    target: str  # corpora of the target language
    side: str  # which was scored: "source" or "target"
    method: str
    encoder: str  # a preset or plug-in of ours, or the printed name of one that has none
    labels: tuple[str, ...]
    target_labels: str  # "0", "100", "all", "few" or "not stated"
    printed: str  # per cent with the paper's decimals; CCC in [-1, 1]
    note: str  # how its protocol differs from a run here
    kind: str = "published"  # or "public tool": measured with a public tool, and printed nowhere
    stars: str = ""  # "*" or "**" beside it in print
    meaning: str = ""  # our measure of what was printed, where that is not what its name says

    @property
    def value(self) -> float:
        """Per cent; CCC in [-1, 1]."""
        return float(self.printed)

    @property
    def compared(self) -> str:
        """The measure of ours that it is compared with."""
        return self.meaning or MEASURES.get(self.measure, self.measure)


@dataclass(frozen=True, slots=True)
class PublishedConfusion:
    """A printed confusion matrix."""

    id: str
    study: str
    table: str
    who: str  # "human" or "model"
    native: str  # language of the listeners, or of the model's pre-training
    setting: str  # "mono", "cross" or "trans"; of listeners "l2" counts as "trans"
    test_language: str
    encoder: str  # ours; "" of listeners
    source: str  # the corpus that was trained on; "" of listeners
    target: str  # the corpus that was tested on
    labels: tuple[str, ...]
    shares: tuple[tuple[float, ...], ...]  # rows truth, each of which sums to about 1

    @property
    def train_language(self) -> str:
        """The language that a model was trained on."""
        return self.native if self.setting == "cross" else self.test_language


def read_table(name: str) -> list[dict[str, str]]:
    """The rows of a CSV file of this room, as printed."""
    text = resources.files("emobridge.literature").joinpath(f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def our_encoder(printed: str) -> str:
    """Our name of an encoder; the printed one where none of ours is it.

    >>> our_encoder("w2v2-cn"), our_encoder("data2vec-base")
    ('wav2vec2-base-zh', 'data2vec-base')
    """
    return ENCODERS.get(printed, printed)


def our_corpora(printed: str) -> str:
    """Our names of corpora, joined by "+"; what is not a name is left as it is.

    >>> our_corpora("RAVDESS+SAVEE+TESS"), our_corpora("EMO-DB"), our_corpora("not stated")
    ('ravdess+savee+tess', 'emodb', 'not stated')
    """
    return "+".join(CORPORA.get(name, name.casefold()) for name in printed.split("+"))


def decimals(values: Iterable[str]) -> int:
    """The decimals of a table, of which some values of a CSV have lost zeros at the end.

    >>> decimals(["80.1", "79.13", ""])
    2
    """
    return max((len(value.partition(".")[2]) for value in values), default=0)


def row_id(paper: str, table: str, *parts: str) -> str:
    """An id of words that a URL may hold; empty parts are left out.

    >>> row_id("agarla2024", "Table 6", "de", "dann (reported)", "")
    'agarla2024/table-6/de/dann-reported'
    """
    return "/".join(re.sub(r"[^a-z0-9+.]+", "-", part.casefold()).strip("-") for part in (paper, table, *parts) if part)
