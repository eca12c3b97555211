"""The words for emotions: those of ten languages and more are known, and nobody is sent to another emotion."""

from __future__ import annotations

import csv
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emobridge.data.emotion_words import CODES, all_words, find_word, similar_word, word_languages
from emobridge.data.labels import EMOTIONS, NO_LABEL, to_emotion
from emobridge.languages import folded, language_tag

TABLE = resources.files("emobridge").joinpath("data/emotion_words.csv")
ROWS = tuple(csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines()))
# Anger, happiness, neutral, sadness, fear, disgust, surprise: what a person would write in a table.
COMMON = {
    "en": "angry anger | happy joy happiness | neutral | sad sadness | fear fearful scared | disgust | surprised",
    "de": "wütend böse sauer verärgert zornig Wut | glücklich fröhlich Freude | neutral | traurig Trauer | Angst "
    "ängstlich | Ekel angeekelt | überrascht Überraschung",
    "it": "arrabbiato rabbia | felice felicità gioia | neutro neutrale | triste tristezza | paura impaurito | disgusto "
    "disgustato | sorpreso sorpresa",
    "fr": "colère fâché | heureux heureuse joie | neutre | triste tristesse | peur effrayé | dégoût | surpris surprise",
    "es": "enfadado enojo ira | feliz felicidad alegría | neutral neutro | triste tristeza | miedo asustado | asco | "
    "sorprendido sorpresa",
    "pt": "raiva zangado | feliz felicidade alegria | neutro | triste tristeza | medo | nojo | surpreso surpresa",
    "el": "θυμός θυμωμένος | χαρά χαρούμενη | ουδέτερο | λύπη θλίψη λυπημένος | φόβος | αηδία | έκπληξη",
    "tr": "kızgın öfke sinirli | mutlu mutluluk | nötr | üzgün üzüntü | korku | iğrenme tiksinti | şaşkın şaşırma",
    "fa": "خشم عصبانی | شادی خوشحال | خنثی | غم غمگین | ترس | انزجار | تعجب",
    "ar": "غضب الغضب غاضب | سعادة سعيد فرح | محايد | حزن حزين | خوف خائف | اشمئزاز | مفاجأة دهشة",
    "zh": "生气 愤怒 | 高兴 快乐 开心 | 中性 | 悲伤 伤心 难过 | 恐惧 害怕 | 厌恶 | 惊讶",
    "ur": "غصہ | خوشی خوش | نیوٹرل | اداس غمگین | خوف ڈر | کراہت | حیرت",
    "bn": "রাগ | সুখ আনন্দ | নিরপেক্ষ | দুঃখ | ভয় | ঘৃণা | বিস্ময়",
    "ru": "злость гнев злой | радость счастливый | нейтральный | грусть печаль | страх | отвращение | удивление",
    "pl": "złość gniew zły | radość szczęście | neutralny | smutek smutny | strach | wstręt | zaskoczenie zdziwienie",
    "ja": "怒り | 喜び 嬉しい | 中立 | 悲しみ | 恐怖 恐れ | 嫌悪 | 驚き",
    "ko": "분노 화남 | 기쁨 행복 | 중립 | 슬픔 | 공포 두려움 | 혐오 | 놀람",
    "nl": "boos woede | blij vreugde | neutraal | verdrietig verdriet | bang angst | walging | verrast verrassing",
    "hi": "गुस्सा क्रोध | खुशी खुश | तटस्थ | दुख उदास | डर भय | घृणा | आश्चर्य",
}
NOT_OURS = """
    frustrated fru excited Excited exc anxious worried nervous proud guilty ashamed amused sarcastic tired confused
    hopeful love jealous disappointed annoyed irritated unhappy infelice mutsuz frustriert excité ansioso stolz
    enthusiasm contentment relaxed panic hate elated lonely awe pain
"""
UNCERTAIN = """
    fru exc xxx unhappyy unsurprised unafraid nonneutral notangry joyles unhapiness angr hapy sadd f happy/sad
    anger|fear wutt 12 beautiful friendly empathetic determined
"""
CASES = [
    (word, language, emotion)
    for language, words in COMMON.items()
    for emotion, part in zip(
        ("anger", "happiness", "neutral", "sadness", "fear", "disgust", "surprise"), words.split("|")
    )
    for word in part.split()
]


@pytest.mark.parametrize(("word", "language", "emotion"), CASES)
def test_common_words_are_known(word, language, emotion):
    for spelling in (word, word.upper(), word.title(), f" {word}\n", folded(word)):
        assert to_emotion(spelling) == to_emotion(spelling, language=language) == emotion


def test_that_are_many():
    assert len(CASES) > 200 and len({language for _, language, _ in CASES}) == 19


@pytest.mark.parametrize(
    ("raw", "emotion"),
    [
        ("ang", "anger"), ("HAP", "happiness"), ("neu", "neutral"), ("fea", "fear"), ("dis", "disgust"),
        ("sur", "surprise"), ("gluecklich", "happiness"), ("glucklich", "happiness"), ("WÜTEND", "anger"),
        ("u\u0308berrascht", "surprise"), ("KIZGIN", "anger"), ("İĞRENME", "disgust"), ("igrenme", "disgust"),
        ("hot-anger", "anger"), ("Pleasant Surprise", "surprise"), ("pleasantsurprise", "surprise"),
        ("en colère", "anger"), ("arrabbiate", "anger"), ("tristes", "sadness"), ("ﻏﻀﺐ", "anger"), ("غَضَب", "anger"),
        ("عصباني", "anger"), ("عصبانی", "anger"), ("شگفت‌زده", "surprise"), ("ग़ुस्सा", "anger"), ("生氣", "anger"),
        ("ΛΥΠΗ", "sadness"), ("весёлый", "happiness"), ("веселый", "happiness"), ("Langeweile", "boredom"),
        ("noia", "boredom"), ("无聊", "boredom"), ("disprezzo", "contempt"), ("mépris", "contempt"), ("sakin", "calm"),
        ("平静", "calm"), ("-", None), ("N/A", None), ("NaN", None), ("?", None), ("unbekannt", None), ("<NA>", None),
    ],
)  # fmt: skip
def test_spellings(raw, emotion):
    assert to_emotion(raw) == emotion


@pytest.mark.parametrize("raw", ["a", "W", "h", "3", "03", "1", "怒り顔", "xxx", "no agreement"])
def test_codes_that_mean_different_things_are_unknown(raw):
    assert find_word(raw) is None


@pytest.mark.parametrize(
    "raw",
    NOT_OURS.split(),
)
def test_other_emotions_are_recognised_and_are_none_of_ours(raw):
    word = find_word(raw)
    assert word is not None and not word.emotions & {*EMOTIONS, NO_LABEL}


def test_the_table_is_in_order():
    assert {row["emotion"] for row in ROWS} >= {*EMOTIONS, NO_LABEL}
    assert all(row["language"] == CODES or language_tag(row["language"]) == row["language"] for row in ROWS)
    assert len({(row["emotion"], row["language"]) for row in ROWS}) == len(ROWS)
    for row in ROWS:
        for word in row["words"].split():
            key = folded(word)
            assert key, word
            assert len(key) > 1 or not key.isascii() or key == "?", f"{word}: a code of one letter"
            assert not key.isdecimal() and (key not in EMOTIONS or key == row["emotion"])
    needed = {*COMMON} - {"und"}
    for emotion in EMOTIONS[:10]:
        assert word_languages()[emotion] >= needed, emotion


def test_a_word_of_two_emotions_is_keyed_by_language():
    """A new one is a decision: it stands here, or it does not belong into the table."""
    two = {word.spelling: dict(word.meanings) for word in all_words().values() if len(word.emotions) > 1}
    assert {word for word in two if not word.startswith("enojad")} == {"content", "غصه", "rolig"}
    assert two["enojado"] == {"es": "anger", "pt": "disgust"}
    by_language = [(folded(word), row["language"], row["emotion"]) for row in ROWS for word in row["words"].split()]
    pairs = {(word, language) for word, language, _ in by_language}
    assert len({*by_language}) == len(pairs), "a word means one emotion in a language"


@pytest.mark.parametrize(
    ("raw", "language", "emotion"),
    [
        ("enojado", "es-MX", "anger"), ("enojado", "pt-BR", "disgust"), ("content", "fr", "happiness"),
        ("غصه", "ur", "anger"), ("غصه", "fa", "sadness"), ("غصہ", "und", "anger"), ("rolig", "da", "calm"),
    ],
)  # fmt: skip
def test_the_language_decides(raw, language, emotion):
    assert to_emotion(raw, language=language) == emotion


@pytest.mark.parametrize(
    ("raw", "spelling"),
    [
        ("boredem", "boredom"), ("hapiness", "happiness"), ("saddness", "sadness"), ("suprise", "surprise"),
        ("annger", "anger"), ("disgusst", "disgust"), ("frustated", "frustrated"), ("trsitezza", "tristezza"),
        ("langewile", "langeweile"), ("felicitaa", "felicità"), ("überrraschung", "überraschung"),
    ],
)  # fmt: skip
def test_a_misspelt_word_gets_its_hint(raw, spelling):
    assert similar_word(raw).spelling == spelling


@pytest.mark.parametrize(
    "raw",
    UNCERTAIN.split(),
)
def test_what_is_not_certain_gets_no_hint_to_an_emotion(raw):
    word = similar_word(raw)
    assert word is None or not word.emotions & {*EMOTIONS}


def test_a_hint_is_of_the_language_or_english():
    assert similar_word("tristezaa", "es").spelling == "tristeza"
    assert similar_word("tristezaa", "de") is None
    assert similar_word("saddness", "de").spelling == "sadness"


LETTERS = "abcdefghilmnoprstuvyzäöüéğışñаеиостнاینغخ"


@st.composite
def misspelt(draw):
    """A known word and the same with one or two letters inserted, left out, replaced or swapped."""
    key = draw(st.sampled_from(sorted(all_words())))
    text = key
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.integers(0, len(text)))
        letter = draw(st.sampled_from(LETTERS))
        text = draw(
            st.sampled_from(
                [
                    text[:place] + letter + text[place:],
                    text[:place] + text[place + 1 :],
                    text[:place] + letter + text[place + 1 :],
                    text[:place] + text[place + 1 : place + 2] + text[place : place + 1] + text[place + 2 :],
                ]
            )
        )
    return all_words()[key], text


@settings(max_examples=50, deadline=None)
@given(misspelt(), st.sampled_from(["und", "de", "it", "fa"]))
def test_a_hint_never_crosses_to_another_emotion(pair, language):
    word, text = pair
    hint = similar_word(text, language)
    assert hint is None or find_word(text) is not None or hint.emotions & word.emotions, (word, text, hint)


def test_the_page_of_words_has_what_the_table_has():
    text = (Path(__file__).parents[2] / "docs" / "emotion-words.md").read_text(encoding="utf-8")
    for emotion in EMOTIONS:
        by_language = {row["language"]: row["words"].split() for row in ROWS if row["emotion"] == emotion}
        codes, english = (", ".join(by_language.pop(language, ())) for language in (CODES, "en"))
        first = ", ".join(f"{language} {words[0]}" for language, words in by_language.items())
        assert f"| {emotion} | {codes} | {english} | {first} |".replace("_", " ") in text, emotion
    for emotion in word_languages().keys() - {*EMOTIONS, NO_LABEL}:
        assert emotion in text, emotion
    for word in all_words().values():
        if len(word.emotions) > 1:
            meanings = ", ".join(f"{emotion} ({language})" for language, emotion in word.meanings)
            assert f"- `{word.spelling}`: {meanings}" in text
