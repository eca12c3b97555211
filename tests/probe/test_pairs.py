"""Which corpora are trained on and tested on."""

from __future__ import annotations

import pytest

from emobridge.probe.pairs import SETTING_MEANINGS, pairs_of, setting_of
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.splits import Corpus
from emobridge.settings import choices_of


@pytest.mark.parametrize(
    ("trained", "tested", "languages", "expected"),
    [
        (("a", "de"), ("a", "de"), ("de",), "mono"),
        (("a", "de"), ("a", "de"), ("en",), "trans"),
        (("a", "zh-TW"), ("a", "zh-TW"), ("cmn",), "mono"),
        (("a", "zho"), ("a", "zho"), ("zh",), "mono"),
        (("a", "zh_TW"), ("b", "cmn"), ("zh",), "other"),
        (("a", "deu"), ("b", "de-AT"), ("de",), "other"),
        (("a", "zh_TW"), ("b", "deu"), ("zho",), "cross"),
        (("a", "de"), ("b", "en"), ("de",), "cross"),
        (("a", "de"), ("b", "de"), ("de",), "other"),
        (("a", "de"), ("b", "en"), ("zh",), "other"),
        (("a", "de"), ("a", "de"), ("mul",), "mono"),
        (("a", "de"), ("b", "en"), ("mul",), "cross"),
        (("a", "de"), ("a", "de"), (), "in language"),
        (("a", "de"), ("b", "en"), (), "cross"),
    ],
)
def test_settings_by_language(trained, tested, languages, expected):
    assert setting_of(Corpus(*trained, ()), Corpus(*tested, ()), languages) == expected


def test_every_setting_is_explained():
    assert {*choices_of("settings", ProbeSettings), "in language"} == set(SETTING_MEANINGS)


@pytest.mark.parametrize(
    ("kinds", "languages", "expected"),
    [
        (("mono", "trans"), ("en",), [("en", "en"), ("xx", "xx")]),
        (("mono", "cross"), ("en",), [("en", "en"), ("en", "xx")]),
        (("mono", "cross"), ("xx",), [("xx", "en"), ("xx", "xx")]),
        (("trans",), ("en",), [("xx", "xx")]),
        (("cross",), (), [("en", "xx"), ("xx", "en")]),
        (("trans",), (), [("en", "en"), ("xx", "xx")]),
        (("other",), ("en",), [("xx", "en")]),
        (("cross",), ("de",), []),
    ],
)
def test_pairs_of_two_corpora(kinds, languages, expected):
    settings = ProbeSettings(corpora=("en.jsonl", "xx.jsonl"), settings=kinds)
    corpora = (Corpus("en", "en", ()), Corpus("xx", "xx", ()))
    assert list(pairs_of(settings, corpora, languages)) == expected


def test_a_single_corpus_is_its_only_pair():
    settings = ProbeSettings(corpora=("en.jsonl",), settings=("mono", "trans", "cross", "other"))
    assert pairs_of(settings, (Corpus("en", "en", ()),), ("en",)) == (("en", "en"),)
