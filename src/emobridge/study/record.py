"""From a finished run of `adapt` to its record."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

import emobridge
from emobridge.audit.findings import Audit
from emobridge.corpora.demo import is_synthetic
from emobridge.data.attributes import is_constructed
from emobridge.data.speech import Speech
from emobridge.literature.published import applicable
from emobridge.methods.base import BASELINE
from emobridge.report.record import (
    SIDES,
    CandidateRow,
    CorpusRow,
    CostRow,
    CurvePoint,
    Floor,
    LayerScore,
    StudyRecord,
    SystemRow,
)
from emobridge.scores.base import Condition
from emobridge.settings import Settings, layers_of
from emobridge.study.adapt import Adapted
from emobridge.study.auto import Candidate
from emobridge.study.facts import (
    Scored,
    changes_of,
    collapsed_of,
    confusions_of,
    differences_of,
    resampled_in,
    scores_of,
)
from emobridge.study.protocol import folds, held_out, saw, speech_warnings, split_of
from emobridge.study.run import attribute_evaluation_of, evaluation_of
from emobridge.study.space import embedding
from emobridge.training.cost import Cost, costs_of, is_cost
from emobridge.types import person

PACKAGES = ("torch", "transformers", "numpy", "scikit-learn", "soundfile", "soxr")


def record_of(adapted: Adapted, audit: Audit | None, command: str) -> StudyRecord:
    """The record of a run. audit: of its manifests. command: the line that makes the run again."""
    settings, trained = adapted.settings, adapted.recognizer.spec.trained_parts
    scored = scored_in(adapted)
    scores = scores_of(scored)
    corpora = corpora_of(adapted.speech, audit)
    languages = sorted({row.language for row in corpora if row.side == "source"})
    target = next(row.language for row in corpora if row.side == "target")
    has_target = any(row.side == "target" for row in scores)
    return StudyRecord(
        kind="adapt",
        name=Path(settings.out).name,
        command=command,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        labels=settings.labels,
        attributes=settings.attributes,
        synthetic=any(is_synthetic(row.corpus) for row in corpora),
        constructed=bool(settings.attributes) and any(is_constructed(row.corpus) for row in corpora),
        corpora=corpora,
        held_out=held_out(settings, folds(adapted.speech, settings), has_target),
        scores=scores,
        resampled=resampled_in(scored),
        systems=tuple(system_row(replace(settings, method=method)) for method in adapted.systems),
        method=settings.method,
        baseline=BASELINE,
        differences=differences_of(scored),
        changes=changes_of(scored),
        confusions=confusions_of(scored),
        collapsed=collapsed_of(scored),
        costs=cost_rows(costs_of(adapted.log), settings.target_labels, adapted.recognizer.spec.normalisation),
        curves=_curves(adapted),
        layer_choice=layer_choice(adapted.layer_scores, settings),
        candidates=tuple(_candidate(adapted, candidate) for candidate in adapted.candidates),
        validator=settings.validator if adapted.candidates else "",
        encoder_trained=bool(trained),
        space=embedding(adapted.speech, adapted.recognizer, settings),
        audit=audit,
        floors=_floors(settings, audit),
        warnings=_warnings(adapted),
        published=tuple(
            row
            for names in (settings.labels, settings.attributes)
            if names
            for row in applicable(languages, target, names, settings.target_labels)
        ),
        skipped=tuple(f"{name}: {reason}" for name, reason in adapted.skipped),
        settings=tuple((key, setting_text(getattr(settings, key))) for key in Settings.__slots__),
        versions=versions(),
        bundle=str(Path(settings.out) / "bundle"),
    )


def scored_in(adapted: Adapted) -> list[Scored]:
    """The evaluations of the run: of emotions for each system and side that is labelled, then of attributes."""
    settings, speech = adapted.settings, adapted.speech
    scored: list[Scored] = []
    for evaluate, names in (
        (evaluation_of, settings.labels),
        (attribute_evaluation_of, settings.attributes),
    ):
        for method in adapted.systems:
            for side in SIDES:
                answers = [p for p in adapted.predicted if (p.method, p.side) == (method, side)]
                evaluation = evaluate(speech, names, answers)
                if evaluation is not None:
                    scored.append(Scored(_condition(adapted, method, side), evaluation))
    return scored


def system_row(settings: Settings) -> SystemRow:
    """The system that some settings make, and what it sees."""
    return SystemRow(
        method=settings.method,
        target_labels=settings.target_labels,
        normalise=settings.normalise,
        align=settings.align,
        head=settings.head,
        head_options=settings.head_options,
        saw=saw(settings),
    )


def corpora_of(speech: Speech, audit: Audit | None) -> tuple[CorpusRow, ...]:
    """The corpora of both sides; their hours where an audit has measured them."""
    rows = []
    for domain in range(speech.target + 1):
        utterances = [speech.utterances[row] for row in np.flatnonzero(speech.domain_of == domain)]
        side = "target" if domain == speech.target else "source"
        speakers = {person(utterance) for utterance in utterances}
        counts = Counter(utterance.emotion or "unlabelled" for utterance in utterances)
        corpora = "+".join(sorted({utterance.corpus for utterance in utterances}))
        spans = [utterance.end - utterance.start for utterance in utterances if utterance.end is not None]
        hours = sum(spans) / 3600 if audit is not None and len(spans) == len(utterances) else None
        people = None if None in speakers else len(speakers)
        language = utterances[0].language
        rows.append(CorpusRow(side, corpora, language, len(utterances), people, hours, tuple(sorted(counts.items()))))
    return tuple(rows)


def cost_rows(costs: Iterable[Cost], target_labels: str, normalisation: str) -> tuple[CostRow, ...]:
    """The costs of all fits of some systems, a row for each method and stage."""
    groups: dict[tuple[str, int], list[Cost]] = {}
    for cost in costs:
        groups.setdefault((cost.run.rpartition(", seed")[0], cost.stage), []).append(cost)
    return tuple(
        CostRow(
            method=method,
            stage=stage,
            trained=fits[0].trained,
            weights=fits[0].weights,
            seconds=float(np.mean([fit.seconds for fit in fits])),
            cpu=float(np.mean([fit.cpu for fit in fits])),
            memory=max(fit.memory for fit in fits),
            target_labels=target_labels,
            normalisation=normalisation,
        )
        for (method, stage), fits in groups.items()
    )


def layer_choice(scores: Sequence[tuple[str, float]], settings: Settings) -> tuple[LayerScore, ...]:
    """The scores of the layers; `settings` have the layer that was chosen."""
    return tuple(LayerScore(name, value, name in layers_of(settings.layer)) for name, value in scores)


def setting_text(value: object) -> str:
    """The value of a setting as a table shows it."""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def versions() -> tuple[tuple[str, str], ...]:
    """Of emobridge, Python and the packages that numbers depend on."""
    pairs = [("emobridge", emobridge.__version__), ("Python", platform.python_version())]
    for package in PACKAGES:
        try:
            pairs.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return tuple(pairs)


def _condition(adapted: Adapted, method: str, side: str) -> Condition:
    settings, spec = adapted.settings, adapted.recognizer.spec
    *sources, target = spec.domains
    return Condition(
        run=Path(settings.out).name,
        method=method,
        encoder=Path(spec.encoder).name,
        layer=settings.layer,
        normalisation=spec.normalisation,
        source="+".join(corpus for corpus, _ in sources),
        target=target[0],
        target_labels=settings.target_labels,
        split=split_of(adapted.speech, settings),
        side=side,
        head=settings.head,
    )


def _candidate(adapted: Adapted, candidate: Candidate) -> CandidateRow:
    answers = [answer for answer in candidate.predicted if answer.side == "target"]
    evaluation = evaluation_of(adapted.speech, adapted.settings.labels, answers)
    score = None if evaluation is None else evaluation.values()["UA"]
    return CandidateRow(candidate.method, candidate.judged, score, candidate.method == adapted.settings.method)


def _curves(adapted: Adapted) -> tuple[CurvePoint, ...]:
    """The log, averaged over folds: a line for each method and seed."""
    values: dict[tuple[str, int, str], list[float]] = {}
    for run, point in adapted.log:
        if not is_cost(point):
            values.setdefault((run.rpartition(", fold")[0], point.epoch, point.term), []).append(point.value)
    return tuple(CurvePoint(*key, float(np.mean(points))) for key, points in values.items())


def _floors(settings: Settings, audit: Audit | None) -> tuple[Floor, ...]:
    """What loudness and length alone tell of each manifest, with its side."""
    if audit is None:
        return ()
    sides = {**dict.fromkeys(settings.source, "source"), settings.target: "target"}
    return tuple(Floor(sides[c.manifest], c) for c in audit.confounds if c.manifest in sides)


def _warnings(adapted: Adapted) -> tuple[str, ...]:
    settings, speech = adapted.settings, adapted.speech
    lines = list(speech_warnings(settings, speech, adapted.left_out, len(adapted.skipped), adapted.speakers_tell))
    scored = {speech.utterances[row].id for p in adapted.predicted if p.side == "target" for row in p.rows}
    if scored and speech.given is not None and scored <= speech.given:
        lines.append(
            "the target was scored on the utterances that were picked to be labelled, which are no fair sample"
        )
    shares = [point.value for _, point in adapted.log if point.term == "pseudo-labelled share"]
    if shares and min(shares) == 0:
        lines.append("in at least one round no target utterance was sure enough to be pseudo-labelled")
    if any(point.value == 1 for _, point in adapted.log if point.term == "pseudo-labelled classes"):
        lines.append("in at least one round all sure target utterances were of one emotion: their labels were not used")
    return tuple(lines)
