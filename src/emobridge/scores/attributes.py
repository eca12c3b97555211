"""Concordance (CCC) of regressed attributes, by attribute, with intervals: `metrics` for numbers instead of labels.

CCC needs nothing of the utterances but the sums of 1, x, y, x^2, y^2 and xy, so that the bootstrap over speakers is
arithmetic on the sums of each speaker. Population (1/n) moments, as in `metrics.ccc`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emobridge.errors import UserError
from emobridge.scores.classes import Condition, Estimate, resample, score_rows
from emobridge.types import SCALE, Range, Score

Values = NDArray[np.float64]
NOTHING = 1e-12  # a denominator that is smaller than so much of the squares it is made of is rounding


@dataclass(frozen=True, slots=True, eq=False)
class AttributeEvaluation:
    """What one system said of K attributes of N utterances, once for each of S seeds. Checked when it is made."""

    names: tuple[str, ...]  # K, such as ("arousal", "valence", "dominance")
    truth: Values  # (N, K), within `range`; NaN where it is not known
    predictions: Values  # (S, N, K), on the same scale; they may lie beyond its ends
    speakers: tuple[str | None, ...]  # N
    range: Range = SCALE  # of `truth`

    def __post_init__(self) -> None:
        n, k = len(self.speakers), len(self.names)
        if not n or not k or not len(self.predictions):
            raise UserError("nothing to score: no utterance, no attribute, or no seed")
        if self.truth.shape != (n, k) or self.predictions.shape[1:] != (n, k):
            raise UserError(
                f"true values {self.truth.shape} and predicted ones {self.predictions.shape}: expected ({n}, {k}) and "
                f"(seeds, {n}, {k}) of {n} speakers and {k} attributes"
            )
        if not np.isfinite(self.predictions).all():
            raise UserError("a predicted value is not a finite number")
        known = self.truth[~np.isnan(self.truth)]
        outside = known[(known < self.range.low) | (known > self.range.high)]
        if len(outside):
            raise UserError(f"a true value is {outside[0]:g}: expected {self.range}")
        if not self.scored:
            raise UserError(f"nothing to score: fewer than two known values of {', '.join(self.names)}")

    @property
    def scored(self) -> tuple[int, ...]:
        """The attributes that can be scored, as places in `names`: those with two known values or more."""
        return tuple(np.flatnonzero((~np.isnan(self.truth)).sum(0) >= 2).tolist())

    @property
    def resampled(self) -> str:
        """What the bootstrap draws: "speakers", or "utterances" where there is one speaker or one is not known."""
        return "utterances" if None in self.speakers or len(set(self.speakers)) < 2 else "speakers"


def score_attributes(evaluation: AttributeEvaluation, *, draws: int = 1000, seed: int = 0) -> tuple[Estimate, ...]:
    """CCC of each attribute with two known values or more ("CCC arousal") and "CCC mean" over these; in [-1, 1].

    A value is the mean over seeds, its interval the 2.5th to 97.5th percentile over draws of speakers with replacement,
    the same for every seed, as `metrics.score` draws them. NaN where neither truth nor prediction varies and both are
    the same (0/0); a draw where that happens is left out.
    """
    sums = _sums(evaluation)
    return _estimates(evaluation, "", _values(sums.sum(1)), _values(resample(sums, draws, seed)))


def attribute_difference(
    before: AttributeEvaluation, after: AttributeEvaluation, *, draws: int = 1000, seed: int = 0
) -> tuple[Estimate, ...]:
    """CCC of `after` minus CCC of `before`, in [-2, 2], with paired intervals: "CCC arousal difference" ...

    Both systems see the same draw of speakers, so that what is hard about a speaker cancels.
    Errors: UserError where the two were not scored on the same utterances in the same order.
    """
    same = (before.names, before.speakers) == (after.names, after.speakers)
    if not same or not np.array_equal(before.truth, after.truth, equal_nan=True):
        raise UserError("a paired difference needs two evaluations of the same utterances, in the same order")
    old, new = _sums(before), _sums(after)
    value = _values(new.sum(1)).mean(0) - _values(old.sum(1)).mean(0)
    drawn = _values(resample(new, draws, seed)).mean(1) - _values(resample(old, draws, seed)).mean(1)
    return _estimates(after, " difference", value[None], drawn[:, None])


def attribute_scores(
    evaluation: AttributeEvaluation, condition: Condition, *, draws: int = 1000, seed: int = 0
) -> list[Score]:
    """Rows of scores.json as `metrics.to_scores` makes them: for each seed, then for the mean over seeds ("all")."""
    each = [
        (str(index), replace(evaluation, predictions=said[None])) for index, said in enumerate(evaluation.predictions)
    ]
    found = ((name, score_attributes(part, draws=draws, seed=seed)) for name, part in [*each, ("all", evaluation)])
    return score_rows(found, condition, evaluation.names)


def _sums(evaluation: AttributeEvaluation) -> Values:
    """(S, C, K, 6): over the known values of each of the C things that the bootstrap draws, 1, x, y, x^2, y^2, xy.

    From the mean of the truth: CCC does not know a common shift, and squares of small numbers lose fewer digits.
    """
    scored = list(evaluation.scored)
    truth, said = evaluation.truth[:, scored].astype(float), evaluation.predictions[:, :, scored].astype(float)
    known = ~np.isnan(truth)
    centre = np.nanmean(truth, 0)
    y = np.where(known, said - centre, 0.0)
    x = np.broadcast_to(np.where(known, truth - centre, 0.0), y.shape)
    sums = np.stack([np.broadcast_to(known, y.shape), x, y, x * x, y * y, x * y], -1)
    if evaluation.resampled == "utterances":
        return sums
    place = {name: index for index, name in enumerate(sorted(set(map(str, evaluation.speakers))))}
    owners = np.array([place[str(speaker)] for speaker in evaluation.speakers])
    clusters = np.zeros((len(sums), len(place), *sums.shape[2:]))
    np.add.at(clusters.swapaxes(0, 1), owners, sums.swapaxes(0, 1))
    return clusters


def _values(sums: Values) -> Values:
    """(..., K, 6) -> (..., K + 1): CCC of each attribute and their mean; NaN where it is 0/0."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    least = np.maximum(n, 1)
    mean_x, mean_y = x / least, y / least
    covariance = xy / least - mean_x * mean_y
    squares = (xx + yy) / least
    apart = squares - 2 * mean_x * mean_y  # s_x^2 + s_y^2 + (m_x - m_y)^2
    defined = (n >= 2) & (apart > NOTHING * squares)
    values = np.divide(2 * covariance, apart, out=np.full(n.shape, np.nan), where=defined).clip(-1, 1)
    return np.concatenate([values, values.mean(-1, keepdims=True)], -1)


def _estimates(evaluation: AttributeEvaluation, ending: str, values: Values, drawn: Values) -> tuple[Estimate, ...]:
    """Of values (S, K + 1) and drawn ones (draws, S, K + 1); the widest interval where no draw says anything."""
    known = ~np.isnan(evaluation.truth[:, list(evaluation.scored)])
    counts = [*known.sum(0).tolist(), int(known.any(1).sum())]
    names = [*(evaluation.names[index] for index in evaluation.scored), "mean"]
    widest = 2.0 if ending else 1.0
    found = []
    for index, (name, n) in enumerate(zip(names, counts)):
        means = drawn[..., index].mean(1)
        means = means[~np.isnan(means)]
        low, high = np.percentile(means, (2.5, 97.5)) if means.size else (-widest, widest)
        value = float(values[:, index].mean())
        found.append(Estimate(f"CCC {name}{ending}", value, float(low), float(high), n, evaluation.resampled))
    return tuple(found)
