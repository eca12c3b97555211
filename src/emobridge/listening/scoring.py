"""Scores of listeners: who counts, which items they are scored on, and the cells of groups and languages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from emobridge.data.labels import EMOTIONS
from emobridge.languages import primary_language
from emobridge.listening.dialect import DIALECT_EMOTIONS
from emobridge.listening.marks import marks_of
from emobridge.listening.records import Listener, ListeningItem, Response
from emobridge.listening.responses import AnswerSet
from emobridge.report.listeners import ListenerCell, ListenerRow
from emobridge.scores.agreement import count_answers, fleiss_kappa, krippendorff_alpha
from emobridge.scores.confusion import Counts, confusion
from emobridge.scores.measures.ua import Ua
from emobridge.scores.paired import mean_of

FINISHED, NO_LANGUAGE = "finished", "und"
LISTENED_ITEMS = "items of the listening test"  # what scores are of


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringRules:
    """Which listeners and items count."""

    include: tuple[str, ...] = ()  # of settings.INCLUDABLE
    most_failed: int = 0  # attention checks that a listener may fail
    question: str = "neutral"  # of dialect.QUESTION_RULES
    second_languages: tuple[str, ...] = ()  # that all who are no natives know as a second language


@dataclass(frozen=True, slots=True)
class ScoredListener:
    """A listener and the answers to scored items, by item."""

    listener: Listener
    row: ListenerRow
    responses: Mapping[str, Response]


def scored_items(items: Iterable[ListeningItem], question: str) -> tuple[ListeningItem, ...]:
    """The items that count, with an emotion in place of a dialect word."""
    chosen = (item for item in items if item.kind == "item" and (item.emotion != "question" or question != "left-out"))
    return tuple(replace(item, emotion=DIALECT_EMOTIONS.get(item.emotion, item.emotion)) for item in chosen)


def labels_of_answers(answers: AnswerSet, items: Sequence[ListeningItem]) -> tuple[str, ...]:
    """What listeners chose from, in the study's order; of tables all emotions of truth and answers."""
    present = {item.emotion for item in items} | {response.emotion for response in answers.responses}
    offered = tuple(dict.fromkeys(DIALECT_EMOTIONS.get(word, word) for word in answers.emotions))
    return (*offered, *(emotion for emotion in EMOTIONS if emotion in present and emotion not in offered))


def cell_language(language: str) -> str:
    """The language that items are grouped by: a dialect with a private subtag stays apart.

    >>> cell_language("en-GB"), cell_language("zh-x-tianjin")
    ('en', 'zh-x-tianjin')
    """
    return language if "-x-" in language else primary_language(language)


def relation_of(listener: Listener, language: str, second_languages: Sequence[str] = ()) -> str:
    """The relation of a listener to a language: "mono", "trans" or "cross"; "" where either is not known.

    A second language is one that the listener lists among the others, English too by its own question.
    """
    primary, native = primary_language(language), _native(listener)
    if not native or primary == NO_LANGUAGE:
        return ""
    if native == primary:
        return "mono"
    listed = listener.answers.get("languages", ())
    spoken = {primary_language(text.partition(":")[0]) for text in ([listed] if isinstance(listed, str) else listed)}
    spoken |= {primary_language(tag) for tag in second_languages}
    if listener.answers.get("english", "none") not in ("none", ""):
        spoken.add("en")
    return "trans" if primary in spoken else "cross"


def name_of_group(listener: Listener) -> str:
    """ "listeners, native de" of a group by native language, "listeners, NAME" of another, "listeners" of none."""
    native = _native(listener)
    if listener.group in ("", listener.native, native):
        return f"listeners, native {native}" if native else "listeners"
    return f"listeners, {listener.group}"


def _native(listener: Listener) -> str:
    """The native language; "" where it is not known."""
    return primary_language(listener.native) if listener.native not in ("", NO_LANGUAGE) else ""


def scored_listeners(
    answers: AnswerSet, items: Sequence[ListeningItem], rules: ScoringRules
) -> tuple[ScoredListener, ...]:
    """Every listener with a number, a reason if excluded, and answers to scored items."""
    by_listener: dict[str, list[Response]] = {listener.id: [] for listener in answers.listeners}
    for response in answers.responses:
        if response.listener in by_listener:
            by_listener[response.listener].append(response)
    scored, checks = {item.id for item in items}, {x.id: x.emotion for x in answers.items if x.kind == "attention"}
    digits = max(2, len(str(len(answers.listeners))))
    listeners = []
    for number, listener in enumerate(answers.listeners, 1):
        own = by_listener[listener.id]
        responses = {response.item: response for response in own if response.item in scored}
        judged = [response.emotion == checks[response.item] for response in own if response.item in checks]
        row = ListenerRow(
            number=f"L{number:0{digits}d}", who=name_of_group(listener), state=listener.state,
            answers=len(responses), failed=judged.count(False), checks=len(judged), excluded="",
            values=_ua_by_language(items, responses),
        )  # fmt: skip
        listeners.append(ScoredListener(listener, replace(row, excluded=_reason(row, rules)), responses))
    return tuple(listeners)


def cells_of(
    listeners: Sequence[ScoredListener], items: Sequence[ListeningItem], labels: Sequence[str], rules: ScoringRules
) -> tuple[ListenerCell, ...]:
    """The cells of those who count: by language, then natives, second language, non-natives."""
    members: dict[tuple[str, str, str], list[ScoredListener]] = {}
    by_language: dict[str, list[ListeningItem]] = {}
    for item in items:
        by_language.setdefault(cell_language(item.language), []).append(item)
    for language, presented in by_language.items():
        for scored in listeners:
            if not scored.row.excluded and any(item.id in scored.responses for item in presented):
                setting = relation_of(scored.listener, language, rules.second_languages)
                members.setdefault((language, setting, scored.row.who), []).append(scored)
    order = {setting: rank for rank, setting in enumerate(("mono", "trans", "cross", ""))}
    languages = list(by_language)
    keys = sorted(members, key=lambda key: (languages.index(key[0]), order[key[1]], key[2]))
    return tuple(_cell(key, members[key], by_language[key[0]], tuple(labels)) for key in keys)


def _cell(
    key: tuple[str, str, str],
    members: Sequence[ScoredListener],
    items: Sequence[ListeningItem],
    labels: tuple[str, ...],
) -> ListenerCell:
    language, setting, who = key
    total: Counts = np.sum([listener_counts(scored, items, labels) for scored in members], axis=0)
    rated = [[_emotion(scored, item) for scored in members] for item in items]
    counts = count_answers(rated, labels)
    values = {scored.row.number: dict(scored.row.values)[language] for scored in members}
    complete = {number: value for number, value in values.items() if value == value}
    return ListenerCell(
        who=who, language=language, setting=setting, listeners=tuple(complete), values=tuple(complete.values()),
        mean=mean_of(list(complete.values()), within=(0, 1)), labels=labels, counts=integer_rows(total),
        items=int((counts.sum(1) > 0).sum()), kappa=fleiss_kappa(counts), alpha=krippendorff_alpha(counts),
        marks=marks_of([scored.responses for scored in members], items),
    )  # fmt: skip


def listener_counts(scored: ScoredListener, items: Sequence[ListeningItem], labels: Sequence[str]) -> Counts:
    """(C, C) of one listener's answers to some items."""
    pairs = [(item.emotion, scored.responses[item.id].emotion) for item in items if item.id in scored.responses]
    return confusion([truth for truth, _ in pairs], [answer for _, answer in pairs], labels=labels)


def integer_rows(counts: Counts) -> tuple[tuple[int, ...], ...]:
    """Counts as records hold them."""
    return tuple(tuple(map(int, row)) for row in counts)


def _emotion(scored: ScoredListener, item: ListeningItem) -> str | None:
    return scored.responses[item.id].emotion if item.id in scored.responses else None


def _ua_by_language(items: Sequence[ListeningItem], responses: Mapping[str, Response]) -> tuple[tuple[str, float], ...]:
    """UA over the emotions that the items of a language have; NaN where an item of an emotion was never answered."""
    values = []
    for language in dict.fromkeys(cell_language(item.language) for item in items):
        presented = [item for item in items if cell_language(item.language) == language]
        answered = [item for item in presented if item.id in responses]
        truth = [item.emotion for item in answered]
        is_whole = set(truth) == {item.emotion for item in presented}
        predicted = [responses[item.id].emotion for item in answered]
        labels = tuple(dict.fromkeys((*truth, *predicted)))
        values.append((language, Ua()(truth, predicted, labels=labels) if is_whole else np.nan))
    return tuple(values)


def _reason(row: ListenerRow, rules: ScoringRules) -> str:
    """Why a listener does not count; "" where one does."""
    if row.state == "withdrawn":
        return "withdrawn"
    if row.state == "screened out" and "screened" not in rules.include:
        return "screened out"
    if row.state not in (FINISHED, "screened out") and "unfinished" not in rules.include:
        return "unfinished"
    if row.failed > rules.most_failed and "failed" not in rules.include:
        return "failed attention checks"
    return "" if row.answers else "no answer to an item"
