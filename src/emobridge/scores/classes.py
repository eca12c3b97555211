"""Scores and their intervals.

Truth first, prediction second, options by keyword, labels ALWAYS explicit. The rule for a label that the truth lacks:
its recall is 0/0, so it is left out of every mean over labels (UA, macro F1), as scikit-learn's
`balanced_accuracy_score` does. What was predicted never changes which labels count.

One set of formulas works on confusion counts (..., C, C), rows truth, so that the bootstrap is the same arithmetic over
resampled counts. audmetric counts and computes CCC; it and scikit-learn are the referees in the tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path

import audmetric
import numpy as np
from numpy.typing import NDArray

from emobridge.errors import UserError, unknown
from emobridge.files import whole_file
from emobridge.types import Score

Counts = NDArray[np.float64]  # (..., C, C), rows truth, columns prediction


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one system said of N utterances, once a seed. Checked when it is made."""

    labels: tuple[str, ...]
    truth: tuple[str, ...]  # N
    predictions: tuple[tuple[str, ...], ...]  # one a seed, each N
    speakers: tuple[str | None, ...]  # N

    def __post_init__(self) -> None:
        if not self.truth or not self.predictions:
            raise UserError("nothing to score: no utterance, or no seed")
        for prediction in self.predictions:
            _check(self.truth, prediction, self.labels)
        if len(self.speakers) != len(self.truth):
            raise UserError(f"{len(self.speakers)} speakers for {len(self.truth)} utterances: each needs its own")

    @property
    def resampled(self) -> str:
        """What the bootstrap draws: "speakers", or "utterances" where there is one speaker or one is not known."""
        return "utterances" if None in self.speakers or len(set(self.speakers)) < 2 else "speakers"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A named value (mean over seeds, in [0, 1]; CCC and a difference in [-1, 1]) with its 95 % interval."""

    measure: str
    value: float
    low: float
    high: float
    n: int  # utterances it was computed over
    resampled: str  # "speakers" or "utterances"


@dataclass(frozen=True, slots=True)
class Condition:
    """What was scored: the fields that all rows of one evaluation share in `types.Score`."""

    run: str
    method: str
    encoder: str
    layer: str
    normalisation: str
    source: str
    target: str
    target_labels: str
    split: str
    side: str
    head: str = ""
    setting: str = ""


# ---------------------------------------------------------------- point values


def confusion(truth: Sequence[str], prediction: Sequence[str], *, labels: Sequence[str]) -> Counts:
    """Counts (C, C), rows truth, columns prediction, in the order of `labels`.

    Errors: UserError for unequal lengths and for a label outside the set, on either side.
    """
    _check(truth, prediction, labels)
    return np.array(audmetric.confusion_matrix(truth, prediction, labels), dtype=float)


def ua(truth: Sequence[str], prediction: Sequence[str], *, labels: Sequence[str]) -> float:
    """Unweighted accuracy, also called UAR: mean recall over the labels that the truth holds, in [0, 1].

    >>> ua(["a", "a"], ["a", "b"], labels=["a", "b"])
    0.5
    """
    return float(_ua(confusion(truth, prediction, labels=labels)))


def wa(truth: Sequence[str], prediction: Sequence[str], *, labels: Sequence[str]) -> float:
    """Weighted accuracy: the share of utterances that are right, in [0, 1]."""
    return float(_wa(confusion(truth, prediction, labels=labels)))


def f1_macro(truth: Sequence[str], prediction: Sequence[str], *, labels: Sequence[str]) -> float:
    """Mean F1 over the labels that the truth holds, in [0, 1]."""
    return float(_f1_macro(confusion(truth, prediction, labels=labels)))


def f1_weighted(truth: Sequence[str], prediction: Sequence[str], *, labels: Sequence[str]) -> float:
    """F1 weighted by the label's number of utterances, in [0, 1]."""
    return float(_f1_weighted(confusion(truth, prediction, labels=labels)))


def recall(truth: Sequence[str], prediction: Sequence[str], *, labels: Sequence[str]) -> dict[str, float]:
    """Recall by label, in [0, 1]; labels that the truth lacks are absent from the result."""
    values = _recall(confusion(truth, prediction, labels=labels))
    return {label: float(value) for label, value in zip(labels, values) if not np.isnan(value)}


def ccc(truth: Sequence[float], prediction: Sequence[float]) -> float:
    """Concordance correlation with POPULATION (1/n) moments, in [-1, 1]; NaN for fewer than two values.

    2 s_xy / (s_x^2 + s_y^2 + (m_x - m_y)^2), Lin 1989. Libraries that divide by n - 1 give other values wherever the
    means differ, since the last term is no moment about a mean.
    """
    if len(truth) != len(prediction):
        raise UserError(f"{len(truth)} true values but {len(prediction)} predicted ones")
    return audmetric.concordance_cc(np.asarray(truth, dtype=float), np.asarray(prediction, dtype=float))


def _check(truth: Sequence[str], prediction: Sequence[str], labels: Sequence[str]) -> None:
    if len(set(labels)) != len(labels) or not labels:
        raise UserError(f"the label set {', '.join(map(str, labels)) or '(empty)'}: distinct labels are needed")
    if len(truth) != len(prediction):
        raise UserError(f"{len(truth)} true labels but {len(prediction)} predicted ones")
    for side, given in (("true", truth), ("predicted", prediction)):
        for label in dict.fromkeys(given):
            if label not in tuple(labels):
                raise unknown(f"{side} label", str(label), labels)


# ---------------------------------------------------------------- formulas on counts (..., C, C)


def _recall(counts: Counts) -> Counts:
    """(..., C); NaN where the truth lacks the label."""
    rows = counts.sum(-1)
    return np.divide(np.diagonal(counts, 0, -2, -1), rows, out=np.full(rows.shape, np.nan), where=rows > 0)


def _f1(counts: Counts) -> Counts:
    """(..., C); NaN where the truth lacks the label."""
    rows, both = counts.sum(-1), counts.sum(-1) + counts.sum(-2)
    return np.divide(2 * np.diagonal(counts, 0, -2, -1), both, out=np.full(rows.shape, np.nan), where=rows > 0)


def _ua(counts: Counts) -> Counts:
    return np.nanmean(_recall(counts), -1)


def _wa(counts: Counts) -> Counts:
    return np.trace(counts, axis1=-2, axis2=-1) / counts.sum((-2, -1))


def _f1_macro(counts: Counts) -> Counts:
    return np.nanmean(_f1(counts), -1)


def _f1_weighted(counts: Counts) -> Counts:
    return np.nansum(_f1(counts) * counts.sum(-1), -1) / counts.sum((-2, -1))


OVERALL: dict[str, Callable[[Counts], Counts]] = {
    "UA": _ua,
    "WA": _wa,
    "F1 macro": _f1_macro,
    "F1 weighted": _f1_weighted,
}


# ---------------------------------------------------------------- intervals


def score(evaluation: Evaluation, *, draws: int = 1000, seed: int = 0) -> tuple[Estimate, ...]:
    """UA, WA, both F1, recall by label ("recall anger") and UA by speaker ("recall speaker f1"), with intervals.

    A value is the mean over seeds. Its interval is the 2.5th to 97.5th percentile over draws: speakers are drawn with
    replacement (Efron & Tibshirani 1993, clusters), the same draw for every seed, and the mean over seeds is taken in
    each draw. A single speaker, or one that is not known, leaves utterances to draw; `resampled` then says so. One
    speaker's own UA draws that speaker's utterances. A draw that lacks a label says nothing about it and is left out.
    """
    cells = _cells(evaluation)
    names, counts = _clusters(evaluation, cells)
    drawn = resample(counts, draws, seed)
    total, kind, n = counts.sum(1), evaluation.resampled, len(evaluation.truth)
    found = _overall(total, drawn, n, kind)
    per_class, per_class_drawn = _recall(total), _recall(drawn)
    for index, label in enumerate(evaluation.labels):
        present = evaluation.truth.count(label)
        if present:
            values = per_class[..., index], per_class_drawn[..., index]
            found.append(_estimate(f"recall {label}", *values, present, kind))
    for name in names:
        own = cells[:, [speaker == name for speaker in evaluation.speakers]]
        values = _ua(own.sum(1)), _ua(resample(own, draws, seed))
        found.append(_estimate(f"recall speaker {name}", *values, own.shape[1], "utterances"))
    return tuple(found)


def overall(evaluation: Evaluation, *, draws: int = 1000, seed: int = 0) -> tuple[Estimate, ...]:
    """UA, WA and both F1 of `score`, without what it says of labels and speakers, which takes most of its time."""
    counts = _clusters(evaluation, _cells(evaluation))[1]
    drawn = resample(counts, draws, seed)
    return tuple(_overall(counts.sum(1), drawn, len(evaluation.truth), evaluation.resampled))


def _overall(total: Counts, drawn: Counts, n: int, resampled: str) -> list[Estimate]:
    return [_estimate(name, f(total), f(drawn), n, resampled) for name, f in OVERALL.items()]


def difference(before: Evaluation, after: Evaluation, *, draws: int = 1000, seed: int = 0) -> Estimate:
    """UA of `after` minus UA of `before` on the same utterances, in [-1, 1], with its paired interval.

    Both systems see the same draw of speakers, so that what is hard about a speaker cancels.
    Errors: UserError where the two were not scored on the same utterances in the same order.
    """
    if (before.labels, before.truth, before.speakers) != (after.labels, after.truth, after.speakers):
        raise UserError("a paired difference needs two evaluations of the same utterances, in the same order")
    old, new = (_clusters(each, _cells(each))[1] for each in (before, after))
    value = _ua(new.sum(1)).mean(0) - _ua(old.sum(1)).mean(0)
    drawn = _ua(resample(new, draws, seed)).mean(1) - _ua(resample(old, draws, seed)).mean(1)
    return _estimate("UA difference", value[None], drawn[:, None], len(after.truth), after.resampled)


def _cells(evaluation: Evaluation) -> Counts:
    """(S seeds, N utterances, C, C): one 1 an utterance."""
    place = {label: index for index, label in enumerate(evaluation.labels)}
    seeds, n, c = len(evaluation.predictions), len(evaluation.truth), len(place)
    cells = np.zeros((seeds, n, c, c))
    truth = [place[label] for label in evaluation.truth]
    for row, prediction in zip(cells, evaluation.predictions):
        row[np.arange(n), truth, [place[label] for label in prediction]] = 1
    return cells


def _clusters(evaluation: Evaluation, cells: Counts) -> tuple[list[str], Counts]:
    """The known speakers, and counts (S, K, C, C) of the K things that the bootstrap draws."""
    names = sorted({speaker for speaker in evaluation.speakers if speaker is not None})
    if evaluation.resampled == "utterances":
        return names, cells
    place = {name: index for index, name in enumerate(names)}
    counts = np.zeros((cells.shape[0], len(names), *cells.shape[2:]))
    for index, speaker in enumerate(evaluation.speakers):
        counts[:, place[str(speaker)]] += cells[:, index]
    return names, counts


def resample(counts: Counts, draws: int, seed: int) -> Counts:
    """Counts (draws, S, ...) after drawing K of the K clusters of (S, K, ...) with replacement."""
    seeds, k, *rest = counts.shape
    drawn = np.random.default_rng(seed).integers(k, size=(draws, k)) + np.arange(draws)[:, None] * k
    weights = np.bincount(drawn.ravel(), minlength=draws * k).reshape(draws, k).astype(float)
    total = weights @ np.moveaxis(counts, 1, 0).reshape(k, -1)  # (draws, S ...)
    return total.reshape(draws, seeds, *rest)


def _estimate(measure: str, value: Counts, drawn: Counts, n: int, resampled: str) -> Estimate:
    """From values (S,) and drawn values (draws, S); the interval is [0, 1] where no draw holds the label."""
    means = drawn.mean(1)
    means = means[~np.isnan(means)]
    low, high = np.percentile(means, (2.5, 97.5)) if means.size else (0.0, 1.0)
    return Estimate(measure, float(value.mean()), float(low), float(high), n, resampled)


# ---------------------------------------------------------------- rows of scores.json


def to_scores(evaluation: Evaluation, condition: Condition, *, draws: int = 1000, seed: int = 0) -> list[Score]:
    """A row for each seed ("0", "1" ...; its own interval) and measure, then for the mean over seeds ("all")."""
    each = [
        (str(index), Evaluation(evaluation.labels, evaluation.truth, (prediction,), evaluation.speakers))
        for index, prediction in enumerate(evaluation.predictions)
    ]
    found = ((name, score(part, draws=draws, seed=seed)) for name, part in [*each, ("all", evaluation)])
    return score_rows(found, condition, evaluation.labels)


def score_rows(
    found: Iterable[tuple[str, Iterable[Estimate]]], condition: Condition, labels: Iterable[str]
) -> list[Score]:
    """A row for each estimate of each seed: pairs of the seed's name ("0" ..., "all") and what was found."""
    shared = {**asdict(condition), "labels": ",".join(labels)}
    return [
        Score(**shared, seed=seed, measure=one.measure, value=one.value, low=one.low, high=one.high, n=one.n)
        for seed, estimates in found
        for one in estimates
    ]


def write_scores(path: str | Path, scores: Iterable[Score]) -> None:
    """A JSON list of flat records, one line each, whole or absent; NaN becomes null. Errors: UserError."""
    records = ({key: None if value != value else value for key, value in asdict(row).items()} for row in scores)
    rows = ",\n".join(json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records)
    with whole_file(path) as temporary:
        temporary.write_text(f"[\n{rows}\n]\n", encoding="utf-8")


def read_scores(path: str | Path) -> tuple[Score, ...]:
    """The rows of a `scores.json`. Errors: UserError that names the file and the row."""
    try:
        rows = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON scores ({error})") from error
    names = [field.name for field in fields(Score)]
    needed = {field.name for field in fields(Score) if field.default is MISSING}
    if not isinstance(rows, list):
        raise UserError(f"{path}: a list of scores is expected")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not needed <= set(row) <= set(names):
            raise UserError(f"{path}: row {number} is no score; its keys must be {', '.join(names)}")
        for key in ("value", "low", "high"):
            row[key] = float("nan") if row[key] is None else row[key]
    return tuple(Score(**row) for row in rows)
