"""From a finished run of `adapt` to its record, and what the records of other studies share with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from emobridge.audit.findings import Audit
from emobridge.corpora.demo import is_synthetic
from emobridge.data.attributes import is_constructed
from emobridge.data.speech import Speech, count_folds
from emobridge.literature.published import CorpusLanguage, applicable
from emobridge.methods.base import BASELINE
from emobridge.report.embedding import Embedding
from emobridge.report.record import (
    SIDES,
    CorpusRow,
    CostRow,
    CurvePoint,
    Floor,
    LayerScore,
    StudyRecord,
    SystemRow,
)
from emobridge.scores.base import Condition
from emobridge.settings import flat_values, layer_names
from emobridge.study.calibration import AGREEMENT_OF_HALVES, calibrations_of, temperature_lines
from emobridge.study.evaluations import evaluations_of
from emobridge.study.facts import (
    Scored,
    changes_of,
    collapsed_of,
    confusions_of,
    differences_of,
    intervals_over,
    scores_of,
)
from emobridge.study.grid import Grid
from emobridge.study.groups import group_facts, group_results, group_scores
from emobridge.study.harm import harm_scores
from emobridge.study.origin import SourceBundle
from emobridge.study.protocol import held_out, saw, speech_warnings, split_text
from emobridge.study.run import Answers, method_name
from emobridge.study.space import embedding, test_space
from emobridge.study.train import Adapted
from emobridge.study.versions import versions
from emobridge.training.case import Case
from emobridge.training.checkpoints import LogPoint
from emobridge.training.cost import StageCost
from emobridge.training.trace import TRACED
from emobridge.types import Score, person

# Options whose decided value a report shows in place of what was asked for.
DECIDED = ("layer", "statistics", "prosody", "by_corpus", "align", "target_labels")


def record_of(adapted: Adapted, audit: Audit | None, command: str) -> StudyRecord:
    """The record of a run. audit: of its manifests. command: the line that makes the run again."""
    request, case, speech = adapted.request, adapted.system, adapted.speech
    scored = scored_in(adapted)
    by_group = group_results(speech, scored, request.by_group)
    scores = (*scores_of(scored), *group_scores(by_group))
    corpora = (*_absent_rows(adapted.prepared.origin, case), *corpora_of(speech, audit))
    has_target = any(row.side == "target" for row in scores)
    return StudyRecord(
        kind="adapt",
        name=Path(request.output.out).name,
        command=command,
        created=now(),
        labels=case.labels,
        attributes=case.attributes,
        synthetic=any(is_synthetic(row.corpus) for row in corpora),
        constructed=bool(case.attributes) and any(is_constructed(row.corpus) for row in corpora),
        corpora=corpora,
        held_out=held_out(request.split, count_folds(speech, request.split), has_target),
        scores=scores,
        label_free_scores=_label_free_scores(adapted),
        harm=adapted.harm,
        intervals_over=intervals_over(scored),
        systems=tuple(system_row(adapted, answers.case) for answers in adapted.answers),
        method=method_name(case),
        baseline=BASELINE,
        differences=differences_of(scored),
        changes=changes_of(scored),
        by_group=group_facts(by_group),
        confusions=confusions_of(scored),
        collapsed=collapsed_of(scored),
        calibrations=calibrations_of(speech, request.split, adapted.answers, adapted.agreed),
        temperatures=_temperatures(adapted),
        costs=tuple(row for answers in adapted.answers for row in cost_rows(answers)),
        curves=_curves(adapted.answers),
        layer_choice=layer_choice(adapted.decision.layer_scores, case),
        encoder_trained=bool(adapted.recognizer.spec.trained_parts),
        test_space=test_space(speech, adapted.answers),
        space=_embedding(adapted),
        audit=audit,
        floors=_floors(adapted, audit),
        warnings=_warnings(adapted),
        published=tuple(
            row
            for names in (case.labels, case.attributes)
            if names
            for row in applicable(*both_sides(speech), names, case.target_labels)
        ),
        skipped=skipped_lines(adapted),
        settings=setting_rows(adapted, case),
        versions=versions(),
        bundle=str(Path(request.output.out) / "bundle"),
        bundle_method=method_name(adapted.chosen),
        bundle_reason=adapted.recognizer.spec.reason,
    )


def _embedding(adapted: Adapted) -> Embedding | None:
    case = adapted.chosen
    return embedding(adapted.speech.at(case.layer, case.views), adapted.recognizer, case, adapted.sample)


def _absent_rows(origin: SourceBundle | None, case: Case) -> tuple[CorpusRow, ...]:
    """The source corpora of which only moments were there."""
    if origin is None:
        return ()
    rows = []
    for (corpus, language), counts in zip(origin.moments.corpora, origin.moments.count.tolist()):
        labels = tuple(sorted((label, number) for label, number in zip(case.labels, counts) if number))
        rows.append(CorpusRow("source", corpus, language, sum(counts), None, None, labels))
    return tuple(rows)


def _temperatures(adapted: Adapted) -> tuple[str, ...]:
    """How the temperatures of the bundle came about, a line each."""
    chosen, origin = adapted.chosen, adapted.prepared.origin
    if origin is not None:
        target, whose = adapted.recognizer.spec.temperature, f"that of {origin.bundle}"
        by = whose if target == origin.temperatures[0] else AGREEMENT_OF_HALVES
        return (
            f"temperature of answers to the target: {target:.2f}, by {by}",
            f"temperature of answers to the source: {origin.temperatures[1]:.2f}, by {whose}",
        )
    answers = next(answers for answers in adapted.answers if answers.case == chosen)
    return temperature_lines(adapted.speech, adapted.request.split, answers, adapted.agreed.get(chosen, 1.0))


def scored_in(study: Adapted | Grid) -> list[Scored]:
    """The evaluations of each system, first on the target: of emotions and of attributes, as far as it has labels."""
    scored = []
    for answers in study.answers:
        case = answers.case
        for side in SIDES:
            predicted = [part for part in answers.predicted if part.side == side]
            for evaluation in evaluations_of(study.speech, case.labels, case.attributes, predicted):
                scored.append(Scored(condition_of(study, case, side), evaluation, case.normalise))
    return scored


def condition_of(study: Adapted | Grid, case: Case, side: str) -> Condition:
    """What the scores of a case on one side share."""
    request = study.request
    *sources, target = (corpus for corpus, _ in study.speech.corpora)
    return Condition(
        run=Path(request.output.out).name,
        method=method_name(case),
        encoder=Path(case.encoder).name,
        layer=case.layer,
        normalisation=case.normalisation,
        source="+".join(sources),
        target=target,
        target_labels=case.target_labels,
        split=split_text(study.speech, request.split, request.data.pool),
        side=side,
        head=case.head.name,
    )


def system_row(study: Adapted | Grid, case: Case) -> SystemRow:
    """A system, and what it saw."""
    return SystemRow(
        method=method_name(case),
        target_labels=case.target_labels,
        normalise=case.normalise,
        align=case.align,
        head=case.head.name,
        head_options=case.head.assignments,
        saw=saw(case, study.request.data, study.request.split),
    )


def corpora_of(speech: Speech, audit: Audit | None) -> tuple[CorpusRow, ...]:
    """The corpora of both sides; their hours where an audit has measured them."""
    rows = []
    sounds = audit.sounds if audit is not None and len(audit.sounds) == speech.target + 1 else ()  # one a manifest
    for domain in range(len(speech.absent), speech.target + 1):
        utterances = [speech.utterances[row] for row in np.flatnonzero(speech.domain_of == domain)]
        side = "target" if domain == speech.target else "source"
        speakers = {person(utterance) for utterance in utterances}
        counts = Counter(utterance.emotion or "unlabelled" for utterance in utterances)
        corpora = "+".join(sorted({utterance.corpus for utterance in utterances}))
        measured = bool(sounds) and sounds[domain].readable == len(utterances)  # a manifest may hold several corpora
        hours = sounds[domain].seconds / 3600 if measured else None
        people = None if None in speakers else len(speakers)
        language = utterances[0].language
        rows.append(CorpusRow(side, corpora, language, len(utterances), people, hours, tuple(sorted(counts.items()))))
    return tuple(rows)


def both_sides(speech: Speech) -> tuple[set[CorpusLanguage], set[CorpusLanguage]]:
    """The corpora that the source and the target are made of: a side may have several."""
    sides: tuple[set[CorpusLanguage], set[CorpusLanguage]] = (set(speech.absent), set())
    for utterance, is_target in zip(speech.utterances, speech.is_target.tolist()):
        sides[is_target].add((utterance.corpus, utterance.language))
    return sides


def cost_rows(answers: Answers) -> tuple[CostRow, ...]:
    """What the stages of a case took over its fits, a row for each stage."""
    stages: dict[int, list[StageCost]] = {}
    for log in answers.logs:
        for cost in log.costs:
            stages.setdefault(cost.stage, []).append(cost)
    return tuple(
        CostRow(
            method=answers.method,
            stage=stage,
            trained=costs[0].trained,
            weights=costs[0].weights,
            seconds=float(np.mean([cost.seconds for cost in costs])),
            cpu=float(np.mean([cost.cpu for cost in costs])),
            memory=max(cost.memory for cost in costs),
            target_labels=answers.case.target_labels,
            normalisation=answers.case.normalisation,
        )
        for stage, costs in stages.items()
    )


def layer_choice(scores: Sequence[tuple[str, float]], case: Case) -> tuple[LayerScore, ...]:
    """The scores of the layers, where one was chosen for `case`."""
    return tuple(LayerScore(name, value, name in layer_names(case.layer)) for name, value in scores)


def skipped_lines(study: Adapted | Grid) -> tuple[str, ...]:
    """A line for each utterance that could not be read."""
    return tuple(f"{name}: {reason}" for name, reason in study.prepared.skipped)


def setting_rows(study: Adapted | Grid, case: Case) -> tuple[tuple[str, str], ...]:
    """Every option and its value; those that were decided, as they were decided for `case`."""
    values = flat_values(study.request) | {name: getattr(case, name) for name in DECIDED}
    values |= {"head": case.head.name, "head_options": case.head.assignments}
    return tuple((name, setting_text(value)) for name, value in values.items())


def setting_text(value: object) -> str:
    """The value of a setting as a table shows it."""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def now() -> str:
    """The time in UTC, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def study_warnings(study: Adapted | Grid) -> list[str]:
    """What a reader must know of the speech of a study, and of how pseudo-labels went."""
    cases = [answers.case for answers in study.answers]
    lines = list(speech_warnings(cases, study.speech, study.request.split, study.decision.varieties))
    if study.prepared.left_out:
        lines.append(f"{study.prepared.left_out} target utterances of other emotions were left out, by their labels")
    if study.prepared.skipped:
        lines.append(f"{len(study.prepared.skipped)} utterances could not be read and were left out")
    points = _points(study.answers)
    shares = [point.value for point in points if point.term == "pseudo-labelled share"]
    if shares and min(shares) == 0:
        lines.append("in at least one round no target utterance was sure enough to be pseudo-labelled")
    if any(point.value == 1 for point in points if point.term == "pseudo-labelled classes"):
        lines.append("in at least one round all sure target utterances were of one emotion: their labels were not used")
    return lines


def _warnings(adapted: Adapted) -> tuple[str, ...]:
    speech, lines = adapted.speech, study_warnings(adapted)
    if (origin := adapted.prepared.origin) is not None:
        lines.append(
            f"no source speech was there: the moments of {origin.bundle} took its place, and the source was not scored "
            "anew; what that recogniser reached stands at the end of the model card"
        )
    scored = {
        speech.utterances[row].id
        for answers in adapted.answers
        for part in answers.predicted
        if part.side == "target"
        for row in part.rows
    }
    if scored and speech.visible is not None and scored <= speech.visible:
        lines.append(
            "the target was scored on the utterances that were picked to be labelled, which are no fair sample"
        )
    return tuple(lines)


def _points(answers: Sequence[Answers]) -> list[LogPoint]:
    return [point for system in answers for log in system.logs for point in log.points]


def _label_free_scores(adapted: Adapted) -> tuple[Score, ...]:
    case = adapted.system
    return harm_scores(adapted.harm, condition_of(adapted, case, "target"), case.labels) if adapted.harm else ()


def _curves(answers: Sequence[Answers]) -> tuple[CurvePoint, ...]:
    """The logs, averaged over folds: a line for each method and seed."""
    values: dict[tuple[str, int, str], list[float]] = {}
    for system in answers:
        for log in system.logs:
            for point in log.points:
                key = f"{log.method}, seed {log.seed}", point.epoch, point.term
                values.setdefault(key, []).append(point.value)
    return tuple(CurvePoint(*key, float(np.mean(points))) for key, points in values.items())


def traced_curves(answers: Sequence[Answers]) -> tuple[CurvePoint, ...]:
    """Accuracy by epoch where the training was traced, averaged over seeds and folds: a line for each system."""
    values: dict[tuple[str, int, str], list[float]] = {}
    for system in answers:
        for point in _points([system]):
            if point.term.startswith(TRACED):
                key = f"{system.method}, {system.case.target_labels} labels", point.epoch, point.term
                values.setdefault(key, []).append(point.value)
    return tuple(CurvePoint(*key, float(np.mean(points))) for key, points in values.items())


def _floors(adapted: Adapted, audit: Audit | None) -> tuple[Floor, ...]:
    """What loudness and length alone tell of each manifest, with its side."""
    if audit is None:
        return ()
    data = adapted.request.data
    sides = {**dict.fromkeys(data.source, "source"), data.target: "target"}
    return tuple(
        Floor(sides[confound.manifest], confound) for confound in audit.confounds if confound.manifest in sides
    )
