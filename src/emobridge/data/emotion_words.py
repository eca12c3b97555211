"""The words that corpora use for emotions, in many languages: `emotion_words.csv`.

Each row of the table has an emotion, a language and its words in it: nouns and adjectives, masculine, feminine and
plural, with "_" where a word has a space. A row without a language has codes of corpora ("ang"); codes of one letter,
and numbers, mean different things in different corpora and are not there. The name of each emotion is a word too. What
no row of data.labels.EMOTIONS means ("frustration") is there so that it is recognised and taken for nothing else;
"unlabelled" is for cells that say that there is no label.

Words are compared by `languages.folded`, so that case, diacritics and spaces do not matter. A word that means different
emotions in different languages (content is contentment in English and happiness in French) needs the row's language.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

from emobridge.languages import folded, primary_language

CODES = ""  # in place of a language: codes of corpora, and names of emotions
FAR = 2  # edits: a hint is given only where all words within this distance mean the same emotion


@dataclass(frozen=True, slots=True)
class Word:
    """A word for an emotion."""

    spelling: str
    meanings: tuple[tuple[str, str], ...]  # language (BCP 47, or CODES) and emotion

    @property
    def emotions(self) -> frozenset[str]:
        """All that it means in any language."""
        return frozenset(emotion for _, emotion in self.meanings)

    def emotion_in(self, language: str) -> str | None:
        """What it means in a language; in one where it is no word, what it means in all others, None where they differ.

        >>> word = Word("content", (("en", "contentment"), ("fr", "happiness")))
        >>> word.emotion_in("fr-CA"), word.emotion_in("en"), word.emotion_in("und")
        ('happiness', 'contentment', None)
        """
        tag = primary_language(language)
        by_language = dict(self.meanings)
        if tag in by_language:
            return by_language[tag]
        return next(iter(self.emotions)) if len(self.emotions) == 1 else None


def find_word(text: str) -> Word | None:
    """The word that `text` is, whatever its case and diacritics; None for an unknown one.

    >>> find_word("GLUECKLICH").emotions, find_word("pleasant surprise").emotions, find_word("glucklish")
    (frozenset({'happiness'}), frozenset({'surprise'}), None)
    """
    return _words().get(folded(text))


def similar_word(text: str, language: str = "und", more: Iterable[Word] = ()) -> Word | None:
    """The word that an unknown `text` is a misspelling of; None where that is not certain.

    It has the same first letter ("unhappy" is no misspelling of "happy") and differs in one letter, or from eight
    letters on in two. It is English, a code, of `more`, or of the language where that is known. No word of any language
    within FAR edits means another emotion.
    """
    key, tag = folded(text), primary_language(language)
    allowed = 0 if len(key) < 4 else 1 if len(key) < 8 else 2
    best, fewest, near = None, allowed + 1, []
    for spelling, word in (*((folded(word.spelling), word) for word in more), *_words().items()):
        edits = _edits(key, spelling)
        if edits <= FAR:
            near.append(word)
        is_spoken = tag == "und" or any(spoken in (CODES, "en", tag) for spoken, _ in word.meanings)
        if edits < fewest and spelling[:1] == key[:1] and is_spoken:
            best, fewest = word, edits
    return best if best and all(best.emotions & word.emotions for word in near) else None


def word_languages() -> Mapping[str, frozenset[str]]:
    """Each emotion of the table -> the languages that it has words of."""
    languages: dict[str, set[str]] = {}
    for row in _rows():
        languages.setdefault(row["emotion"], set()).update({row["language"]} - {CODES})
    return {emotion: frozenset(tags) for emotion, tags in languages.items()}


def all_words() -> Mapping[str, Word]:
    """Every word by its folded spelling."""
    return _words()


@cache
def _rows() -> tuple[dict[str, str], ...]:
    text = resources.files("emobridge").joinpath("data/emotion_words.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))


@cache
def _words() -> Mapping[str, Word]:
    meanings: dict[str, dict[str, str]] = {}
    spellings: dict[str, str] = {}
    for row in _rows():
        for word in row["words"].split():
            for spelling in (word, *_other_spellings(word, row["language"])):
                meanings.setdefault(folded(spelling), {})[row["language"]] = row["emotion"]
                spellings.setdefault(folded(spelling), spelling.replace("_", " "))
    names = {row["emotion"]: row["emotion"] for row in _rows()}
    words = {key: Word(spellings[key], tuple(by_language.items())) for key, by_language in meanings.items()}
    return MappingProxyType(words | {name: Word(name, ((CODES, name),)) for name in names})


def _other_spellings(word: str, language: str) -> tuple[str, ...]:
    """German without umlauts, Arabic with the article, Urdu with the Arabic heh."""
    if language == "de":
        return (word.replace("ä", "ae").replace("ö", "oe").replace("ü", "ue"),)
    return (f"ال{word}",) if language == "ar" else (word.replace("ہ", "ه"),) if language == "ur" else ()


def _edits(first: str, other: str) -> int:
    """How many letters are inserted, left out, replaced or swapped with their neighbour between two words.

    The distance of Damerau and Levenshtein (Lowrance & Wagner 1975); FAR + 1 for all that is farther.
    """
    if abs(len(first) - len(other)) > FAR:
        return FAR + 1
    size = len(first) + len(other)
    table = [[size] * (len(other) + 2) for _ in range(len(first) + 2)]
    for i in range(len(first) + 1):
        table[i + 1][1] = i
    for j in range(len(other) + 1):
        table[1][j + 1] = j
    last_row: dict[str, int] = {}
    for i, left in enumerate(first, 1):
        last_match = 0
        for j, right in enumerate(other, 1):
            swap = table[last_row.get(right, 0)][last_match] + (i - last_row.get(right, 0) - 1) + (j - last_match)
            change = table[i][j] + (left != right)
            table[i + 1][j + 1] = min(change, table[i + 1][j] + 1, table[i][j + 1] + 1, swap)
            if left == right:
                last_match = j
        last_row[left] = i
        if min(table[i + 1][1:]) > FAR:
            return FAR + 1
    return min(table[-1][-1], FAR + 1)
