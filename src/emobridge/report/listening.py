"""The page of a listening test: the finding, listeners and models on one scale, tests, confusions, agreement, marks."""

from __future__ import annotations

import math

from emobridge.report.blocks import Section, Table, count, figure, interval, percent
from emobridge.report.listener_plot import ScaleRow, scale_plot
from emobridge.report.listener_tables import (
    difference_text,
    effect_text,
    listening_of,
    mean_text,
    model_name,
    p_text,
)
from emobridge.report.listeners import (
    LISTENER_SETTINGS,
    MODEL_SETTINGS,
    ListenerCell,
    ListenerTest,
    ListeningFindings,
    ModelCell,
    heard_name,
)
from emobridge.report.published import published_section
from emobridge.report.record import StudyRecord
from emobridge.scores.paired import Mean
from emobridge.scores.welch import SIGNIFICANCE

PICTURE_TEXT = "Each dot is a listener, a diamond the mean of a group, a square a model; lines are 95 % intervals."
INTERVAL_TEXT = (
    "Intervals of listeners are of 95 %, by Student's t over listeners: where the mean of other listeners of the same "
    "kind, who hear THESE items, would lie. They do not cover other items, speakers or recordings. A single listener "
    "has none, nor have listeners who all score the same. Those of models are over the speakers of the items."
)
MOST_MODELS = 3  # in the headline
TERMS = (
    "UA: unweighted accuracy, the mean of the recalls of the emotions that the items have.",
    "Natives hear their own language, second language is another that they know, non-natives do not know it.",
    "mono, cross and trans: a model trained and tested on its encoder's language; trained on that and tested on "
    "another; trained and tested on another. Their human counterparts are natives, non-natives and second language.",
    "Recall: the share of an emotion's items that are taken for it. Precision: the share of answers that are right.",
    "EDER: emotion diarization error rate, in per cent of the time; lower is better.",
)


def size_of_test(record: StudyRecord) -> tuple[str, ...]:
    """How many listeners answered about how many items, and what they chose from."""
    findings = listening_of(record)
    items = sum(row.utterances for row in record.corpora)
    return count(len(findings.rows), "listener"), count(items, "item"), ", ".join(findings.emotions)


def headline(record: StudyRecord) -> str:
    """Natives against non-natives, or what each language's listeners reach; then models beside, and chance."""
    findings = listening_of(record)
    own = _own_language(findings)
    sentences = [own] if own else [_language_sentence(findings, language) for language in findings.languages]
    models = [_model_sentence(findings, model) for model in findings.models[:MOST_MODELS]]
    people = len({number for cell in findings.cells for number in cell.listeners})
    chance = f"Guessing reaches {percent(findings.chance)} %; {count(people, 'listener')} scored."
    return " ".join([*filter(None, sentences), *models, chance])


def _own_language(findings: ListeningFindings) -> str:
    """Natives against non-natives of the same language, where both are there."""
    pairs = [
        (test, first, second)
        for test in findings.tests
        for first in findings.cells
        for second in findings.cells
        if (test.test, test.first, test.second) == ("Welch", first.name, second.name)
        and first.language == second.language and first.setting == "mono" and second.setting == "cross"
    ]  # fmt: skip
    if not pairs:
        return ""
    test, first, second = max(pairs, key=lambda pair: (pair[0].corrected <= SIGNIFICANCE, abs(pair[0].difference)))
    name, values = heard_name(first.language), f"{percent(first.mean.value)} against {percent(second.mean.value)} %"
    if test.corrected <= SIGNIFICANCE:
        word = "better" if test.difference > 0 else "worse"
        return (
            f"Natives recognise the emotions of {name} {word} than those who do not know it: {values}, {_judged(test)}."
        )
    return (
        f"Natives are not shown to recognise the emotions of {name} better or worse than those who do not know it: "
        f"{values}, {_judged(test)}."
    )


def _judged(test: ListenerTest) -> str:
    """A difference, and its corrected p."""
    size = f"a difference of {percent(abs(test.difference))} points"
    if math.isnan(test.corrected):
        return f"{size} that no test can judge"
    p = p_text(test.corrected)
    return f"{size} ({'p' if p.startswith('<') else 'p ='} {p} after Holm's correction)"


def _language_sentence(findings: ListeningFindings, language: str) -> str:
    parts = [
        f"{cell.full_group}{' recognise' if not number else ''} {percent(cell.mean.value)} % "
        f"({_bounds(cell.mean)}, {count(len(cell.values), 'listener')})"
        for number, cell in enumerate(cell for cell in findings.cells if cell.language == language and cell.values)
    ]
    return f"Of the emotions of {heard_name(language)}, {'; '.join(parts)}." if parts else ""


def _model_sentence(findings: ListeningFindings, model: ModelCell) -> str:
    """A model beside its human counterpart."""
    beside = [cell for cell in counterparts(findings, model) if cell.values]
    text = f"{model.name} reaches {percent(model.ua)} % on {heard_name(model.language)}"
    if not beside:
        return f"{text}."
    cell = beside[0]
    gap = model.ua - cell.mean.value
    word = "above" if gap > 0 else "below" if gap < 0 else "as high as"
    points = f"{percent(abs(gap))} points {word}" if gap else word
    return f"{text}, {points} the mean of {cell.full_group}."


def counterparts(findings: ListeningFindings, model: ModelCell) -> tuple[ListenerCell, ...]:
    """The listeners that a model is set beside: of its language and setting, or of its language where it has none."""
    return tuple(
        cell
        for cell in findings.cells
        if cell.language == model.language and (not model.setting or cell.setting == model.setting)
    )


def scale_section(record: StudyRecord) -> Section:
    """The UA of listeners and models, a picture and its numbers."""
    findings = listening_of(record)
    groups, rows = [], []
    for language in dict.fromkeys((*findings.languages, *(model.language for model in findings.models))):
        drawn = []
        for cell in (cell for cell in findings.cells if cell.language == language):
            drawn.append(ScaleRow(cell.full_group, cell.mean.value, cell.mean.low, cell.mean.high, cell.values))
            rows.append(_cell_row(record, cell))
        for model in (model for model in findings.models if model.language == language):
            drawn.append(ScaleRow(model_name(model), model.ua, model.low, model.high, is_model=True))
            rows.append(_model_row(findings, model))
        groups.append((heard_name(language), drawn))
    columns = ("language", "who", "setting", "UA (95 % interval), %", "listeners, or folds", "items",
               "least to most, %", "published, %", "listeners beside, %")  # fmt: skip
    table = Table("UA of listeners and models on the same items", columns, tuple(rows))
    svg = scale_plot(groups, chance=findings.chance, title="UA of listeners and models")
    settings = {model.setting for model in findings.models if model.setting}
    words = tuple(f"{name}: {MODEL_SETTINGS[name]}." for name in MODEL_SETTINGS if name in settings)
    return Section(
        "Listeners and models on one scale", (PICTURE_TEXT, INTERVAL_TEXT), words, (figure(svg, table, "listeners"),)
    )


def _cell_row(record: StudyRecord, cell: ListenerCell) -> tuple[str, ...]:
    published = [
        row.printed for row in record.published if (row.method, row.target_language) == (cell.who, cell.language)
    ]
    spread = f"{percent(min(cell.values))} to {percent(max(cell.values))}" if cell.values else ""
    return (
        cell.language, cell.group, LISTENER_SETTINGS.get(cell.setting, ""), mean_text(cell.mean),
        str(len(cell.values)), str(cell.items), spread, ", ".join(published), "",
    )  # fmt: skip


def _model_row(findings: ListeningFindings, model: ModelCell) -> tuple[str, ...]:
    beside = "; ".join(_cell_text(cell) for cell in counterparts(findings, model) if cell.values)
    items = f"{model.n}{f' of {model.n + model.missing}' if model.missing else ''}"
    value = interval("UA", model.ua, model.low, model.high)
    return model.language, model.name, model.setting, value, str(model.folds), items, "", "", beside


def published_listeners(record: StudyRecord) -> Section | None:
    """What was printed of listeners and models of such a test."""
    return published_section(record) if record.published else None


def term_section(record: StudyRecord) -> Section:
    """What the words of the page mean."""
    return Section("Glossary", items=TERMS)


def listening_lines(record: StudyRecord) -> list[str]:
    """A listening test for the terminal: a line a cell and model, the tests of the family, and who is left out."""
    findings = listening_of(record)
    lines = []
    for cell in findings.cells:
        who = f"{cell.language:8} {cell.full_group:34}"
        alpha = "" if math.isnan(cell.alpha.value) else f" alpha={cell.alpha.value:.2f}"
        lines.append(f"{who} UA {mean_text(cell.mean)}  listeners={len(cell.values)}{alpha}")
    for model in findings.models:
        value = interval("UA", model.ua, model.low, model.high)
        lines.append(f"{model.language:8} {model_name(model):34} UA {value}  items={model.n} folds={model.folds}")
    for test in findings.tests:
        if test.is_in_family:
            lines.append(
                f"{test.test}: {test.first} against {test.second}: {difference_text(test)} points, "
                f"p {p_text(test.p)}, Holm {p_text(test.corrected)}, {effect_text(test)}"
            )
    lines += [f"left out: {reason}: {count(n, 'listener')}" for reason, n in findings.excluded.items()]
    return [*lines, *(f"left out: {note}" for note in findings.notes)]


def _cell_text(cell: ListenerCell) -> str:
    return f"{cell.full_group} {mean_text(cell.mean)}"


def _bounds(mean: Mean) -> str:
    return "no interval" if math.isnan(mean.low) else f"{percent(mean.low)} to {percent(mean.high)}"
