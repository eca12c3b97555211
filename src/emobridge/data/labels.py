"""The emotions that emobridge knows, and which of them a label means."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from emobridge.data.emotion_words import CODES, Word, find_word, similar_word
from emobridge.errors import UserError
from emobridge.languages import folded, language_name

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
NO_LABEL = "unlabelled"  # what a mapping says of a label that means no emotion and no other one


class UnknownLabel(UserError):
    """A label that no emotion is known for. Its text, which compares spellings, is made when it is shown."""

    def __init__(self, label: str, word: str, mapping: Mapping[str, str], language: str) -> None:
        """word: what is not known: the label, or what the mapping says that it means."""
        super().__init__(label)
        self.label = label
        self._word, self._mapping, self._language = word, mapping, language

    @property
    def guess(self) -> str | None:
        """The emotion that the label means if it is a misspelt word; None where that is not certain."""
        word = self._similar()
        emotion = word and word.emotion_in(self._language)
        return emotion if emotion in EMOTIONS else None

    def reason(self) -> str:
        """What is known of the label, such as "did you mean 'boredom'?"; "" where nothing is."""
        reason = self._reason_of_word()
        if self._word == self.label:
            return reason
        return f"{self._word!r} by the data set's map" + (f", {reason}" if reason else "")

    def __str__(self) -> str:
        reason = self.reason()
        choices = ", ".join((*self._mapping, *EMOTIONS))
        return f"unknown emotion label {self.label!r}{f': {reason}' if reason else ''} (one of {choices})"

    def _reason_of_word(self) -> str:
        word = find_word(self._word)
        if word is not None and len(word.emotions) > 1:
            meanings = ", ".join(f"{emotion} in {language_name(language)}" for language, emotion in word.meanings)
            return f"{meanings}; the row's language decides"
        if word is not None:
            return f"{', '.join(word.emotions)} is an emotion that emobridge does not have"
        similar = self._similar()
        if similar is None:
            return ""
        emotion = similar.emotion_in(self._language)
        meaning = f" ({emotion})" if emotion != similar.spelling else ""
        return f"did you mean {similar.spelling!r}{meaning}?"

    def _similar(self) -> Word | None:
        if find_word(self._word) is not None:
            return None
        meanings = {label: _emotion(word, self._language) for label, word in self._mapping.items()}
        more = [Word(label, ((CODES, emotion),)) for label, emotion in meanings.items() if emotion]
        return similar_word(self._word, self._language, more)


def to_emotion(raw: str | None, mapping: Mapping[str, str] | None = None, language: str = "und") -> str | None:
    """The emotion of EMOTIONS that a corpus's own label means; None where there is no label.

    mapping: raw label -> emotion, or a word for it; it is looked up first, exactly as written. Other words are those of
    data.emotion_words, where case, diacritics and spaces do not matter. language: of the row (BCP 47); it decides where
    a word means different emotions in different languages.
    Errors: UnknownLabel for a label, or a word of the mapping, that means none of EMOTIONS.

    >>> to_emotion("Joy"), to_emotion("W", {"W": "anger"}), to_emotion(" "), to_emotion("content", language="fr")
    ('happiness', 'anger', None, 'happiness')
    """
    if raw is None:
        return None
    label = raw.strip()
    word = mapping[label] if mapping is not None and label in mapping else label
    emotion = _emotion(word, language)
    if emotion is None:
        raise UnknownLabel(label, word.strip(), mapping or {}, language)
    return None if emotion == NO_LABEL else emotion


def likely_emotion(label: str, mapping: Mapping[str, str] | None = None) -> str | None:
    """The emotion that an unknown label means if it is a misspelt word, of the `mapping` or any other.

    None where that is not certain.

    >>> likely_emotion("boredem"), likely_emotion("fru"), likely_emotion("unhappy")
    ('boredom', None, None)
    """
    return UnknownLabel(label, label, mapping or {}, "und").guess


@lru_cache(maxsize=4096)
def _emotion(text: str, language: str) -> str | None:
    """The emotion that a word means, NO_LABEL for an empty one, None where it means none that emobridge has."""
    if not folded(text):
        return NO_LABEL
    word = find_word(text)
    emotion = word and word.emotion_in(language)
    return emotion if emotion in (*EMOTIONS, NO_LABEL) else None
