"""From what a run made to what its report says."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

import emobridge
from emobridge.adaptation import Adapted
from emobridge.corpora.demo import is_synthetic
from emobridge.data.audit import Audit
from emobridge.metrics import Condition, Evaluation, confusion, difference, to_scores
from emobridge.recipes.published import applicable
from emobridge.report.record import (
    Confusion,
    CorpusRow,
    CurvePoint,
    Difference,
    LayerScore,
    RunRecord,
)
from emobridge.runs import BASELINE, made_method
from emobridge.settings import Settings
from emobridge.tasks import folds_of
from emobridge.types import Score

PACKAGES = ("torch", "transformers", "numpy", "scikit-learn", "soundfile", "soxr", "audmetric")


def record_of(adapted: Adapted, audit: Audit | None, command: str) -> RunRecord:
    """The record of a run: scores with intervals, differences, confusions, curves, and what the method saw."""
    settings = adapted.settings
    evaluations = {
        (method, side): found
        for method in adapted.systems
        for side in ("target", "source")
        if (found := evaluation(adapted, method, side)) is not None
    }
    scores: list[Score] = []
    for (method, side), found in evaluations.items():
        scores += to_scores(found, _condition(adapted, method, side))
    gaps = tuple(
        Difference(side, BASELINE, settings.method, difference(found, evaluations[settings.method, side]))
        for (method, side), found in evaluations.items()
        if method == BASELINE and settings.method != BASELINE
    )
    corpora = _corpora(adapted, audit)
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
        held_out=held_out(settings, folds(adapted), any(side == "target" for _, side in evaluations)),
        scores=tuple(scores),
        baseline=BASELINE,
        resampled=next(iter(evaluations.values())).resampled,
        differences=gaps,
        confusions=tuple(_confusion(method, side, found) for (method, side), found in evaluations.items()),
        curves=_curves(adapted),
        layer_choice=tuple(LayerScore(name, value, name == settings.layer) for name, value in adapted.layer_scores),
        findings=audit.findings if audit else (),
        confounds=audit.confounds if audit else (),
        warnings=_warnings(adapted),
        published=applicable(languages, target, settings.labels, settings.target_labels),
        skipped=tuple(f"{name}: {reason}" for name, reason in adapted.skipped),
        settings=tuple((key, _said(getattr(settings, key))) for key in Settings.__slots__),
        versions=_versions(),
        bundle=str(Path(settings.out) / "bundle"),
    )


def evaluation(adapted: Adapted, method: str, side: str) -> Evaluation | None:
    """What a system said on one side, over all seeds; None where nothing there is labelled."""
    labels, speech = adapted.settings.labels, adapted.speech
    said = [one for one in adapted.predicted if one.method == method and one.side == side]
    if not said:
        return None
    rows = said[0].rows
    if any(not np.array_equal(one.rows, rows) for one in said):  # one split a seed: each seed scores other utterances
        return _stacked(adapted, said)
    return Evaluation(
        labels,
        tuple(labels[speech.label[row]] for row in rows),
        tuple(tuple(labels[best] for best in one.probabilities.argmax(1)) for one in said),
        tuple(_speaker(adapted, row) for row in rows),
    )


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
    else:
        said.append("no label of the target")
    said.append(
        {
            "none": "normalisation used the source's training utterances only",
            "corpus": f"normalisation used the unlabelled audio of the source's training speakers and of {whose}",
            "speaker": "speaker normalisation used each speaker's own unlabelled utterances, "
            "those of the scored target speakers too",
        }[settings.normalise]
    )
    if settings.align == "coral":
        said.append(f"CORAL alignment used the unlabelled audio of {whose}, for the baseline as well")
    if settings.pool == "closed":
        said.append(
            f"of the target, only utterances of {', '.join(settings.labels)} (chosen by label) or unlabelled ones"
        )
    return tuple(said)


def folds(adapted: Adapted) -> int:
    """How many there were: as many as asked for, or as there were speakers for; 0 is one split."""
    return len(folds_of(adapted.speech, adapted.settings, 0)) if adapted.settings.folds else 0


def held_out(settings: Settings, folds: int, scored: bool) -> str:
    """One sentence: how the scored utterances were kept apart."""
    how = f"{folds} folds" if folds else "one split, a fifth held out"
    if settings.share_speakers:
        what = "by utterance, so that SPEAKERS ARE SHARED between training and test"
    elif settings.transductive:
        what = "by speaker: no scored speaker's label was seen, but the target's were adapted to (transductive)"
    else:
        what = "by speaker on both sides: no scored speaker was trained on or adapted to"
    rest = "" if scored else " The target has no labels to score."
    return f"Scores are from {how} {what}. The bundle was then trained once more, on everything.{rest}"


def _stacked(adapted: Adapted, said: Sequence) -> Evaluation:
    """All seeds' utterances one after the other: for runs in which every seed scores other speakers."""
    labels, speech = adapted.settings.labels, adapted.speech
    rows = np.concatenate([one.rows for one in said])
    best = np.concatenate([one.probabilities.argmax(1) for one in said])
    return Evaluation(
        labels,
        tuple(labels[speech.label[row]] for row in rows),
        (tuple(labels[place] for place in best),),
        tuple(_speaker(adapted, row) for row in rows),
    )


def _speaker(adapted: Adapted, row: int) -> str | None:
    """The speaker, with the corpus before it where several corpora are scored together."""
    one = adapted.speech.utterances[row]
    side = adapted.speech.is_target == adapted.speech.is_target[row]
    alone = len(set(adapted.speech.domain_of[side])) == 1
    return one.speaker if alone or one.speaker is None else f"{one.corpus} {one.speaker}"


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
        split=_split(adapted),
        side=side,
    )


def _split(adapted: Adapted) -> str:
    settings = adapted.settings
    if settings.share_speakers:
        return "by utterance"
    how = f"{folds(adapted)} folds by speaker" if settings.folds else "one split by speaker"
    return f"{how}, transductive" if settings.transductive else how


def _corpora(adapted: Adapted, audit: Audit | None) -> tuple[CorpusRow, ...]:
    speech = adapted.speech
    rows = []
    for number in range(speech.target + 1):
        mine = [speech.utterances[row] for row in np.flatnonzero(speech.domain_of == number)]
        side = "target" if number == speech.target else "source"
        speakers = {one.speaker for one in mine}
        counts = Counter(one.emotion or "unlabelled" for one in mine)
        corpora = "+".join(sorted({one.corpus for one in mine}))
        language = mine[0].language
        spans = [one.end - one.start for one in mine if one.end is not None]
        hours = sum(spans) / 3600 if audit is not None and len(spans) == len(mine) else None
        known = None if None in speakers else len(speakers)
        rows.append(CorpusRow(side, corpora, language, len(mine), known, hours, tuple(sorted(counts.items()))))
    return tuple(rows)


def _confusion(method: str, side: str, found: Evaluation) -> Confusion:
    counts = np.sum([confusion(found.truth, said, labels=found.labels) for said in found.predictions], axis=0)
    return Confusion(side, method, found.labels, tuple(tuple(int(n) for n in row) for row in counts))


def _curves(adapted: Adapted) -> tuple[CurvePoint, ...]:
    """The log, averaged over folds: a line for each method and seed."""
    values: dict[tuple[str, int, str], list[float]] = {}
    for run, point in adapted.log:
        values.setdefault((run.rpartition(", fold")[0], point.epoch, point.term), []).append(point.value)
    return tuple(CurvePoint(*key, float(np.mean(found))) for key, found in values.items())


def _warnings(adapted: Adapted) -> tuple[str, ...]:
    settings, speech = adapted.settings, adapted.speech
    said = []
    if settings.share_speakers:
        said.append("speakers are shared between training and test: nothing speaker-independent can be claimed")
    if adapted.left_out:
        said.append(f"{adapted.left_out} target utterances of other emotions were left out, by their labels")
    if adapted.skipped:
        said.append(f"{len(adapted.skipped)} utterances could not be read and were left out")
    if folds(adapted) < settings.folds:
        said.append(f"{settings.folds} folds were asked for, and there are speakers for {folds(adapted)}")
    labelled = set(speech.label[speech.is_target].tolist())
    missing = [name for place, name in enumerate(settings.labels) if place not in labelled]
    if 0 < len(missing) < len(settings.labels):
        said.append(f"no target utterance is labelled {', '.join(missing)}: UA is over the other labels")
    scored = {speech.utterances[row].id for one in adapted.predicted if one.side == "target" for row in one.rows}
    if scored and speech.given is not None and scored <= speech.given:
        said.append("the target was scored on the utterances that were picked to be labelled, which are no fair sample")
    nameless = [one for one in speech.utterances if one.speaker is None]
    if settings.normalise == "speaker" and nameless:
        said.append(f"{len(nameless)} utterances have no speaker: normalised by their corpus instead")
    shares = [point.value for run, point in adapted.log if point.term == "pseudo-labelled share"]
    if shares and min(shares) == 0:
        said.append("in at least one round no target utterance was sure enough to be pseudo-labelled")
    return tuple(said)


def _versions() -> tuple[tuple[str, str], ...]:
    found = [("emobridge", emobridge.__version__), ("Python", platform.python_version())]
    for package in PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return tuple(found)


def _said(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)
