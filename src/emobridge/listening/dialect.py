"""Words of a dialect corpus that name what an utterance does, and the emotion that each stands for.

Han et al., ICASSP 2025, score the Tianjin dialect (TJD) so: negation is close to anger, expectation to happiness, and a
question has no emotion. Which answers are right for a question they do not say: QUESTION_RULES are ours.
"""

from __future__ import annotations

from types import MappingProxyType

from emobridge.data.labels import to_emotion

DIALECT_EMOTIONS = MappingProxyType({"question": "neutral", "negation": "anger", "expectation": "happiness"})
DIALECT_WORDS = tuple(DIALECT_EMOTIONS)
QUESTION_RULES = ("neutral", "left-out")
RULE_TEXTS = MappingProxyType(
    {
        "neutral": "A question has no emotion: the answer neutral counts as right for it, and no other (ours).",
        "left-out": "A question has no emotion: items that are questions are left out of all scores (ours).",
    }
)


def emotion_of_word(word: str, language: str = "und") -> str | None:
    """The emotion that an answer, or the truth of an item, means; None where it is empty.

    language: of who wrote the word. Errors: UnknownLabel for a word that means no emotion.

    >>> emotion_of_word("Negation"), emotion_of_word("traurig"), emotion_of_word(" ")
    ('anger', 'sadness', None)
    """
    return DIALECT_EMOTIONS.get(word.strip().casefold()) or to_emotion(word, language=language)
