"""The texts of the listening test: the same keys and places for values in each language, and all translated."""

from __future__ import annotations

import re
from string import Formatter

import pytest

from emobridge.data.labels import EMOTIONS
from emobridge.listening import catalogue

ENGLISH = catalogue.messages("en")
OTHERS = [lang for lang in catalogue.INTERFACES if lang != "en"]


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("lang", OTHERS)
def test_each_language_has_the_same_keys_in_the_same_order(lang):
    assert list(catalogue.messages(lang)) == list(ENGLISH)


@pytest.mark.parametrize("lang", OTHERS)
def test_each_text_has_the_same_places_for_values(lang):
    assert {key: places(text) for key, text in catalogue.messages(lang).items()} == {
        key: places(text) for key, text in ENGLISH.items()
    }


@pytest.mark.parametrize("lang", OTHERS)
def test_no_text_is_left_in_english(lang):
    assert not [key for key, text in catalogue.messages(lang).items() if text == ENGLISH[key]]


def test_chinese_texts_are_chinese():
    texts = catalogue.messages("zh").items()
    assert not [key for key, text in texts if not re.search(r"[\u4e00-\u9fff]", text)]


@pytest.mark.parametrize("lang", catalogue.INTERFACES)
def test_no_text_is_empty_or_has_spaces_around_it(lang):
    assert not [key for key, text in catalogue.messages(lang).items() if not text or text != text.strip()]


@pytest.mark.parametrize("lang", catalogue.INTERFACES)
def test_every_emotion_has_a_name_of_its_own(lang):
    assert len({catalogue.text(lang, f"emotion.{emotion}") for emotion in EMOTIONS}) == len(EMOTIONS)


def test_values_are_filled_in_and_stay_plain():
    assert catalogue.text("en", "end.id", listener="{count} <b>").startswith("Your number is {count} <b>.")


@pytest.mark.parametrize(("lang", "key"), [("fr", "page.title"), ("en", "page.nothing"), ("en", "rate.progress")])
def test_what_is_not_there_is_an_error(lang, key):
    with pytest.raises(KeyError):
        catalogue.text(lang, key)


OFFERED = ("en", "de", "it", "zh")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de", "de"),
        ("de-CH, en;q=0.9", "de"),
        ("zh-Hant-TW", "zh"),
        ("cmn, en;q=0.5", "zh"),
        ("fr, it;q=0.3, de;q=0.7", "de"),
        ("en;q=0, it;q=0.1", "it"),
        ("de;q=0.5, it;q=0.5", "de"),  # the first of two that are liked as much
        ("DE", "de"),
        ("*", "en"),
        ("fr", "en"),
        ("", "en"),
        (";;;,,,q=", "en"),
        ("de;q=two", "en"),
        ("de;q=nan", "en"),
        ("de;q=7", "en"),
        ("x" * 100_000 + ",de", "en"),
        ("<script>, de", "de"),
    ],
)
def test_the_language_that_a_browser_likes_best(header, language):
    assert catalogue.best_language(header, OFFERED) == language


def test_a_study_in_one_language_has_that_language():
    assert catalogue.best_language("de, en", ("zh",)) == "zh"


def test_the_languages_that_a_listener_may_speak():
    choices = catalogue.language_choices("de")
    assert choices[:4] == [("en", "Englisch"), ("de", "Deutsch"), ("it", "Italienisch"), ("zh", "Chinesisch")]
    assert choices[-1] == ("mis", "Eine Sprache, die hier nicht steht")
    assert len({code for code, _ in choices}) == len(choices) > 180
