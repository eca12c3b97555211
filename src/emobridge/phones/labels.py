"""Phone labels of three notations in IPA, and whether a phone is a vowel, a consonant or a pause.

The tables lie beside this file: `arpabet.csv` (the CMU dictionary's phones, with what TIMIT adds), `sampa.csv` (of the
languages of Europe, https://www.phon.ucl.ac.uk/home/sampa), `lablaut.csv` (what EMO-DB's labels write otherwise),
`ipa.csv` (the symbols and their kinds) and `pauses.csv`. ARPAbet's AH is ʌ where it bears stress and ə where not.
"""

from __future__ import annotations

import csv
import functools
import re
import unicodedata
from collections.abc import Iterable
from importlib import resources

SYMBOL_SETS = ("arpabet", "ipa", "sampa")  # that a file may be in without saying so; of equals, the first is taken
LABLAUT = "lablaut"
_UNWRITTEN = str.maketrans({"g": "ɡ", ":": "ː", **dict.fromkeys("ˈˌ‿.͜͡")})  # stress, ties, breaks of syllables
_POSITION = re.compile(r"_[BIES]$")  # of a phone in its word, as Kaldi marks it


def ipa_of(label: str, notation: str) -> str | None:
    """A label in IPA without stress marks and ties; "" for a pause, None for a label that the notation does not have.

    notation: of SYMBOL_SETS, or LABLAUT.

    >>> ipa_of("AH0", "arpabet"), ipa_of("IY1_B", "arpabet"), ipa_of("a:", "sampa"), ipa_of("ˈt͡ʃ", "ipa")
    ('ə', 'i', 'aː', 'tʃ')
    >>> ipa_of("V", "sampa"), ipa_of("V", LABLAUT), ipa_of("<eps>", "ipa"), ipa_of("Q1", "ipa")
    ('ʌ', 'ʋ', '', None)
    """
    label = _POSITION.sub("", label.strip())
    if not label or label.casefold() in _pauses():
        return ""
    if notation == "ipa":
        return _plain_ipa(label)
    if notation == "arpabet":
        table, label = _table(notation), label.upper()
        return table.get(label) or table.get(label.rstrip("012"))
    return _sampa(label, notation)


def kind_of(ipa: str) -> str | None:
    """Of `base.PHONE_KINDS`: a pause is "", a vowel has a vowel's symbol, else a consonant has one; None otherwise.

    >>> kind_of("aj"), kind_of("ɹ̩"), kind_of(""), kind_of("x1")
    ('vowel', 'consonant', 'pause', None)
    """
    kinds = {_symbols().get(symbol) for symbol in ipa}
    if None in kinds:
        return None
    return "pause" if not ipa else next((kind for kind in ("vowel", "consonant") if kind in kinds), None)


def guess_notation(labels: Iterable[str]) -> str:
    """The notation of SYMBOL_SETS that has most of the labels of a file.

    >>> guess_notation(["sil", "N", "OW1"]), guess_notation(["s", "dh", "ax"]), guess_notation(["a:", "6", "S"])
    ('arpabet', 'arpabet', 'sampa')
    """
    labels = list(labels)
    return max(SYMBOL_SETS, key=lambda notation: sum(bool(ipa_of(label, notation)) for label in labels))


def _plain_ipa(label: str) -> str | None:
    """IPA with diacritics as characters of their own (but for ç), or None."""
    ipa = unicodedata.normalize("NFD", label).replace("c\u0327", "ç").translate(_UNWRITTEN)
    return ipa if ipa and kind_of(ipa) is not None else None


def _sampa(label: str, notation: str) -> str | None:
    """SAMPA; of LABLAUT its own table goes before. A colon is length and a tilde nasality.

    There, what is in neither table is the vowels that it is written with, or a sound that is written twice for its
    length.
    """
    match = re.fullmatch(r"[\"%]?(.+?)(~?)(:?)", label)
    if match is None:
        return None
    base, nasal, length = match.groups()
    ipa = _table(notation).get(base) or _table("sampa").get(base)
    if ipa is None and notation == LABLAUT:
        ipa = _of_parts(base)
    return ipa and ipa + ("\u0303" if nasal else "") + ("ː" if length else "")


def _of_parts(base: str) -> str | None:
    parts = [_table("sampa").get(symbol) for symbol in base]
    if None in parts or len(parts) > 3:
        return None
    joined = "".join(part or "" for part in parts)
    if len(parts) == 2 and parts[0] == parts[1]:
        return f"{parts[0]}ː"
    return joined if all(kind_of(part or "") == "vowel" for part in parts) else None


@functools.cache
def _table(notation: str) -> dict[str, str]:
    return {row["label"]: row["ipa"] for row in _rows(notation)}


@functools.cache
def _symbols() -> dict[str, str]:
    return {row["symbol"]: row["kind"] for row in _rows("ipa")}


@functools.cache
def _pauses() -> frozenset[str]:
    return frozenset(row["label"] for row in _rows("pauses"))


def _rows(name: str) -> list[dict[str, str]]:
    text = resources.files("emobridge.phones").joinpath(f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
