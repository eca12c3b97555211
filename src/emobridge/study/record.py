"""From what a run made to what its report says."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

import emobridge
from emobridge.audit.findings import Audit
from emobridge.corpora.demo import is_synthetic
from emobridge.data.attributes import is_constructed
from emobridge.data.speech import Speech, folds_of
from emobridge.literature.published import applicable
from emobridge.methods.base import BASELINE
from emobridge.report.changes import changes_of, is_staged
from emobridge.report.record import (
    CandidateRow,
    Confusion,
    CorpusRow,
    CurvePoint,
    Difference,
    LayerScore,
    RunRecord,
)
from emobridge.scores.attributes import AttributeEvaluation
from emobridge.scores.base import BaseEvaluation, Condition
from emobridge.scores.classes import Evaluation
from emobridge.settings import Settings, layers_of
from emobridge.study.adapt import Adapted
from emobridge.study.auto import Candidate
from emobridge.study.guard import THRESHOLD
from emobridge.study.run import attribute_evaluation_of, evaluation_of, made_method
from emobridge.study.space import embedding
from emobridge.training.cost import costs_of, is_cost
from emobridge.types import Score, person

PACKAGES = ("torch", "transformers", "numpy", "scikit-learn", "soundfile", "soxr")


def record_of(adapted: Adapted, audit: Audit | None, command: str) -> RunRecord:
    """The record of a run: scores with intervals, differences, confusions, curves, and what the method saw."""
    settings = adapted.settings
    pairs = [(method, side) for method in adapted.systems for side in ("target", "source")]
    evaluations = {pair: found for pair in pairs if (found := evaluation(adapted, *pair)) is not None}
    rated = {pair: one for pair in pairs if (one := attribute_evaluation(adapted, *pair)) is not None}
    scores: list[Score] = []
    for pair, scored in (*evaluations.items(), *rated.items()):
        scores += scored.scores(_condition(adapted, *pair))
    resampled = [one.resampled for one in evaluations.values()] + [one.resampled for one in rated.values()]
    own = settings.method
    sides = ("target", "source") if own != BASELINE else ()
    corpora = corpora_of(adapted.speech, audit)
    languages = sorted({row.language for row in corpora if row.side == "source"})
    target = next(row.language for row in corpora if row.side == "target")
    return RunRecord(
        name=Path(settings.out).name,
        command=command,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        method=settings.method,
        labels=settings.labels,
        synthetic=any(is_synthetic(row.corpus) for row in corpora),
        corpora=corpora,
        saw=saw(settings),
        held_out=held_out(settings, folds(adapted.speech, settings), any(row.side == "target" for row in scores)),
        scores=tuple(scores),
        baseline=BASELINE,
        resampled=resampled[0],
        differences=_differences(own, sides, evaluations),
        attributes=settings.attributes,
        attribute_differences=_differences(own, sides, rated),
        constructed=bool(settings.attributes) and any(is_constructed(row.corpus) for row in corpora),
        confusions=tuple(_confusion(method, side, found) for (method, side), found in evaluations.items()),
        curves=_curves(adapted),
        changes=tuple(
            change
            for side in (sides if is_staged(own) else ())
            for pairs_scored in (evaluations, rated)
            if (BASELINE, side) in pairs_scored
            for change in changes_of(own, BASELINE, side, pairs_scored[BASELINE, side], pairs_scored[own, side])
        ),
        costs=costs_of(adapted.log),
        layer_choice=tuple(
            LayerScore(name, value, name in layers_of(settings.layer)) for name, value in adapted.layer_scores
        ),
        candidates=tuple(_candidate(adapted, one) for one in adapted.candidates),
        validator=settings.validator if adapted.candidates else "",
        space=embedding(adapted.speech, adapted.recognizer, settings),
        findings=audit.findings if audit else (),
        confounds=audit.confounds if audit else (),
        warnings=_warnings(adapted),
        published=tuple(
            row
            for names in (settings.labels, settings.attributes)
            if names
            for row in applicable(languages, target, names, settings.target_labels)
        ),
        skipped=tuple(f"{name}: {reason}" for name, reason in adapted.skipped),
        settings=tuple((key, _said(getattr(settings, key))) for key in Settings.__slots__),
        versions=versions(),
        bundle=str(Path(settings.out) / "bundle"),
    )


def _differences(
    own: str, sides: Sequence[str], evaluations: Mapping[tuple[str, str], BaseEvaluation]
) -> tuple[Difference, ...]:
    """The method less the baseline, in the leading measure, on each side that is labelled."""
    return tuple(
        Difference(side, BASELINE, own, gap)
        for side in sides
        if (BASELINE, side) in evaluations
        for gap in evaluations[own, side].difference(evaluations[BASELINE, side])
    )


def evaluation(adapted: Adapted, method: str, side: str) -> Evaluation | None:
    """What a system said on one side, over all seeds; None where nothing there is labelled."""
    said = [one for one in adapted.predicted if one.method == method and one.side == side]
    return evaluation_of(adapted.speech, adapted.settings.labels, said)


def attribute_evaluation(adapted: Adapted, method: str, side: str) -> AttributeEvaluation | None:
    """What a system said of attributes on one side, over all seeds; None where none of them is known."""
    said = [one for one in adapted.predicted if one.method == method and one.side == side]
    return attribute_evaluation_of(adapted.speech, adapted.settings.attributes, said)


def saw(settings: Settings) -> tuple[str, ...]:
    """Plain sentences: what the method was handed, and what normalisation and alignment used."""
    method = made_method(settings.method, settings)
    seen = method.needs | method.takes
    whose = "all target speakers, the scored too" if settings.transductive else "the target's training speakers"
    said = []
    if "source_labels" in seen:
        said.append("the labelled utterances of the source's training speakers")
    if "target_audio" in seen:
        said.append(f"the unlabelled audio of {whose}")
    if "target_labels" in seen and settings.target_labels != "0":
        said.append(f"the labels of {settings.target_labels} utterances of the target's training speakers")
    elif settings.validate == "source":
        said.append("no label of the target")
    if settings.attributes:
        names = ", ".join(settings.attributes)
        said.append(f"{names} of the utterances whose labels it was handed, where they are known, and of no others")
    if settings.validate == "both":
        whose_labels = (
            "THE TARGET'S VALIDATION SPLIT" if settings.predefined else "A FIFTH OF THE TARGET'S TRAINING SPEAKERS"
        )
        said.append(f"LABELS OF {whose_labels} chose the epoch, for the baseline as well")
    said.append(
        {
            "none": "normalisation used the source's training utterances only",
            "corpus": f"normalisation used the unlabelled audio of the source's training speakers and of {whose}",
            "speaker": "speaker normalisation used each speaker's own unlabelled utterances, "
            "those of the scored target speakers too",
            "speaker+text": "speaker normalisation used each speaker's own unlabelled utterances, those of the scored "
            f"target speakers too, and text normalisation the transcripts of the source and of {whose}",
        }[settings.normalise]
    )
    if settings.by_corpus:
        said.append(f"speakers of {', '.join(settings.by_corpus)} were normalised by their corpus, not by their own")
    if settings.align == "coral":
        said.append(f"CORAL alignment used the unlabelled audio of {whose}, for the baseline as well")
    if settings.pool == "closed" and settings.labels:
        said.append(
            f"of the target, only utterances of {', '.join(settings.labels)} (chosen by label) or unlabelled ones"
        )
    return tuple(said)


def folds(speech: Speech, settings: Settings) -> int:
    """How many there were: as many as asked for, or as there were speakers for; 0 is one split."""
    return len(folds_of(speech, settings, 0)) if settings.folds else 0


def held_out(settings: Settings, folds: int, scored: bool, bundle: bool = True) -> str:
    """One sentence: how the scored utterances were kept apart; `bundle`: and that one was made of everything."""
    how = f"{folds} folds" if folds else "one split, a fifth held out"
    if settings.predefined:
        how, what = "the split that the corpora come with", "(whether it shares speakers is its affair)"
    elif settings.share_speakers:
        what = "by utterance, so that SPEAKERS ARE SHARED between training and test"
    elif settings.transductive:
        what = "by speaker: no scored speaker's label was seen, but the target's were adapted to (transductive)"
    else:
        what = "by speaker on both sides: no scored speaker was trained on or adapted to"
    rest = "" if scored else " The target has no labels to score."
    last = " The bundle was then trained once more, on everything." if bundle else ""
    return f"Scores are from {how} {what}.{last}{rest}"


def _candidate(adapted: Adapted, one: Candidate) -> CandidateRow:
    said = [each for each in one.predicted if each.side == "target"]
    found = evaluation_of(adapted.speech, adapted.settings.labels, said)
    score = None if found is None else found.values()["UA"]
    return CandidateRow(one.method, one.judged, score, one.method == adapted.settings.method)


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
    )


def split_of(speech: Speech, settings: Settings) -> str:
    """The split in a few words, as scores name it."""
    if settings.predefined:
        return "of the corpora"
    if settings.share_speakers:
        return "by utterance"
    how = f"{folds(speech, settings)} folds by speaker" if settings.folds else "one split by speaker"
    return f"{how}, transductive" if settings.transductive else how


def corpora_of(speech: Speech, audit: Audit | None) -> tuple[CorpusRow, ...]:
    """The corpora of both sides; their hours where an audit has heard them."""
    rows = []
    for number in range(speech.target + 1):
        mine = [speech.utterances[row] for row in np.flatnonzero(speech.domain_of == number)]
        side = "target" if number == speech.target else "source"
        speakers = {person(one) for one in mine}
        counts = Counter(one.emotion or "unlabelled" for one in mine)
        corpora = "+".join(sorted({one.corpus for one in mine}))
        language = mine[0].language
        spans = [one.end - one.start for one in mine if one.end is not None]
        hours = sum(spans) / 3600 if audit is not None and len(spans) == len(mine) else None
        known = None if None in speakers else len(speakers)
        rows.append(CorpusRow(side, corpora, language, len(mine), known, hours, tuple(sorted(counts.items()))))
    return tuple(rows)


def _confusion(method: str, side: str, found: Evaluation) -> Confusion:
    return Confusion(side, method, found.labels, tuple(tuple(int(n) for n in row) for row in found.confusion()))


def _curves(adapted: Adapted) -> tuple[CurvePoint, ...]:
    """The log, averaged over folds: a line for each method and seed."""
    values: dict[tuple[str, int, str], list[float]] = {}
    for run, point in adapted.log:
        if is_cost(point):
            continue
        values.setdefault((run.rpartition(", fold")[0], point.epoch, point.term), []).append(point.value)
    return tuple(CurvePoint(*key, float(np.mean(found))) for key, found in values.items())


def _warnings(adapted: Adapted) -> tuple[str, ...]:
    skipped, speech = len(adapted.skipped), adapted.speech
    said = list(speech_warnings(adapted.settings, speech, adapted.left_out, skipped, adapted.speakers_tell))
    scored = {speech.utterances[row].id for one in adapted.predicted if one.side == "target" for row in one.rows}
    if scored and speech.given is not None and scored <= speech.given:
        said.append("the target was scored on the utterances that were picked to be labelled, which are no fair sample")
    shares = [point.value for run, point in adapted.log if point.term == "pseudo-labelled share"]
    if shares and min(shares) == 0:
        said.append("in at least one round no target utterance was sure enough to be pseudo-labelled")
    if any(point.value == 1 for _, point in adapted.log if point.term == "pseudo-labelled classes"):
        said.append("in at least one round all sure target utterances were of one emotion: their labels were not used")
    return tuple(said)


def speech_warnings(
    settings: Settings, speech: Speech, left_out: int, skipped: int, told: Sequence[tuple[str, float]] = ()
) -> tuple[str, ...]:
    """What a reader must know of the speech and its split before quoting a number."""
    said = []
    if settings.share_speakers:
        said.append("speakers are shared between training and test: nothing speaker-independent can be claimed")
    if left_out:
        said.append(f"{left_out} target utterances of other emotions were left out, by their labels")
    if skipped:
        said.append(f"{skipped} utterances could not be read and were left out")
    if folds(speech, settings) < settings.folds:
        said.append(f"{settings.folds} folds were asked for, and there are speakers for {folds(speech, settings)}")
    labelled = set(speech.label[speech.is_target].tolist())
    missing = [name for place, name in enumerate(settings.labels) if place not in labelled]
    if 0 < len(missing) < len(settings.labels):
        said.append(f"no target utterance is labelled {', '.join(missing)}: UA is over the other labels")
    for corpus, nats in told:
        if corpus in settings.by_corpus:
            said.append(
                f"speakers of {corpus} mostly show one emotion each (they tell {nats:.2f} nats of it; over "
                f"{THRESHOLD} speaker normalisation harms): normalised by corpus instead"
            )
    nameless = [one for one in speech.utterances if one.speaker is None]
    if settings.normalise.startswith("speaker") and nameless:
        said.append(f"{len(nameless)} utterances have no speaker: normalised by their corpus instead")
    return tuple(said)


def versions() -> tuple[tuple[str, str], ...]:
    """Of emobridge, Python and the packages that numbers depend on."""
    found = [("emobridge", emobridge.__version__), ("Python", platform.python_version())]
    for package in PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return tuple(found)


def _said(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)
