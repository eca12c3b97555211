"""Evaluation of predicted attributes, such as arousal: measures such as CCC by attribute, and their mean.

Measures of attributes need nothing of the utterances but the sums of 1, x, y, x^2, y^2 and xy, so that the jackknife
over speakers is arithmetic on the sums of each speaker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from emobridge.errors import UserError
from emobridge.scores.base import BaseEvaluation, Column, clusters_of
from emobridge.scores.jackknife import Clusters, Influence
from emobridge.scores.measures.base import Floats, Measure, power_sums
from emobridge.types import SCALE, Range, short_repr

FLAT = 1e-6  # of the scale of ratings: predictions that vary less do not vary


@short_repr
@dataclass(frozen=True, slots=True, eq=False)
class AttributeEvaluation(BaseEvaluation):
    """What a system predicted of K attributes of N utterances, for each of S seeds. Checked when it is made.

    Errors: UserError for nothing to score, shapes that do not fit, and values that are not finite or off the scale.
    """

    of: ClassVar[str] = "attributes"

    names: tuple[str, ...]  # K, such as ("arousal", "valence", "dominance")
    truth: Floats  # (N, K), within `range`; NaN where it is not known
    predictions: Floats  # (S, N, K), on the same scale; they may lie beyond its ends
    speakers: tuple[str | None, ...]  # N
    range: Range = SCALE  # of `truth`
    utterances: tuple[int, ...] = ()  # N: which utterance each row is, where one was scored several times

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
        values = self.truth[~np.isnan(self.truth)]
        outside = values[(values < self.range.low) | (values > self.range.high)]
        if len(outside):
            raise UserError(f"a true value is {outside[0]:g}: expected {self.range}")
        if not self.scored:
            raise UserError(f"nothing to score: fewer than two known values of {', '.join(self.names)}")

    @property
    def label_set(self) -> tuple[str, ...]:
        """The attributes."""
        return self.names

    @property
    def scored(self) -> tuple[int, ...]:
        """The attributes that can be scored, as indices in `names`: those with two known values or more."""
        return tuple(np.flatnonzero((~np.isnan(self.truth)).sum(0) >= 2).tolist())

    @property
    def collapsed(self) -> str | None:
        """Words where a seed predicts the same value for every utterance of an attribute that varies."""
        size = FLAT * (self.range.high - self.range.low)
        varies = np.nanmax(self.truth[:, list(self.scored)], 0) - np.nanmin(self.truth[:, list(self.scored)], 0) > size
        flat = np.ptp(self.predictions[:, :, list(self.scored)], axis=1) <= size  # (S, K)
        names = [self.names[index] for index, is_flat in zip(self.scored, (flat & varies).any(0)) if is_flat]
        return f"the same {', '.join(names)} for all {len(self.speakers)} utterances" if names else None

    def seeds(self) -> tuple[AttributeEvaluation, ...]:
        """The evaluation of each seed by itself."""
        return tuple(replace(self, predictions=prediction[None]) for prediction in self.predictions)

    def is_paired_with(self, other: BaseEvaluation) -> bool:
        """Whether both hold predictions for the same utterances in the same order."""
        return (
            isinstance(other, AttributeEvaluation)
            and (self.names, self.speakers) == (other.names, other.speakers)
            and np.array_equal(self.truth, other.truth, equal_nan=True)
        )

    def clusters(self) -> Clusters:
        """`power_sums` of each speaker, and of each utterance whose speaker is not known; groups are the attributes."""
        sums = self._sums()  # (S, N, K, 6)
        _, owner = clusters_of(self.speakers, self.utterances)
        counts = np.zeros((len(sums), owner.max() + 1, *sums.shape[2:]))
        np.add.at(counts.swapaxes(0, 1), owner, sums.swapaxes(0, 1))
        return Clusters(counts, counts[0, ..., 0], np.ones(counts.shape[1]))

    def influence(self, measure: Measure, total: Floats) -> Influence:
        """Each attribute makes all of its own variance, and an equal share of the mean's."""
        count = len(self.scored)
        steps = (measure.range[1] - measure.range[0]) / total[0, :, 0]  # the range over n utterances
        return Influence(np.column_stack([np.eye(count), np.ones(count)]), np.append(steps, steps.max() / count))

    def parts(self, parts: Sequence[Sequence[int]]) -> Floats:
        """(S, P, K, 6): `power_sums` of each of P subsets of the utterances."""
        sums = self._sums()
        return np.stack([sums[:, list(part)].sum(1) for part in parts], 1)

    def sizes_of(self, counts: Floats) -> Floats:
        """(S, P, K, 6) -> (P, K): the utterances with each attribute in each of P sums."""
        sizes: Floats = counts[0, ..., 0]
        return sizes

    def columns(self, measure: Measure) -> tuple[Column, ...]:
        """A row for each attribute that can be scored ("CCC arousal"), and one for their mean ("CCC mean")."""
        rated = ~np.isnan(self.truth[:, list(self.scored)])
        columns = [
            Column(f"{measure.name} {self.names[index]}", n) for index, n in zip(self.scored, rated.sum(0).tolist())
        ]
        return (*columns, Column(f"{measure.name} mean", int(rated.any(1).sum()), is_mean=True))

    def column_values(self, measure: Measure, counts: Floats) -> Floats:
        """(..., K, 6) -> (..., K + 1): the values of each attribute and their mean."""
        values = measure.value(counts)
        return np.concatenate([values, values.mean(-1, keepdims=True)], -1)

    def _sums(self) -> Floats:
        """(S, N, K, 6), over the attributes that can be scored."""
        scored = list(self.scored)
        return power_sums(self.truth[:, scored].astype(float), self.predictions[:, :, scored].astype(float))
