"""The questionnaire of a listening test, and who may take part by its answers.

An answer is a text, or for a question of languages a tuple of texts "TAG:LEVEL", such as "en:C1". Languages are BCP 47
tags, levels those of CEFR. The question of English takes a level or an IELTS band; both are compared as bands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from emobridge.errors import UserError, unknown
from emobridge.languages import language_tag, primary_language
from emobridge.listening.records import ListeningStudy, Question, Rule

CEFR_LEVELS = ("A1", "A2", "B1", "B2", "C1", "C2")  # of CEFR
# The lowest IELTS band of each level of CEFR, as the owners of IELTS relate the two (ielts.org, "IELTS and the CEFR":
# B1 4.0 to 5.0, B2 5.5 to 6.5, C1 7.0 to 8.0, C2 8.5 to 9.0). So who must have 6.5 needs C1: B2 alone may be 5.5.
# IELTS does not tell A1 and A2 apart; their bands here, and those of no English and of natives, keep the order.
_BANDS: Mapping[str, float] = MappingProxyType(
    {"none": 0.0, "A1": 1.0, "A2": 3.0, "B1": 4.0, "B2": 5.5, "C1": 7.0, "C2": 8.5, "native": 9.0}
)
_IELTS = tuple(f"ielts-{half / 2:.1f}" for half in range(8, 19))  # 4.0 to 9.0
_AGES = ("0-17", "18-24", "25-34", "35-44", "45-54", "55-64", "65+")
_GENDERS = ("female", "male", "other")
_OPERATORS: Mapping[str, tuple[str, ...]] = MappingProxyType(  # of rules, by the kind of question
    {
        "choice": ("in", "not in"),
        "language": ("in", "not in"),
        "languages": ("includes", "excludes"),
        "number": ("at least",),
    }
)
MOST_LANGUAGES = 20  # that a listener can name
LARGEST_NUMBER = 1e6  # of an answer

QUESTIONS = (
    Question("native", "language"),
    Question("languages", "languages", required=False),
    Question("english", "choice", ("none", *CEFR_LEVELS, *_IELTS, "native")),
    Question("age", "choice", _AGES),
    Question("gender", "choice", _GENDERS, required=False),
    Question("headphones", "choice", ("yes", "no")),
)
RULES = (Rule("age", "not in", ("0-17",)),)  # who cannot consent alone


def band_of(answer: str) -> float:
    """The IELTS band of an answer about English: of a level of CEFR the lowest one that belongs to it.

    >>> band_of("C1"), band_of("ielts-6.5"), band_of("none")
    (7.0, 6.5, 0.0)
    """
    return _BANDS[answer] if answer in _BANDS else float(answer.removeprefix("ielts-"))


def operators_of(question: Question) -> tuple[str, ...]:
    """What a rule about a question may ask. English can be compared as well as listed."""
    return (*_OPERATORS[question.kind], *(("at least",) if question.name == "english" else ()))


def screened_out(study: ListeningStudy, answers: Mapping[str, str | tuple[str, ...]]) -> Rule | None:
    """The first rule that somebody's answers break; None where they may take part.

    answers: by question, as `answers_of_form` gives them. Who does not answer breaks every rule that needs an answer:
    "in", "at least" and "includes". A rule of a group is for those whose native language is the group's.
    """
    native = answers.get("native", "")
    group = primary_language(native) if isinstance(native, str) and native else ""
    questions = {question.name: question for question in study.questions}
    for rule in study.rules:
        is_meant = not rule.group or primary_language(rule.group) == group
        if is_meant and not _keeps(rule, questions[rule.question], answers.get(rule.question, "")):
            return rule
    return None


def rule_lines(rules: Sequence[Rule]) -> list[str]:
    """Rules for people to read, a line each.

    >>> rule_lines([Rule("languages", "excludes", ("zh",), "de"), Rule("english", "at least", 6.5)])
    ['languages excludes zh, of native de', 'english at least 6.5']
    """
    lines = []
    for rule in rules:
        value = ", ".join(rule.value) if isinstance(rule.value, tuple) else f"{rule.value:g}"
        lines.append(f"{rule.question} {rule.operator} {value}{f', of native {rule.group}' if rule.group else ''}")
    return lines


def _keeps(rule: Rule, question: Question, answer: str | tuple[str, ...]) -> bool:
    values = rule.value if isinstance(rule.value, tuple) else ()
    if rule.operator in ("includes", "excludes"):
        spoken = (answer,) if isinstance(answer, str) and answer else answer
        knows = any(_covers(language, value) for language in spoken for value in values)
        return knows == (rule.operator == "includes")
    text = answer if isinstance(answer, str) else ""
    if rule.operator == "at least":
        if not text:
            return False
        least = band_of(values[0]) if values else float(rule.value)  # type: ignore[arg-type]
        return (band_of(text) if question.name == "english" else float(text)) >= least
    if question.kind == "language":
        text, values = primary_language(text) if text else "", tuple(map(primary_language, values))
    return (text in values) == (rule.operator == "in")


def _covers(answer: str, value: str) -> bool:
    """Whether "TAG:LEVEL" of a listener is the language of a rule's value, and as high as its level if it has one."""
    language, _, level = answer.partition(":")
    rule_language, _, least = value.partition(":")
    if primary_language(language) != primary_language(rule_language):
        return False
    return not least or (level in CEFR_LEVELS and CEFR_LEVELS.index(level) >= CEFR_LEVELS.index(least))


def answers_of_form(
    questions: Sequence[Question], form: Mapping[str, Sequence[str]]
) -> tuple[dict[str, str | tuple[str, ...]], tuple[str, ...]]:
    """The answers in the fields of a form, and the names of the questions that are not answered as they must be.

    form: the values of each field. A question has the field of its name; one of languages has it several times, with
    the levels as often in NAME.level, and rows without a language are left out. Nothing else gets into an answer than
    listed choices, tags of languages, levels and numbers.
    """
    answers: dict[str, str | tuple[str, ...]] = {}
    wrong = []
    for question in questions:
        fields = [value.strip() for value in form.get(question.name, ())]
        try:
            if question.kind == "languages":
                answer: str | tuple[str, ...] = _languages(fields, list(form.get(f"{question.name}.level", ())))
            else:
                answer = _answer(question, fields)
        except UserError:
            wrong.append(question.name)
            continue
        if answer:
            answers[question.name] = answer
        elif question.required:
            wrong.append(question.name)
    return answers, tuple(wrong)


def _answer(question: Question, fields: Sequence[str]) -> str:
    if len(fields) > 1:
        raise UserError(f"{question.name}: expected one answer, got {len(fields)}")
    text = fields[0] if fields else ""
    if not text or (question.kind == "choice" and text in question.choices):
        return text
    if question.kind == "language":
        return known_tag(text)
    if question.kind == "number":
        return _number(question.name, text)
    raise unknown(f"answer to {question.name}", text, question.choices)


def _number(name: str, text: str) -> str:
    try:
        number = float(text) if text.isascii() and "_" not in text else LARGEST_NUMBER + 1
    except ValueError:
        number = LARGEST_NUMBER + 1
    if not abs(number) <= LARGEST_NUMBER:  # NaN too
        raise UserError(f"{name}: expected a number, got {text[:40]!r}")
    return f"{number:g}"


def _languages(tags: Sequence[str], levels: Sequence[str]) -> tuple[str, ...]:
    if len(tags) > MOST_LANGUAGES or len(levels) > MOST_LANGUAGES or len(levels) < len(tags):
        raise UserError(f"languages: expected {MOST_LANGUAGES} at most, each with its level")
    spoken: dict[str, str] = {}
    for tag, level in zip(tags, levels):
        if not tag:
            continue
        if level not in CEFR_LEVELS:
            raise unknown("level", level, CEFR_LEVELS)
        spoken[known_tag(tag)] = level
    return tuple(f"{tag}:{level}" for tag, level in spoken.items())


def known_tag(text: str) -> str:
    """The tag of a language that is named. Errors: UserError for what is no language, and for "und"."""
    if len(text) > 40:
        raise UserError("language: expected a tag such as 'de'")
    tag = language_tag(text)
    if tag == "und":
        raise UserError(f"language {text!r}: expected a tag such as 'de'")
    return tag
