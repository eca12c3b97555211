"""Alignments and the classes of phones."""

from __future__ import annotations

from emobridge.phones.base import PHONE_CLASSES, Alignment, Phone, vowel_of

SPOKEN = Alignment(
    (
        Phone(0.0, 0.1, "", "pause", "_"),
        Phone(0.1, 0.2, "t", "consonant", "t"),
        Phone(0.2, 0.4, "ɑː", "vowel", "a:"),
        Phone(0.4, 0.5, "ʏ", "vowel", "Y"),
    )
)


def test_phones_of_a_class_are_those_of_the_vowel_or_the_kind():
    counts = {name: len(SPOKEN.of_class(name)) for name in PHONE_CLASSES}
    assert counts == {"a": 1, "ɛ": 0, "ə": 0, "i": 0, "o": 0, "u": 0, "vowel": 2, "consonant": 1}


def test_length_and_nasality_do_not_change_a_vowel():
    assert [vowel_of(ipa) for ipa in ("a", "ɑ̃", "iː", "aɪ", "", "k")] == ["a", "a", "i", None, None, None]
