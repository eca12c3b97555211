"""What a layer-wise study found, in a few sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from emobridge.probe.scoring import CHANCE, LOUDNESS, PROBE, SCRATCH, VALIDATION, CollapsedProbes, StudyScores
from emobridge.probe.splits import Corpus
from emobridge.probe.tables import (
    RANDOM_WEIGHTS,
    Curve,
    cross_score,
    curves_of,
    encoders_of,
    honest_layer,
    inside,
    random_of,
)
from emobridge.report.blocks import interval, percent
from emobridge.scores.variety import low_variety, variety_of_labels
from emobridge.types import Score, person

UA = "UA (unweighted accuracy, the mean recall of the emotions)"
MANY = 6  # collapsed probes of one head that are listed


class Combination(NamedTuple):
    """What is compared."""

    encoder: str
    head: str
    normalisation: str


def finding(scored: StudyScores) -> str:
    """Which encoder, head and normalisation score highest, at which layer, who chose it, and how far above floors.

    The layer was chosen on validation parts, else on the other corpora; where nothing chose, the last layer is quoted,
    and the best layer of the table is named as what it is: chosen on test.
    """
    curves = curves_of(scored.scores, "UA")
    names = encoders_of(curves)
    systems: dict[Combination, list[Curve]] = {}
    for curve in inside(curves):
        if curve.key.method == PROBE and curve.key.encoder in names:
            key = Combination(curve.key.encoder, curve.key.head, curve.key.normalisation)
            systems.setdefault(key, []).append(curve)
    if not systems:
        return _without_probes(curves)
    best = max(systems, key=lambda key: float(np.mean([quoted(curves, curve).value for curve in systems[key]])))
    parts = [_corpus_words(scored, curves, curve) for curve in systems[best]]
    text = (
        f"{best.encoder} with head {best.head} and normalisation {best.normalisation} reaches {UA} of "
        f"{'; '.join(parts)}."
    )
    if len(systems) > 1:
        where = f", on average over {len(parts)} corpora" if len(parts) > 1 else ""
        text += (
            f" This is the highest of {len(systems)} combinations of encoder, head and normalisation{where}, compared "
            "by these test scores and therefore optimistic."
        )
    for curve in systems[best]:
        text = " ".join([*_alarms(scored, quoted(curves, curve)), text])  # first what makes the score meaningless
        if len(curve.scores) > 1 and honest_layer(curves, curve) is None:
            text += f" {_hindsight(curves, curve)}"
    return " ".join([text, *_across(curves, best)])


def _without_probes(curves: Sequence[Curve]) -> str:
    """The finding of a study whose probes, if there are any, were only tested on other corpora."""
    rows = [curve.last for curve in inside(curves) if curve.key.method == SCRATCH]
    if not rows:
        return " ".join([*_across(curves), "No corpus was tested on itself."])
    encoders = dict.fromkeys(row.encoder for row in rows)
    parts = (
        f"{name} trained from scratch: "
        + "; ".join(f"{row.target} {_value(row)}" for row in rows if row.encoder == name)
        for name in encoders
    )
    return f"{UA}. {'. '.join(parts)}."


def _across(curves: Sequence[Curve], best: Combination | None = None) -> Iterator[str]:
    """A sentence on training with one corpus and testing on another; best: the combination that it is about.

    Without one it is about that with the highest mean.
    """
    systems: dict[Combination, list[Score]] = {}
    for curve in curves:
        key = curve.key
        if key.source != key.target and key.method == PROBE and key.encoder in encoders_of(curves):
            combination = Combination(key.encoder, key.head, key.normalisation)
            systems.setdefault(combination, []).append(cross_score(curves, curve))
    if not systems or (best is not None and best not in systems):
        return
    name = best or max(systems, key=lambda key: float(np.mean([row.value for row in systems[key]])))
    pairs = [f"{row.source} to {row.target} {_value(row)}" for row in systems[name][:MANY]]
    more = f" and {len(systems[name]) - MANY} more" if len(systems[name]) > MANY else ""
    who, what = f"{name.encoder} with head {name.head} and normalisation {name.normalisation}", f"{UA} of "
    who, what = ("it", "") if best else (who, what)
    yield f"Trained on one corpus and tested on another {who} reaches {what}{', '.join(pairs)}{more}."


def quoted(curves: Sequence[Curve], curve: Curve) -> Score:
    """The score of a curve that may be quoted: at a layer chosen without the test parts, else at the last layer."""
    return curve.at(honest_layer(curves, curve) or curve.last.layer)


def _alarms(scored: StudyScores, score: Score) -> Iterator[str]:
    """What makes a score meaningless, a sentence each, the gravest first."""
    name = f"On {score.target} {score.encoder} with head {score.head}"
    condition = ("method", "encoder", "head", "normalisation", "source", "target", "layer")
    for collapse in scored.collapsed:
        if all(getattr(collapse.condition, name) == getattr(score, name) for name in condition):
            yield f"{name} has COLLAPSED (seed {collapse.seed}): it predicts {collapse.prediction}."
    floors = {row.method: row.value for row in scored.floors if row.target == score.target}
    chance = floors.get(CHANCE)
    if chance is not None and score.value <= chance:
        yield f"{name} is NO BETTER THAN CHANCE ({percent(chance)} %)."
    elif chance is not None and score.low <= chance:
        yield f"{name} is NOT shown to be ABOVE CHANCE ({percent(chance)} %)."
    if score.value <= floors.get(LOUDNESS, 0.0):
        yield f"{name} is NO HIGHER than what loudness and length alone reach."


def _corpus_words(scored: StudyScores, curves: Sequence[Curve], curve: Curve) -> str:
    """A corpus, its score, the layer and the floors."""
    score, floor = quoted(curves, curve), random_of(curves, curve)
    floors = [
        f"{'loudness and length alone' if row.method == LOUDNESS else row.method} {percent(row.value)}"
        for row in scored.floors
        if row.target == curve.key.target and row.method in (CHANCE, LOUDNESS)
    ]
    if floor:
        floors.insert(0, f"{RANDOM_WEIGHTS} {percent(floor.at(score.layer).value)}")
    layer = _layer_words(scored, curves, curve, score)
    beside = f" ({', '.join(floors)})" if floors else ""
    return f"{_value(score)} on {score.target} at {layer}{beside}"


def _layer_words(scored: StudyScores, curves: Sequence[Curve], curve: Curve, score: Score) -> str:
    """The layer of a score that is quoted, and what chose it."""
    if curve.takes_all:
        return "all layers"
    if score.layer == VALIDATION:
        choice = next(choice for choice in scored.choices if choice.score == score)
        if len(choice.counts) == 1:
            return f"layer {choice.layer}, chosen on validation"
        total = sum(number for _, number in choice.counts)
        often = f"{choice.counts[0][1]} of {total} times"
        return f"the layer that validation chose in each fold and seed, most often {choice.layer} ({often})"
    if len(curve.scores) == 1:
        return f"layer {score.layer}"
    if honest_layer(curves, curve):
        return f"layer {score.layer}, chosen on the other corpora"
    return f"the last layer, {score.layer}"


def _hindsight(curves: Sequence[Curve], curve: Curve) -> str:
    """What is said where nothing chose a layer."""
    names = encoders_of(curves)
    rivals = [other for other in inside(curves) if other.key.method == PROBE and other.key.encoder in names]
    best = max((other for other in rivals if other.key.source == curve.key.source), key=lambda other: other.best.value)
    score = best.best
    where = "all layers" if best.takes_all else f"layer {score.layer}"
    if best is not curve:
        where += f" of {score.encoder} with head {score.head} and normalisation {score.normalisation},"
    return (
        f"On {curve.key.target} no layer was chosen; the last layer's score is {percent(curve.last.value)}; the best "
        f"in the table is {where} with {_value(score)} (chosen on test, optimistic). Validation speakers choose a "
        "layer with --split 80/10/10, or for heads that are trained with --patience; so does a second corpus."
    )


def _value(score: Score) -> str:
    """A score in per cent and its interval: "66.7 % (61.2 to 71.9)"."""
    text = interval(score.measure, score.value, score.low, score.high)
    return text.replace(" (", " % (", 1)


def variety_lines(corpora: Iterable[Corpus], normalisations: Sequence[str]) -> tuple[str, ...]:
    """A line for each corpus whose speakers show few emotions each, where features are normalised by speaker."""
    lines = []
    for corpus in corpora if "speaker" in normalisations else ():
        emotions = [utterance.emotion for utterance in corpus.utterances]
        measured = variety_of_labels(emotions, [person(utterance) for utterance in corpus.utterances])
        if measured is not None and measured.is_low:
            lines.append(
                f"Normalisation by speaker takes emotions out of {corpus.name}: {low_variety(measured, 'speaker')}. "
                "Give --normalise corpus."
            )
    return tuple(lines)


def collapse_lines(collapsed: Iterable[CollapsedProbes]) -> tuple[str, ...]:
    """A line for each head with probes that predict one emotion for all utterances: which layers and seeds."""
    groups: dict[str, list[str]] = {}
    for collapse in collapsed:
        condition = collapse.condition
        weights = "" if condition.method == PROBE else f" ({condition.method.removeprefix('probe, ')})"
        head = f", head {condition.head}" if condition.head else ""
        target = "" if condition.source == condition.target else f" to {condition.target}"
        system = f"{condition.encoder}{weights}{head}, normalisation {condition.normalisation}"
        probes = groups.setdefault(f"{system}, {condition.source}{target}", [])
        probes.append(f"layer {condition.layer}, seed {collapse.seed} ({collapse.prediction})")
    lines = []
    for system, probes in groups.items():
        listed = "; ".join(probes[:MANY]) + (f"; and {len(probes) - MANY} more" if len(probes) > MANY else "")
        lines.append(f"These probes predict a single emotion and tell nothing apart: {system}: {listed}.")
    return tuple(lines)
