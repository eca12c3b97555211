"""The emotions that emobridge knows, and the words that corpora use for them."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from emobridge.errors import UserError, nearest

EMOTIONS = (
    "anger",
    "happiness",
    "neutral",
    "sadness",
    "fear",
    "disgust",
    "surprise",
    "calm",
    "boredom",
    "contempt",
    "other",
)

# Words for the same thing only. What merges two emotions (excited into happiness, as IEMOCAP papers do) is a choice of
# the experiment and belongs in a mapping; so do one-letter codes, which mean different things in different corpora.
_SYNONYMS_OF: dict[str, str] = {
    "anger": "angry ang hot_anger wut ärger zorn wütend rabbia colère colere ira enfado enojo raiva",
    "happiness": "happy hap joy joyful freude fröhlich gioia joie alegría alegria felicidad felicidade",
    "neutral": "neu neutrality normal neutrale neutro neutre",
    "sadness": "sad trauer traurig tristezza tristesse tristeza",
    "fear": "fearful fea afraid scared angst ängstlich paura peur miedo medo",
    "disgust": "disgusted dis ekel disgusto dégoût degout asco nojo",
    "surprise": "surprised sur surprize ps pleasant_surprise pleasant_surprised überraschung sorpresa surpresa",
    "calm": "calmness ruhig calma calme",
    "boredom": "bored langeweile gelangweilt noia ennui aburrimiento tédio",
    "contempt": "contemptuous verachtung disprezzo mépris desprecio desprezo",
    "other": "oth others altro sonstige autre otro outro",
}
SYNONYMS: dict[str, str] = {word: emotion for emotion, synonyms in _SYNONYMS_OF.items() for word in synonyms.split()}
UNLABELLED = frozenset({"", "unlabelled", "unlabeled", "unknown", "none", "null", "nan", "n/a", "na"})


class UnknownLabel(UserError):
    """A label that no emotion is known for."""

    def __init__(self, label: str, message: str) -> None:
        super().__init__(message)
        self.label = label


def to_emotion(raw: str | None, mapping: Mapping[str, str] | None = None) -> str | None:
    """The emotion of EMOTIONS that a corpus's own label means; None where there is no label.

    `mapping` (raw label -> emotion or synonym) is looked up first, exactly as written; in SYNONYMS case, spaces and
    hyphens do not matter. Errors: UnknownLabel for a label that is in neither, with the nearest valid label.

    >>> to_emotion("Joy"), to_emotion("W", {"W": "anger"}), to_emotion(" ")
    ('happiness', 'anger', None)
    """
    if raw is None:
        return None
    if mapping is not None and raw.strip() in mapping:
        return to_emotion(mapping[raw.strip()])
    word = unicodedata.normalize("NFC", raw).strip().casefold().replace(" ", "_").replace("-", "_")
    if word in UNLABELLED:
        return None
    if word in EMOTIONS:
        return word
    if word in SYNONYMS:
        return SYNONYMS[word]
    guess = nearest(word, (*EMOTIONS, *SYNONYMS, *(mapping or ())))
    hint = f"did you mean {guess!r}? " if guess else ""
    choices = ", ".join((*(mapping or ()), *EMOTIONS))
    raise UnknownLabel(raw.strip(), f"unknown emotion label {raw!r}: {hint}(one of {choices})")
