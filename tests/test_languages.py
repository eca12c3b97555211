"""One language is one language, however its tag is spelt."""

from __future__ import annotations

import csv
from importlib import resources

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emobridge.errors import UserError
from emobridge.languages import folded, language_name, language_tag, primary_language

with resources.files("emobridge").joinpath("languages.csv").open(encoding="utf-8") as file:
    TABLE = tuple(csv.DictReader(file))
SPELLINGS = {
    "zh": "zh zho chi cmn yue wuu ZH zh-TW zh_TW zh-Hans-CN zh_hant_tw zho-TW cmn-Hant-TW zh-cmn zh_CN.UTF-8 zh-x-a",
    "de": "de DE deu ger de-AT de_DE de_DE@euro DEU-at",
    "fa": "fa fas per pes prs fa-IR fa_AF",
    "no": "no nor nb nob nn nno nb-NO no_NO",
    "ar": "ar ara arb arz ar-EG arz-EG apc",
    "en": "en eng EN en-US en_GB.utf8",
    "fr": "fr fra fre fr-CA fr_BE",
    "id": "id ind in",
    "ms": "ms msa may zsm ms-MY",
    "he": "he heb iw",
    "hr": "hr hrv scr",
    "sr": "sr srp scc sr-Latn sr_RS@latin",
    "tl": "tl tgl fil fil-PH",
    "ak": "ak aka tw twi fat",
    "et": "et est ekk vro",
    "gsw": "gsw gsw-CH GSW",
    "und": "und UND und-x-other",
    "mul": "mul",
    "x-mine": "x-mine X_Mine",
}
MISSING = ("nan", "na")  # refused: tables write them for no value
TAGS = st.sampled_from([tag for tags in SPELLINGS.values() for tag in tags.split()])
CODES = st.sampled_from(
    [
        code
        for row in TABLE
        for code in (row["code"], *f"{row['codes']} {row['members']}".split())
        if code not in MISSING
    ]
)


@pytest.mark.parametrize("language", SPELLINGS)
def test_every_spelling_of_a_language_is_that_language(language):
    assert {tag: primary_language(tag) for tag in SPELLINGS[language].split()} == dict.fromkeys(
        SPELLINGS[language].split(), language
    )


@given(TAGS | CODES | st.text(max_size=12))
@example("0\r_")  # white space at the end of a part
def test_the_answer_is_its_own_answer(text):
    answer = primary_language(text)
    assert primary_language(answer) == answer


@given(TAGS | CODES, st.sampled_from(["", "-TW", "_latn", "-Cyrl-RS", "-x-private"]))
def test_a_tag_in_its_usual_spelling_stays_as_it_is_and_names_the_same_language(tag, ending):
    usual = language_tag(tag + ending)
    assert language_tag(usual) == usual
    assert primary_language(usual) == primary_language(tag + ending)
    for other in (tag.upper(), tag.replace("-", "_"), f" {tag} "):
        assert language_tag(other) == language_tag(tag)


def test_the_table_has_every_code_of_two_letters_once():
    """Against the package iso639-lang, which comes with audformat."""
    iso639 = pytest.importorskip("iso639")
    languages = {language.pt1: language for language in iso639.iter_langs() if language.pt1}
    assert {row["code"] for row in TABLE} == {*languages, "sh"}, "sh is retired, and Serbo-Croatian's only code"
    for row in TABLE:
        if row["code"] != "sh":
            language = languages[row["code"]]
            codes = {language.pt2b, language.pt2t, language.pt3} - {""}
            assert codes <= set(row["codes"].split()), row
            members = {member.pt3 for member in language.individuals() if not member.pt1}
            assert members <= set(row["members"].split()), row
    codes = [code for row in TABLE for code in f"{row['codes']} {row['members']}".split()]
    assert len(codes) == len(set(codes)), "a code leads to one language"
    names = [name.casefold() for row in TABLE for name in row["names"].split("|")]
    assert len(names) == len(set(names)), "a name leads to one language"


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("de", "de"), ("DE", "de"), ("ger", "de"), ("deu_at", "de-AT"), ("zh_hant_tw", "zh-Hant-TW"), ("zho", "zh"),
        ("cmn", "cmn"), ("yue_HK", "yue-HK"), ("de_DE.UTF-8", "de-DE"), ("sr_RS@latin", "sr-RS"), ("iw", "he"),
        ("sl-rozaj-biske", "sl-rozaj-biske"), ("de-1996", "de-1996"), ("en-x-us", "en-x-us"), ("es-419", "es-419"),
        ("ewe", "ee"), ("twi", "tw"), ("lao", "lo"), ("X-Mine", "x-mine"), ("und", "und"), ("nob", "nb"),
    ],
)  # fmt: skip
def test_a_tag_is_written_in_its_usual_spelling(text, tag):
    assert language_tag(text) == tag


NAMES = {
    "Italian": "it", "italiano": "it", "ITALIANO": "it", "German": "de", "Deutsch": "de", "Mandarin": "zh",
    "中文": "zh", "ελληνικά": "el", "ελληνικα": "el", "Türkçe": "tr", "turkce": "tr", "Español": "es",
    "espanol": "es", "Polish": "pl", "Bangla": "bn", "farsi": "fa", "فارسی": "fa", "Bokmål": "nb", "norsk": "no",
    "Norwegian": "no", "français": "fr",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_written_as_its_tag(name):
    assert language_tag(name) == language_tag(f" {name} ") == NAMES[name]


def test_no_is_norwegian_and_words_for_nothing_are_not():
    assert language_tag("no") == language_tag("NO") == "no"
    for text in ("none", "None", "n/a", "NULL", "unknown", "?", "und"):
        assert language_tag(text) == "und"
    for text, way_out in (("nan", "zh-nan"), ("NaN", "zh-nan"), ("na", "nau")):  # what tables write for no value
        with pytest.raises(UserError, match=f"Write '{way_out}', or leave it out"):
            language_tag(text)
        assert language_tag(way_out) in ("zh-nan", "na")


@pytest.mark.parametrize(
    ("text", "guess"),
    [
        ("frensh", "'fr' (French)"),
        ("Germann", "'de' (German)"),
        ("itallian", "'it' (Italian)"),
        ("gr", "'el' (Greek)"),  # a country's code in place of the language's
        ("cn-CN", "'zh' (Chinese)"),
        ("JP", "'ja' (Japanese)"),
        ("jp", "'ja' (Japanese)"),
        ("German (Austria)", None),  # German, but which?
        ("Klingon", None),  # no real language is spelt like it
        ("xx", None),
        ("zz", None),
        ("xx-DE", None),
        ("foo", None),
        ("False", None),  # what some readers make of "no"
    ],
)
def test_what_is_no_language_is_refused_with_what_it_nearly_names(text, guess):
    with pytest.raises(UserError) as error:
        language_tag(text)
    hint = f"did you mean {guess}? " if guess else ""
    assert str(error.value) == f"language {text!r}: {hint}expected a BCP 47 tag such as 'de' or 'zh-TW', or a name"


@pytest.mark.parametrize("text", ["", " ", "-", "d", "1", "de-", "de--AT", "de AT", "x", "x-", "de-123456789", "\0"])
def test_what_is_no_tag_is_refused(text):
    with pytest.raises(UserError, match=r"expected a BCP 47 tag such as 'de' or 'zh-TW', or a name$"):
        language_tag(text)


def test_codes_of_three_letters_are_those_of_iso_639():
    iso639 = pytest.importorskip("iso639")
    for language in iso639.iter_langs():
        if language.pt3 and language.pt3 != "nan":
            assert primary_language(language_tag(language.pt3)) == primary_language(language.pt3)
    assert language_tag("qaa") == "qaa" and language_tag("mul") == "mul"


def test_names_and_folding():
    names = {"it-IT": "Italian", "deu": "German", "yue": "Chinese", "x-mine": "x-mine"}
    assert {tag: language_name(tag) for tag in names} == names
    assert folded("Łódź") == "lodz" and folded("Straße") == "strasse" and folded("ΘΥΜΌΣ") == folded("θυμος")
    assert folded("كراهية") == folded("کراهیه") and folded("غَضَب") == folded("غضب")
    assert folded("ﻏﻀﺐ") == folded("غضب")  # presentation forms
    assert folded("がんこ") != folded("かんこ")  # a mark that makes another letter stays
