"""The tables of a listening test: tests, confusions, precision and recall, agreement, marked stretches, listeners."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from emobridge.report import plots
from emobridge.report.blocks import Figure, PageBlock, Section, Table, count, figure, interval, percent
from emobridge.report.listeners import (
    ListenerCell,
    ListenerTest,
    ListeningFindings,
    ModelCell,
    group_name,
    heard_name,
)
from emobridge.report.record import StudyRecord
from emobridge.scores.agreement import Agreement
from emobridge.scores.confusion import f1_by_class, precision_by_class, recall_by_class
from emobridge.scores.paired import Mean

TEST_TEXT = (
    "All tests are two-sided, of the UA of listeners. Between groups: Welch's test of cells that share the language or "
    "the setting, with Hedges' g. Within a group the same listeners hear both: a paired t test, with Cohen's d_z of "
    "the differences. The family of Holm's correction is the {count} on this page that belong to it and could be done. "
    "Welch's test of the same listeners, as Han et al. 2025 print it, takes them for different people: it stands "
    "beside, outside the family."
)
AGREEMENT_TEXT = (
    "Agreement of listeners with each other, whatever was meant: 1 is agreement about all items, 0 what answering at "
    "random would reach. Fleiss' kappa, where items have different numbers of answers as generalised by Gwet 2014; "
    "Krippendorff's alpha for nominal answers. Intervals are of 95 %, by a jackknife over items: other items, the same "
    "listeners."
)
MARK_TEXT = (
    "Each listener marks the one stretch that carries the emotion most. Overlap: shared time of two listeners' "
    "stretches by the time of either, over all pairs of listeners of an item, then over items, with a 95 % interval "
    "over these."
)
EDER_TEXT = (
    "EDER: emotion diarization error rate, the share of an item's time that is missed, falsely marked or given another "
    "emotion, against the item's own stretch; neutral items are left out, and answers without a stretch. Means of "
    "listeners, each over utterances, with 95 % intervals over listeners; pooled is of all their time together."
)


def listening_of(record: StudyRecord) -> ListeningFindings:
    """What the record of a listening test holds."""
    assert record.listening is not None
    return record.listening


def test_section(record: StudyRecord) -> Section | None:
    """All tests with their effects."""
    tests = listening_of(record).tests
    if not tests:
        return None
    rows = tuple(
        (
            test.test, f"{test.first} against {test.second}", difference_text(test), _number(test.t, 2),
            _number(test.freedom, 0 if test.test == "paired" else 1), p_text(test.p),
            p_text(test.corrected) if test.is_in_family else "not in it", effect_text(test),
            "/".join(map(str, test.counts)),
        )
        for test in tests
    )  # fmt: skip
    columns = ("test", "cells", "difference in UA, points", "t", "degrees of freedom", "p", "p, Holm",
               "effect (95 % interval)", "listeners")  # fmt: skip
    family = sum(test.is_in_family and not math.isnan(test.p) for test in tests)
    return Section("Tests", (TEST_TEXT.format(count=count(family, "test")),), blocks=(Table("Tests", columns, rows),))


def confusion_section(record: StudyRecord) -> Section:
    """A matrix for each cell and model: shares of each row and counts."""
    findings = listening_of(record)
    blocks: list[PageBlock] = [
        _matrix(f"{cell.full_group} on {heard_name(cell.language)}", cell) for cell in findings.cells
    ]
    blocks += [
        _matrix(f"{model.name}{f', {model.setting},' if model.setting else ''} on {heard_name(model.language)}", model)
        for model in findings.models
    ]
    text = "Rows are what was meant, columns what was answered; per cent of the row, and counts below. Those of models "
    return Section("Confusion", (text + "are summed over fold models.",), blocks=tuple(blocks))


def _matrix(name: str, cell: ListenerCell | ModelCell) -> Figure | Table:
    """Without rows of emotions that no item has."""
    title = f"Confusion: {name}"
    rows = []
    for label, counts in zip(cell.labels, cell.counts):
        total = sum(counts)
        if total:
            rows.append((label, *(f"{percent(n / total)} ({n})" for n in counts), str(total)))
    table = Table(f"{title}; per cent of the row (counts)", ("meant \\ answered", *cell.labels, "n"), tuple(rows))
    return figure(plots.matrix(cell.labels, cell.counts, title=title), table)


def class_section(record: StudyRecord) -> Section:
    """Precision, recall and F1 of each emotion."""
    findings = listening_of(record)
    rows = [row for cell in findings.cells for row in _class_rows(cell.language, cell.full_group, cell)]
    rows += [row for model in findings.models for row in _class_rows(model.language, model.name, model)]
    table = Table(
        "By emotion, per cent, of all answers of a cell together",
        ("language", "who", "emotion", "precision", "recall", "F1", "answers"), tuple(rows),
    )  # fmt: skip
    return Section("Precision, recall and F1", blocks=(table,))


def _class_rows(language: str, who: str, cell: ListenerCell | ModelCell) -> Iterator[tuple[str, ...]]:
    counts = np.array(cell.counts, dtype=float)
    measures = (precision_by_class(counts), recall_by_class(counts), f1_by_class(counts))
    shown = [index for index, total in enumerate(counts.sum(1)) if total]
    for index in shown:
        values = (_share(float(measure[index])) for measure in measures)
        yield language, who, cell.labels[index], *values, str(int(counts[index].sum()))
    if len(shown) > 1:
        macro = (_share(float(np.mean([measure[index] for index in shown]))) for measure in measures)
        yield language, who, "mean", *macro, str(int(counts.sum()))


def agreement_section(record: StudyRecord) -> Section | None:
    """Fleiss' kappa and Krippendorff's alpha of each cell."""
    cells = [cell for cell in listening_of(record).cells if cell.alpha.items]
    if not cells:
        return None
    rows = tuple(
        (cell.language, cell.full_group, _agreement(cell.kappa), _agreement(cell.alpha), str(cell.alpha.items),
         str(cell.alpha.answers))
        for cell in cells
    )  # fmt: skip
    columns = ("language", "who", "Fleiss' kappa", "Krippendorff's alpha", "items", "answers")
    return Section(
        "Agreement of listeners", (AGREEMENT_TEXT,), blocks=(Table("Agreement of listeners", columns, rows),)
    )


def mark_section(record: StudyRecord) -> Section | None:
    """Marked stretches: overlap between listeners, and EDER where the truth has stretches."""
    cells = [cell for cell in listening_of(record).cells if cell.marks is not None]
    if not cells:
        return None
    rows, emotions, by_emotion = [], dict.fromkeys(e for c in cells if c.marks for e, _ in c.marks.by_emotion), []
    for cell in cells:
        marks = cell.marks
        assert marks is not None
        eder = "" if math.isnan(marks.eder.value) else mean_text(marks.eder)
        pooled = "" if math.isnan(marks.pooled) else percent(marks.pooled)
        parts = "; ".join(f"{name} {percent(share)}" for name, share in marks.parts)
        overlap = "" if math.isnan(marks.overlap.value) else mean_text(marks.overlap)
        rows.append(
            (cell.language, cell.full_group, str(marks.marked), str(marks.unmarked), overlap, eder, pooled, parts)
        )  # fmt: skip
        values = dict(marks.by_emotion)
        if values:
            shown = (mean_text(values[emotion]) if emotion in values else "" for emotion in emotions)
            by_emotion.append((cell.language, cell.full_group, *shown))
    columns = ("language", "who", "marked", "not marked", "overlap, %", "EDER, %", "pooled, %", "parts of pooled, %")
    blocks = [Table("Marked stretches", columns, tuple(rows))]
    if by_emotion:
        blocks.append(Table("EDER by emotion, per cent", ("language", "who", *emotions), tuple(by_emotion)))
    texts = (MARK_TEXT, EDER_TEXT) if by_emotion else (MARK_TEXT,)
    return Section("Marked stretches", texts, blocks=tuple(blocks))


def listener_section(record: StudyRecord) -> Section:
    """Each listener's UA, and who does not count."""
    findings = listening_of(record)
    languages = tuple(dict.fromkeys(language for row in findings.rows for language, _ in row.values))
    rows = []
    for row in findings.rows:
        values = dict(row.values)
        shown = (_share(values.get(language, math.nan)) for language in languages)
        checks = f"{row.failed} of {row.checks}" if row.checks else ""
        rows.append((row.number, group_name(row.who), row.state, *shown, str(row.answers), checks, row.excluded))
    columns = ("listener", "group", "state", *(f"UA on {language}, %" for language in languages), "answers",
               "checks failed", "left out because")  # fmt: skip
    excluded = findings.excluded
    text = (
        f"{count(sum(excluded.values()), 'listener')} of {len(findings.rows)} left out: "
        + ", ".join(f"{reason} {n}" for reason, n in excluded.items()) + "."
        if excluded else f"All {count(len(findings.rows), 'listener')} count."
    )  # fmt: skip
    note = "UA is - where a listener did not answer an item of each emotion."
    return Section("Listeners", (text, note), blocks=(Table("UA of each listener", columns, tuple(rows)),))


def rule_section(record: StudyRecord) -> Section:
    """How answers were scored, and what could not be used."""
    findings = listening_of(record)
    lines = (f"Listeners chose from {', '.join(findings.emotions)}.", *findings.rules)
    notes = tuple(f"Left out: {note}." for note in findings.notes)
    return Section("How answers were scored", items=(*lines, *notes))


def p_text(p: float) -> str:
    """A p value with three decimals.

    >>> p_text(0.0304), p_text(0.0001), p_text(float("nan"))
    ('0.030', '<0.001', 'not defined')
    """
    return "not defined" if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def model_name(model: ModelCell) -> str:
    """Its name, with its setting."""
    return f"{model.name}{f' ({model.setting})' if model.setting else ''}"


def mean_text(mean: Mean) -> str:
    """A mean with its interval, per cent."""
    return interval("UA", mean.value, mean.low, mean.high)


def _share(value: float) -> str:
    return "-" if math.isnan(value) else percent(value)


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def difference_text(test: ListenerTest) -> str:
    """A difference of UA in points, with its sign and interval."""
    if math.isnan(test.low):
        return f"{100 * test.difference:+.1f} (no interval)"
    return f"{100 * test.difference:+.1f} ({100 * test.low:+.1f} to {100 * test.high:+.1f})"


def effect_text(test: ListenerTest) -> str:
    """An effect size by its name, with its interval."""
    name, effect = ("d_z" if test.test == "paired" else "g"), test.effect
    if math.isnan(effect.value):
        return f"{name} -"
    return f"{name} {effect.value:.2f} ({effect.low:.2f} to {effect.high:.2f})"


def _agreement(agreement: Agreement) -> str:
    if math.isnan(agreement.value):
        return "-"
    ends = "no interval" if math.isnan(agreement.low) else f"{agreement.low:.2f} to {agreement.high:.2f}"
    return f"{agreement.value:.3f} ({ends})"
