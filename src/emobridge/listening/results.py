"""What a listening test shows: listeners by group and language, models on the same items, tests, agreement, marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from emobridge.corpora.demo import is_synthetic
from emobridge.errors import UserError, count_noun
from emobridge.listening.comparing import tests_of
from emobridge.listening.dialect import DIALECT_EMOTIONS, RULE_TEXTS
from emobridge.listening.models import cells_of_model, model_files
from emobridge.listening.records import ListeningItem
from emobridge.listening.responses import AnswerSet, read_answers
from emobridge.listening.score_rows import cell_scores, count_scores
from emobridge.listening.scoring import (
    ScoringRules,
    cell_language,
    cells_of,
    labels_of_answers,
    scored_items,
    scored_listeners,
)
from emobridge.listening.settings import INCLUDABLE, ResultsRequest
from emobridge.literature.record import Published
from emobridge.report.listeners import ListeningFindings
from emobridge.report.listening import listening_lines
from emobridge.report.page import headline
from emobridge.report.record import CorpusRow, StudyRecord
from emobridge.report.verdict import warnings_of
from emobridge.report.write import write_study
from emobridge.settings import command_of, write_settings
from emobridge.study.versions import versions
from emobridge.types import short_repr


@short_repr
@dataclass(frozen=True, slots=True)
class ListeningResults:
    """What a listening test shows, and the lines that a terminal shows."""

    record: StudyRecord
    lines: tuple[str, ...] = field(default=())

    @property
    def findings(self) -> ListeningFindings:
        """Cells of listeners, models, tests and listeners."""
        assert self.record.listening is not None
        return self.record.listening


def listening_results(
    request: ResultsRequest | None = None, *, published: Sequence[Published] = (), strict: bool = False, **options: Any
) -> ListeningResults:
    """Score a listening test, and write the folder `out`: results.html, .md and .json, scores.json, tables/.

    request: a record, or its options by name: listening_results(study="answers.csv", items="items.jsonl").
    published: printed numbers, which stand beside those of listeners of the same name ("listeners, native de") on the
    same language. Of a folder of tables those that cannot be read are left out and named; with `strict` the first one
    raises. Errors: UserError for whatever is wrong with the request or the answers.
    """
    request = request or ResultsRequest(**options)
    record = replace(results_record(request, strict=strict), published=tuple(published))
    page = write_study(request.out, record)
    write_settings(Path(request.out) / "settings.toml", request)
    lines = [headline(record), *listening_lines(record), *(f"warning: {line}" for line in warnings_of(record))]
    return ListeningResults(record, (*lines, f"report: {page}"))


def results_record(request: ResultsRequest, *, strict: bool = False) -> StudyRecord:
    """The record of a request; nothing is written. Errors: as `listening_results`."""
    answers = read_answers(request.study, request.items, buttons=request.buttons, strict=strict)
    rules = ScoringRules(
        include=request.include, most_failed=request.most_failed, question=request.question_rule,
        second_languages=request.second_languages,
    )  # fmt: skip
    items = scored_items(answers.items, rules.question)
    if not items:
        raise UserError(f"{request.study}: no item is left to be scored")
    labels = labels_of_answers(answers, items)
    listeners = scored_listeners(answers, items, rules)
    cells = cells_of(listeners, items, labels, rules)
    model_notes: list[str] = []
    offered = labels[: len(answers.emotions)] or labels
    models = [
        pair for model in model_files(request.model) for pair in cells_of_model(model, items, labels, model_notes)
    ]  # fmt: skip
    findings = ListeningFindings(
        emotions=offered, cells=cells, models=tuple(cell for cell, _ in models), tests=tests_of(cells),
        rows=tuple(scored.row for scored in listeners), rules=tuple(_rules(answers, rules)), notes=answers.notes,
    )  # fmt: skip
    if not cells:
        reasons = ", ".join(f"{reason} {n}" for reason, n in findings.excluded.items())
        raise UserError(f"{request.study}: no listener counts ({reasons}); --include takes {', '.join(INCLUDABLE)}")
    scores = [row for cell in cells for row in cell_scores(cell, listeners, items)]
    scores += [row for cell, rows in models for row in (rows or count_scores(cell))]
    corpora = _corpora(items)
    return StudyRecord(
        kind="listening", name=f"Listening test: {answers.name}", command=command_of(request, "listening results"),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"), labels=labels, scores=tuple(scores),
        intervals_over="listeners", listening=findings, warnings=(*_warnings(findings), *model_notes),
        corpora=corpora, synthetic=any(is_synthetic(row.corpus) for row in corpora), versions=versions(),
    )  # fmt: skip


def _rules(answers: AnswerSet, rules: ScoringRules) -> Iterator[str]:
    """How answers were scored, a sentence each."""
    if any(item.emotion in DIALECT_EMOTIONS for item in answers.items):
        yield "Dialect, as in Han et al. 2025: negation counts as anger, expectation as happiness."
        if any(item.emotion == "question" for item in answers.items):
            yield RULE_TEXTS[rules.question]
    yield "UA of a listener is over the emotions that the items of a language have; any other answer is wrong."
    if answers.unheard:
        yield f"Items are the recordings of --items that somebody answered: {answers.unheard:,} of its rows are none."
    checks = sum(item.kind == "attention" for item in answers.items)
    if checks:
        most = count_noun(rules.most_failed, "check") if rules.most_failed else "none"
        yield f"Of {count_noun(checks, 'attention check')} a listener may fail {most}."
    if rules.include:
        yield f"Listeners who are {', '.join(rules.include)} count too, since --include says so."
    yield (
        "Natives by native language; a second language is one that the listener lists, at any level; English by the "
        "question about it"
        + (f", and for all others {', '.join(rules.second_languages)}" if rules.second_languages else "")
        + "."
    )


def _warnings(findings: ListeningFindings) -> Iterator[str]:
    """What a reader must know before any number."""
    for cell in findings.cells:
        if len(cell.values) == 1:
            yield f"{cell.name}: a single listener, so that nothing tells how others would answer."
        if not cell.values:
            yield f"{cell.name}: no listener answered an item of each emotion, so that there is no UA."
    for model in findings.models:
        if model.missing:
            yield (
                f"{model.name} answers {model.n} of {model.n + model.missing} items of {model.language}: its score is "
                "over these, that of listeners over all."
            )
    if any(model.low != model.low for model in findings.models):
        yield "Models without an interval: counts alone, or items of a single speaker, do not give one."


def _corpora(items: Sequence[ListeningItem]) -> tuple[CorpusRow, ...]:
    """The corpora that items were drawn from."""
    rows: dict[tuple[str, str], list[ListeningItem]] = {}
    for item in items:
        rows.setdefault((item.corpus or "items", cell_language(item.language)), []).append(item)
    corpora = []
    for (corpus, language), members in rows.items():
        speakers = {item.speaker for item in members}
        emotions = [item.emotion for item in members]
        counts = tuple((emotion, emotions.count(emotion)) for emotion in dict.fromkeys(emotions))
        known = None if None in speakers else len(speakers)
        hours = sum(item.seconds for item in members) / 3600 or None
        corpora.append(CorpusRow("target", corpus, language, len(members), known, hours, counts))
    return tuple(corpora)
