"""A run's record with every section filled, from a made-up experiment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emobridge.audit.confound import Confound
from emobridge.audit.finding import Finding
from emobridge.audit.findings import Audit
from emobridge.literature.published import applicable
from emobridge.literature.record import FOUR
from emobridge.report.embedding import Embedding, Space
from emobridge.report.record import (
    Calibration,
    Confusion,
    CorpusRow,
    CurvePoint,
    Difference,
    Floor,
    LayerScore,
    StudyRecord,
    SystemRow,
    Trust,
)
from emobridge.report.target import AttributeAnswers, ClassAnswers, Clip, TargetFindings
from emobridge.scores.base import Condition
from emobridge.scores.calibration import ReliabilityBin
from emobridge.scores.classes import Evaluation

SAW = (
    "the labelled utterances of the source's training speakers",
    "the unlabelled audio of the target's training speakers",
    "speaker normalisation used each speaker's own unlabelled utterances, those of the scored target speakers too",
)
CONFOUND = Confound("ravdess", "loudness and length", FOUR, 672, 24, 0.52, 0.47, 0.57, 0.25)
METHODS = (("source-only", 0.35), ("pseudo-labels", 0.62))


def evaluation(skill: float, n: int = 320, speakers: int = 10, labels=FOUR) -> Evaluation:
    """Three seeds; speakers and classes differ in how easy they are. Same truth whatever the skill."""
    rng = np.random.default_rng(0)
    truth, who = rng.integers(len(labels), size=n), np.arange(n) % speakers
    ease = skill + rng.normal(0, 0.12, speakers)[who] - 0.25 * (truth == 1)
    answers = [np.where(rng.random(n) < ease, truth, rng.choice([0, 1, 2, 2], n)) for _ in range(3)]
    names = np.array(labels)
    predictions = tuple(tuple(names[row].tolist()) for row in answers)
    return Evaluation(tuple(labels), tuple(names[truth].tolist()), predictions, tuple(f"{k + 3:02d}" for k in who))


def condition(method: str, side: str) -> Condition:
    return Condition("demo", method, "whisper-base", "4", "speaker", "ravdess", "emodb", "0", "test", side)


def counts(scored: Evaluation) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(cell) for cell in row) for row in scored.confusion())


def training_log() -> tuple[CurvePoint, ...]:
    rng = np.random.default_rng(1)
    return tuple(
        CurvePoint(f"pseudo-labels, seed {seed}", epoch, term, float(start * 0.9**epoch + rng.random() * 0.03))
        for seed in range(3)
        for epoch in range(12)
        for term, start in (("cross-entropy", 1.4), ("assignment", 0.5), ("entropy", 0.9), ("validation UA", -0.6))
    )


def calibration(method: str, side: str) -> Calibration:
    """A system that is right in 53 of 100 answers, and was 76 per cent sure."""
    trusts = []
    for sure in (0.76, 0.56):
        curve = (ReliabilityBin(sure - 0.2, 0.4, 400), ReliabilityBin(sure + 0.2, 0.66, 560))
        coverage = ((1.0, 0.53), (0.75, 0.6), (0.5, 0.7), (0.25, 0.8))
        trusts.append(Trust(confidence=sure, error=sure - 0.53, curve=curve, coverage=coverage))
    return Calibration(
        method=method,
        side=side,
        target_labels="0",
        normalisation="speaker",
        temperature=1.8,
        fitted_on="held-out speakers of the source",
        n=960,
        accuracy=0.53,
        before=trusts[0],
        after=trusts[1],
    )


def space() -> Embedding:
    rng = np.random.default_rng(2)
    names = ("before: features", "features as trained on", "after: logits")
    points = (tuple(tuple(row) for row in rng.uniform(-1, 1, (40, 3)).round(3).tolist()) for _ in names)
    spaces = (Space(name, 4, 0.07, 0.31, float("nan"), (0.5, 0.2, 0.1), some) for name, some in zip(names, points))
    return Embedding(tuple(spaces), (*FOUR, None) * 8, ("en", "de") * 20, 40, 90)


@pytest.fixture(scope="session")
def record() -> StudyRecord:
    before, after = (evaluation(skill) for _, skill in METHODS)
    scores = [
        row
        for side, lift in (("target", 0.0), ("source", 0.25))
        for method, skill in METHODS
        for row in evaluation(skill + lift).scores(condition(method, side))
    ]
    return StudyRecord(
        kind="adapt",
        name="English to German with whisper-base",
        command="emobridge adapt --source ravdess=RAVDESS --target emodb=EMODB --method pseudo-labels --out run",
        created="2025-01-31T12:00:00+00:00",
        method="pseudo-labels",
        labels=FOUR,
        synthetic=False,
        corpora=(
            CorpusRow("source", "ravdess", "en", 672, 24, 0.69, (("anger", 192), ("happiness", 192), ("neutral", 96))),
            CorpusRow("target", "emodb", "de", 339, 10, None, (("anger", 127), ("sadness", 62))),
        ),
        systems=(
            SystemRow(method="source-only", normalise="speaker", saw=("the labelled utterances of the source",)),
            SystemRow(method="pseudo-labels", normalise="speaker", saw=SAW),
        ),
        held_out="Every target speaker was scored once, in five folds that share no speaker with training.",
        scores=tuple(scores),
        differences=(
            Difference(
                method="pseudo-labels", before="source-only", side="target", estimate=after.difference(before)[0]
            ),
        ),
        confusions=tuple(
            Confusion(method=name, side="target", labels=FOUR, counts=counts(scored))
            for (name, _), scored in zip(METHODS, (before, after))
        ),
        calibrations=tuple(calibration(name, side) for name, _ in METHODS for side in ("target", "source")),
        curves=training_log(),
        layer_choice=tuple(LayerScore(str(k), 0.4 + 0.1 * np.sin(k), k == 2) for k in range(7)),
        space=space(),
        audit=Audit(
            sounds=(),
            counts=(),
            confounds=(CONFOUND,),
            findings=(
                Finding(
                    "duplicate audio",
                    "warning",
                    "ravdess: Actor_07/03-01-03-01-02-01-07 and 03-01-03-01-02-02-07 are the same audio",
                ),
                Finding("same text", "note", "emodb: every text is read by all speakers"),
            ),
        ),
        floors=(Floor("source", CONFOUND),),
        warnings=("The target has 12 utterances whose speaker is not known.",),
        published=applicable([("ravdess", "en")], [("emodb", "de")], FOUR, "0"),
        skipped=("emodb/wav/16b10Wb.wav: not readable as audio",),
        settings=(("method", "pseudo-labels"), ("epochs", "12")),
        versions=(("emobridge", "0.1.0"), ("numpy", "2.0.0")),
        bundle="run/bundle",
    )


@pytest.fixture
def synthetic(record: StudyRecord) -> StudyRecord:
    return replace(record, synthetic=True)


def clip(number: int, label: str, confidence: float) -> Clip:
    return Clip(f"calls/{number:03d}.wav", "", label, confidence, 2.5, excerpt=b"ID3" + bytes([number]) * 60)


@pytest.fixture(scope="session")
def findings() -> TargetFindings:
    """Of 200 recordings without labels: 120 anger, 80 sadness, of four labels."""
    return TargetFindings(
        corpora="calls",
        language="it",
        recordings=200,
        speakers=None,
        hours=2.25,
        speech=0.8,
        answered=200,
        classes=(
            ClassAnswers("anger", 120, 0.8, (clip(1, "anger", 0.99),), (clip(2, "anger", 0.35),)),
            ClassAnswers("happiness", 0, float("nan")),
            ClassAnswers("neutral", 0, float("nan")),
            ClassAnswers("sadness", 80, 0.6, (clip(3, "sadness", 0.9),), (clip(4, "sadness", 0.45),)),
        ),
        confidence=((0.3, 10), (0.4, 30), (0.5, 60), (0.6, 0), (0.7, 0), (0.8, 0), (0.9, 100)),
        attributes=(AttributeAnswers("arousal", 1.5, 3.25, 5.0),),
        without_speech=2,
        to_label=(clip(5, "anger", 0.31),),
        suggest="emobridge suggest run/bundle --on calls --out run/to-label.csv",
        learn="emobridge adapt --source ravdess.jsonl --target calls --labelled run/to-label.csv --out run-labelled",
        excerpt_seconds=4.0,
    )


@pytest.fixture(scope="session")
def unlabelled(record: StudyRecord, findings: TargetFindings) -> StudyRecord:
    """The record of a run whose target has no labels: only the source was scored."""
    scores = tuple(row for row in record.scores if row.side == "source")
    return replace(record, scores=scores, differences=(), confusions=(), target=findings)
