"""The scores of a layer-wise study as rows of `scores.json`, and which layers the validation parts chose.

How the fields of `types.Score` are used: `source` is the corpus that was trained on and `target` the one that was
scored, the same for mono and trans; `side` is always "target", and `target_labels` "all" where the scored corpus is the
one that was trained on, else "0". `method` is "probe" of an encoder as it is, "probe, random weights" or "trained from
scratch", and of floors what they listen to ("chance", "loudness and length" ...). `layer` is a number, "all" of a head
that takes all layers, "validation" where each probe's validation part chose among its layers, and "end" from scratch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from emobridge.audit.confound import confounds
from emobridge.audit.hearing import decode_manifest
from emobridge.data.audio import utterance_pieces
from emobridge.errors import UserError
from emobridge.probe.pairs import setting_of
from emobridge.probe.run import Study
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.splits import Corpus
from emobridge.probe.units import Outcome, ProbeUnit, UnitPredictions
from emobridge.scores.base import Condition, Estimate
from emobridge.scores.classes import Evaluation
from emobridge.types import Score, person

ALL_LAYERS = "all"  # the layer of a head that takes all
VALIDATION = "validation"  # the layer of scores whose probes each took the layer that their validation part chose
PROBE, RANDOM, SCRATCH = "probe", "probe, random weights", "trained from scratch"
METHODS = {"pretrained": PROBE, "none": PROBE, "random": RANDOM, "scratch": SCRATCH}  # by a unit's weights
CHANCE, LOUDNESS = "chance", "loudness and length"  # methods of floors


@dataclass(frozen=True, slots=True)
class LayerChoice:
    """How many probes, seeds by folds, took each layer by their validation loss."""

    score: Score  # of all seeds together, at these layers; its measure is UA
    counts: tuple[tuple[str, int], ...]  # most frequent first

    @property
    def layer(self) -> str:
        """The layer that most probes took."""
        return self.counts[0][0]


@dataclass(frozen=True, slots=True)
class CollapsedProbes:
    """Probes that predict one emotion for all utterances of a seed, or of a fold."""

    condition: Condition
    seed: str
    prediction: str  # which emotion, for how many utterances


@dataclass(frozen=True, slots=True)
class StudyScores:
    """All numbers of a study."""

    scores: tuple[Score, ...]  # for each seed and for all together; without floors
    floors: tuple[Score, ...]  # what is reached without listening to speech: UA
    choices: tuple[LayerChoice, ...]
    collapsed: tuple[CollapsedProbes, ...]
    has_unknown_speakers: bool  # which count as a speaker for each utterance in the intervals


def score_study(study: Study) -> StudyScores:
    """Score every probe of a study, for each seed and for all seeds together.

    Where every seed tests the same utterances, "all" is the mean over seeds; where seeds drew other ones (80/10/10), it
    is the score over all that were tested.
    """
    scores: list[Score] = []
    choices: list[LayerChoice] = []
    collapsed: list[CollapsedProbes] = []
    has_unknown_speakers = False
    for outcome in join_layers(study.outcomes):
        for tested in study.corpora:
            parts = [part for part in outcome.predictions if part.corpus == tested.name]
            if not parts:
                continue
            condition = _condition(study, outcome.unit, tested)
            for layer, predictions in _by_layer(outcome, parts):
                scored = _evaluations(study, outcome.unit, tested, parts, predictions)
                at_layer = replace(condition, layer=layer)
                estimates = ((seed, evaluation.estimates(details=False)) for seed, evaluation in scored)
                rows = _rows(at_layer, scored[0][1].labels, estimates)
                scores += rows
                if layer == VALIDATION:
                    choices.append(LayerChoice(_of_all(rows), _counts(outcome)))
                else:
                    collapsed += _collapses(at_layer, scored)
                has_unknown_speakers |= any(evaluation.intervals_over != "speakers" for _, evaluation in scored)
    return StudyScores(tuple(scores), floors_of(study), tuple(choices), tuple(collapsed), has_unknown_speakers)


def floors_of(study: Study) -> tuple[Score, ...]:
    """The UA of chance, and of level, peak and length of the clips (`audit.confound`), for each corpus."""
    rows: list[Score] = []
    for corpus in study.corpora:
        chance = 1 / len(corpus.emotions)
        rows += _floor(study, corpus, CHANCE, Estimate("UA", chance, chance, chance, len(corpus.utterances), ""))
        if not study.settings.floors:
            continue
        acoustics = decode_manifest(corpus.name, corpus.utterances, utterance_pieces, lambda: None).acoustics
        try:
            baselines = confounds(corpus.name, corpus.utterances, acoustics)
        except UserError:  # a single speaker: no baseline by speaker
            continue
        for floor in baselines:
            estimate = Estimate("UA", floor.ua, floor.low, floor.high, floor.n, "")
            rows += _floor(study, corpus, floor.features, estimate)
    return tuple(rows)


def _floor(study: Study, corpus: Corpus, method: str, estimate: Estimate) -> list[Score]:
    condition = Condition(
        run=Path(study.settings.out).name,
        method=method,
        encoder="",
        layer="",
        normalisation="none",
        source=corpus.name,
        target=corpus.name,
        target_labels="0" if method == CHANCE else "all",
        split="" if method == CHANCE else "by speaker",
        side="target",
    )
    return _rows(condition, corpus.emotions, [("all", (estimate,))])


def join_layers(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Units that differ in their layers alone as one outcome: of many layers some were trained after the others."""
    groups: dict[ProbeUnit, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(replace(outcome.unit, layers=()), []).append(outcome)
    return [_join(unit, parts) if len(parts) > 1 else parts[0] for unit, parts in groups.items()]


def _join(unit: ProbeUnit, parts: Sequence[Outcome]) -> Outcome:
    predictions = tuple(
        replace(same[0], probabilities=np.concatenate([part.probabilities for part in same]))
        for same in zip(*(part.predictions for part in parts))
    )
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ("epochs", "rates", "losses")}
    layers = tuple(layer for part in parts for layer in part.unit.layers)
    return Outcome(replace(unit, layers=layers), predictions, **arrays)


def describe_split(settings: ProbeSettings) -> str:
    """How the utterances were split, in a few words."""
    if settings.split in ("serab", "predefined"):
        return {"serab": "SERAB's by speaker", "predefined": "predefined folds"}[settings.split]
    how = "by utterance" if settings.share_speakers else "by speaker"
    if settings.by_utterance and not settings.share_speakers:
        how += f", {' and '.join(settings.by_utterance)} by utterance"
    if settings.split in ("folds", "halved"):
        return f"{settings.folds} {'halved ' if settings.split == 'halved' else ''}folds {how}"
    return f"80/10/10 {how}, {settings.folds} draw{'s' if settings.folds > 1 else ''}"


def _condition(study: Study, unit: ProbeUnit, tested: Corpus) -> Condition:
    trained = next(corpus for corpus in study.corpora if corpus.name == unit.corpus)
    languages = () if unit.weights == "scratch" else dict(study.languages).get(unit.encoder, ())
    return Condition(
        run=Path(study.settings.out).name,
        method=METHODS[unit.weights],
        encoder=unit.encoder,
        layer="",
        normalisation=unit.normalise,
        source=trained.name,
        target=tested.name,
        target_labels="all" if trained.name == tested.name else "0",
        split=describe_split(study.settings),
        side="target",
        head="" if unit.weights == "scratch" else unit.head,
        setting=setting_of(trained, tested, languages),
    )


def _by_layer(outcome: Outcome, parts: Sequence[UnitPredictions]) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Each layer's name and the classes (M,) that it predicts in each part; then those of the chosen layers."""
    unit = outcome.unit
    names = (ALL_LAYERS,) if unit.all_layers else unit.layers
    classes = [part.probabilities.argmax(2) for part in parts]  # (L', M) each
    for index, name in enumerate(names):
        yield name, [values[index] for values in classes]
    if len(names) > 1 and not np.isnan(outcome.losses).any():
        best = outcome.losses.argmin(0)  # (P,)
        yield VALIDATION, [values[best[part.probes], np.arange(len(part.rows))] for part, values in zip(parts, classes)]


def _counts(outcome: Outcome) -> tuple[tuple[str, int], ...]:
    chosen = Counter(outcome.unit.layers[index] for index in outcome.losses.argmin(0))
    return tuple(sorted(chosen.items(), key=lambda item: -item[1]))


def _evaluations(
    study: Study, unit: ProbeUnit, tested: Corpus, parts: Sequence[UnitPredictions], classes: Sequence[np.ndarray]
) -> list[tuple[str, Evaluation]]:
    """The evaluation of each seed, then of all seeds; rows in the order of the corpus."""
    labels = next(corpus for corpus in study.corpora if corpus.name == unit.corpus).emotions
    orders = [np.argsort(part.rows, kind="stable") for part in parts]
    rows = [part.rows[order] for part, order in zip(parts, orders)]
    predicted = [tuple(labels[column] for column in values[order]) for values, order in zip(classes, orders)]

    def evaluation(
        rows: np.ndarray, predictions: tuple[tuple[str, ...], ...], probes: np.ndarray | tuple[()] = ()
    ) -> Evaluation:
        chosen = [tested.utterances[row] for row in rows]
        truth = tuple(str(utterance.emotion) for utterance in chosen)
        people, folds = tuple(map(person, chosen)), tuple(map(int, probes))
        return Evaluation(labels, truth, predictions, people, folds, tuple(rows.tolist()))

    by_seed = [
        (str(part.seed), evaluation(tested_rows, (emotions,), part.probes[order]))
        for part, tested_rows, emotions, order in zip(parts, rows, predicted, orders)
    ]
    if all(np.array_equal(tested_rows, rows[0]) for tested_rows in rows):
        return [*by_seed, ("all", evaluation(rows[0], tuple(predicted)))]
    joined = tuple(emotion for emotions in predicted for emotion in emotions)
    return [*by_seed, ("all", evaluation(np.concatenate(rows), (joined,)))]


def _rows(
    condition: Condition, labels: Sequence[str], estimates: Iterable[tuple[str, Sequence[Estimate]]]
) -> list[Score]:
    """A row of scores.json for each estimate of each seed."""
    shared = {**asdict(condition), "labels": ",".join(labels)}
    return [
        Score(**shared, seed=seed, measure=row.measure, value=row.value, low=row.low, high=row.high, n=row.n)
        for seed, of_seed in estimates
        for row in of_seed
    ]


def _of_all(rows: Sequence[Score]) -> Score:
    return next(row for row in rows if (row.seed, row.measure) == ("all", "UA"))


def _collapses(condition: Condition, scored: Sequence[tuple[str, Evaluation]]) -> Iterator[CollapsedProbes]:
    """The seeds with probes whose predictions are all the same, though the truth is not."""
    for seed, evaluation in scored:
        if seed != "all" and evaluation.collapsed:
            yield CollapsedProbes(condition, seed, evaluation.collapsed)
