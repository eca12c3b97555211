"""Phone labels in IPA."""

from __future__ import annotations

import csv
from importlib import resources

import pytest

from emobridge.phones.labels import LABLAUT, guess_notation, ipa_of, kind_of


@pytest.mark.parametrize("name", ["arpabet", "sampa", "lablaut"])
def test_each_label_of_a_table_is_a_vowel_or_a_consonant_and_stands_there_once(name):
    text = resources.files("emobridge.phones").joinpath(f"{name}.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert len({row["label"] for row in rows}) == len(rows)
    assert [row for row in rows if kind_of(row["ipa"]) not in ("vowel", "consonant")] == []


@pytest.mark.parametrize("label", ["", " ", "sil", "SIL", "sp", "spn", "<eps>"])
@pytest.mark.parametrize("notation", ["ipa", "arpabet", "sampa", LABLAUT])
def test_pauses_are_pauses_in_every_notation(label, notation):
    assert ipa_of(label, notation) == "" and kind_of("") == "pause"


@pytest.mark.parametrize(
    ("label", "notation", "ipa", "kind"),
    [
        ("AH1", "arpabet", "ʌ", "vowel"),
        ("AH0", "arpabet", "ə", "vowel"),
        ("AH", "arpabet", "ə", "vowel"),
        ("hh", "arpabet", "h", "consonant"),
        ("ZH_I", "arpabet", "ʒ", "consonant"),
        ("tʲ", "ipa", "tʲ", "consonant"),
        ("ã", "ipa", "a\u0303", "vowel"),
        ("ç", "ipa", "ç", "consonant"),
        ("g", "ipa", "ɡ", "consonant"),
        ("a˥˩", "ipa", "a˥˩", "vowel"),
        ("n̩", "ipa", "n̩", "consonant"),
        ("o:", "sampa", "oː", "vowel"),
        ("O~", "sampa", "ɔ̃", "vowel"),
        ("aO", LABLAUT, "aɔ", "vowel"),
        ("mm", LABLAUT, "mː", "consonant"),
        ("H", LABLAUT, "ɦ", "consonant"),
    ],
)
def test_labels_in_ipa(label, notation, ipa, kind):
    assert (ipa_of(label, notation), kind_of(ipa)) == (ipa, kind)


@pytest.mark.parametrize(("label", "notation"), [("5", "ipa"), ("ː", "ipa"), ("AA3", "arpabet"), ("tk", "sampa")])
def test_labels_that_a_notation_does_not_have(label, notation):
    assert ipa_of(label, notation) is None


def test_the_notation_of_a_file_is_that_of_most_of_its_labels():
    assert guess_notation(["sil", "ð", "ə", "QQ"]) == "ipa"
    assert (guess_notation(["n", "a"]), guess_notation([])) == ("ipa", "arpabet")
    assert guess_notation(["DH", "AH0"]) == "arpabet"
