"""Answers to the questionnaire, and who is screened out by them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from listening_studies import tiny_study

from emobridge.listening.questions import CEFR_LEVELS, QUESTIONS, answers_of_form, band_of, screened_out
from emobridge.listening.records import Question, Rule
from emobridge.listening.study import check_questions


def test_levels_and_bands_are_in_order():
    bands = [band_of(answer) for answer in ("none", *CEFR_LEVELS, "native")]
    assert bands == sorted(set(bands))
    assert band_of("B2") < band_of("ielts-6.5") < band_of("C1"), "B2 may be 5.5"
    assert [band_of(choice) for choice in QUESTIONS[2].choices[7:-1]] == [band / 2 for band in range(8, 19)]


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, None),
        ({"age": "0-17"}, "age"),
        ({"languages": ("en:C1", "zh:A1")}, "languages"),
        ({"languages": ("cmn:A1",)}, "languages"),  # Mandarin is Chinese
        ({"native": "zh-CN", "languages": ("zh-TW:A1",)}, None),  # the rule is for German listeners
        ({"native": "de-AT", "languages": ("zh:A1",)}, "languages"),
        ({"languages": ()}, None),
        ({"english": "ielts-6.5"}, None),
        ({"english": "ielts-6.0"}, "english"),
        ({"english": "B2"}, "english"),
        ({"english": "native"}, None),
        ({"english": ""}, "english"),
    ],
)
def test_the_first_rule_that_is_broken(good_answers, changes, broken):
    rule = screened_out(tiny_study(), {**good_answers, **changes})
    assert (rule and rule.question) == broken


@pytest.mark.parametrize(
    ("rule", "answers", "keeps"),
    [
        (Rule("native", "in", ("de", "zh")), {"native": "cmn"}, True),
        (Rule("native", "in", ("de", "zh")), {"native": "it"}, False),
        (Rule("native", "not in", ("de",)), {"native": "de-CH"}, False),
        (Rule("native", "in", ("de",)), {}, False),
        (Rule("headphones", "in", ("yes",)), {"headphones": "no"}, False),
        (Rule("languages", "includes", ("en:B2",)), {"languages": ("en:C1",)}, True),
        (Rule("languages", "includes", ("en:B2",)), {"languages": ("en:B1",)}, False),
        (Rule("languages", "includes", ("en", "fr")), {"languages": ("fr:A1",)}, True),
        (Rule("languages", "includes", ("en",)), {}, False),
        (Rule("languages", "excludes", ("de:B1",)), {"languages": ("de:A2",)}, True),
        (Rule("english", "at least", ("B2",)), {"english": "ielts-5.5"}, True),
        (Rule("english", "at least", ("C1",)), {"english": "ielts-6.5"}, False),
        (Rule("english", "in", ("native",)), {"english": "C2"}, False),
    ],
)
def test_each_operator(rule, answers, keeps):
    study = tiny_study(rules=(rule,))
    check_questions(study.questions, study.rules, "study")
    assert (screened_out(study, answers) is None) == keeps


FORM = {
    "native": ["Deutsch"], "languages": ["en", "", "it"], "languages.level": ["C1", "", "A2"], "english": ["ielts-6.5"],
    "age": ["25-34"], "gender": [""], "headphones": ["yes"],
}  # fmt: skip


def test_a_form_becomes_answers():
    answers, wrong = answers_of_form(QUESTIONS, FORM)
    assert not wrong
    assert answers == {"native": "de", "languages": ("en:C1", "it:A2"), "english": "ielts-6.5", "age": "25-34",
                       "headphones": "yes"}  # fmt: skip


@pytest.mark.parametrize("field", FORM)
@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "'; DROP TABLE listeners;--", "\x00", "é" * 9999, "und"])
def test_nothing_but_known_answers_gets_in(field, text):
    answers, wrong = answers_of_form(QUESTIONS, {**FORM, field: [text] * len(FORM[field])})
    assert wrong == (field.partition(".")[0],)
    assert text not in str(answers)


def test_what_is_not_answered_or_answered_twice():
    assert answers_of_form(QUESTIONS, {}) == ({}, ("native", "english", "age", "headphones"))
    assert answers_of_form(QUESTIONS, {**FORM, "age": ["18-24", "25-34"]})[1] == ("age",)
    assert answers_of_form(QUESTIONS, {**FORM, "languages.level": ["C1"]})[1] == ("languages",)
    assert answers_of_form(QUESTIONS, {**FORM, "languages": ["en"] * 99, "languages.level": ["C1"] * 99})[1] == (
        "languages",
    )


@pytest.mark.parametrize(("text", "answer"), [("3", "3"), ("0.5", "0.5"), ("1e99", None), ("nan", None), ("٣", None)])
def test_a_number_is_a_finite_number(text, answer):
    answers, wrong = answers_of_form([Question("years", "number")], {"years": [text]})
    assert answers.get("years") == answer
    assert bool(wrong) == (answer is None)


def test_rules_hold_in_their_order(good_answers):
    study = replace(tiny_study(), rules=(Rule("english", "at least", 9.0), Rule("age", "in", ("65+",))))
    assert screened_out(study, good_answers).question == "english"
