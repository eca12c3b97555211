"""An alignment: the phones of an utterance, in order, with their times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PHONE_KINDS = ("vowel", "consonant", "pause")
# The six vowels of Upadhyay et al. 2024, Figure 1: "a/ɑ", ɛ, ə, i, o, u.
VOWELS = ("a", "ɛ", "ə", "i", "o", "u")
_SAME_VOWEL = {"ɑ": "a", **dict.fromkeys(("oʊ", "əʊ", "ow", "əw"), "o")}
PHONE_CLASSES = (*VOWELS, "vowel", "consonant")  # what features are pooled over; "vowel" is any vowel


@dataclass(frozen=True, slots=True)
class Phone:
    """A stretch of speech that is one phone, or a pause."""

    start: float  # s, from the start of the utterance
    end: float  # s, above `start`
    ipa: str  # without stress marks; "" of a pause
    kind: str  # of PHONE_KINDS
    label: str  # as the source of the alignment writes it


@dataclass(frozen=True, slots=True)
class Alignment:
    """The phones of one utterance, in order; none overlaps the next, and gaps between them are pauses."""

    phones: tuple[Phone, ...]

    def of_class(self, name: str) -> Sequence[Phone]:
        """The phones of one of PHONE_CLASSES."""
        if name in PHONE_KINDS:
            return [phone for phone in self.phones if phone.kind == name]
        return [phone for phone in self.phones if vowel_of(phone.ipa) == name]


def vowel_of(ipa: str) -> str | None:
    """Which of VOWELS a phone counts as, length and nasality aside; None of any other phone.

    The paper does not say what its "o" is in English, where ARPAbet has no other than the diphthong OW: that counts
    as o here, and no other diphthong counts.

    >>> vowel_of("ɑː"), vowel_of("ə"), vowel_of("oʊ"), vowel_of("aɪ"), vowel_of("t")
    ('a', 'ə', 'o', None, None)
    """
    plain = ipa.rstrip("ːˑ̃ˤ")
    plain = _SAME_VOWEL.get(plain, plain)
    return plain if plain in VOWELS else None
