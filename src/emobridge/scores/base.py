"""What all evaluations share: estimates with intervals, paired differences, and rows of scores.json.

An evaluation holds what a system predicted beside the truth. All measures of its kind are arithmetic on counts or sums
over utterances, so that the bootstrap over speakers is the same arithmetic on resampled counts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emobridge.errors import UserError
from emobridge.scores.measures.base import Floats, Measure, all_measures, leading_measure, measure_named
from emobridge.types import Score

LARGEST_DRAW = 20_000_000  # numbers that are held at once while resampling
DIFFERENCE = " difference"  # ends the measure of a difference


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value (the mean over seeds, in the measure's range) with its 95 % interval."""

    measure: str  # as rows of scores.json name it: "UA", "recall anger", "CCC arousal difference"
    value: float
    low: float
    high: float
    n: int  # utterances that it was computed over
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


class Column(NamedTuple):
    """A row of scores.json that a measure gives."""

    name: str  # "UA", "CCC arousal", "CCC mean"
    n: int  # utterances
    is_mean: bool = False  # over the others


class BaseEvaluation(ABC):
    """What a system predicted for N utterances, S times (once for each seed), beside the truth."""

    __slots__ = ()
    of: ClassVar[str]  # what the measures are of: "classes" or "attributes"
    speakers: tuple[str | None, ...]  # N

    @property
    @abstractmethod
    def label_set(self) -> tuple[str, ...]:
        """The classes or the attributes that are scored."""

    @property
    @abstractmethod
    def collapsed(self) -> str | None:
        """Words for predictions that do not vary where the truth does; None of a system that tells things apart."""

    @abstractmethod
    def seeds(self) -> tuple[BaseEvaluation, ...]:
        """The evaluation of each seed by itself."""

    @abstractmethod
    def is_paired_with(self, other: BaseEvaluation) -> bool:
        """Whether both hold predictions for the same utterances in the same order."""

    @abstractmethod
    def clusters(self) -> Floats:
        """(S, K, ...): counts or sums of each of the K things that the bootstrap draws."""

    @abstractmethod
    def parts(self, parts: Sequence[Sequence[int]]) -> Floats:
        """(S, P, ...): counts or sums of each of P subsets of the utterances, which are given as indices."""

    @abstractmethod
    def columns(self, measure: Measure) -> tuple[Column, ...]:
        """The rows of scores.json that a measure gives."""

    def column_values(self, measure: Measure, counts: Floats) -> Floats:
        """(..., columns): the values of `columns` from counts or sums."""
        return measure.value(counts)[..., None]

    def confusion(self) -> Floats | None:
        """Counts (C, C) over all seeds, rows truth; None where no classes were predicted."""
        return None

    @property
    def resampled(self) -> str:
        """What the bootstrap draws: "speakers", or "utterances" where there is one speaker or one is not known."""
        return "utterances" if None in self.speakers or len(set(self.speakers)) < 2 else "speakers"

    @property
    def lead(self) -> Measure:
        """The measure that differences, subsets and headlines are in: the first of its kind."""
        return leading_measure(self.of)

    @property
    def chance(self) -> float | None:
        """What guessing reaches in the leading measure, where that is known."""
        return self.lead.chance(len(self.label_set))

    def values(self) -> dict[str, float]:
        """Each measure without its interval: the mean over seeds."""
        total = self.clusters().sum(1)
        return {
            column.name: float(values.mean())
            for measure in all_measures(self.of)
            for column, values in zip(self.columns(measure), self._by_column(measure, total))
        }

    def estimates(self, *, draws: int = 1000, seed: int = 0, details: bool = True) -> tuple[Estimate, ...]:
        """Every measure with its interval, then its details (such as recall by class), which take most of the time.

        A value is the mean over seeds. Its interval is the 2.5th to 97.5th percentile over draws: speakers are drawn
        with replacement (Efron & Tibshirani 1993, clusters), the same draw for every seed, and the mean over seeds is
        taken in each draw. A single speaker, or one that is not known, leaves utterances to draw; `resampled` says so.
        A draw in which a value is not defined is left out; the interval is the measure's range where none is defined.
        """
        clusters = self.clusters()
        total, drawn = clusters.sum(1), resample(clusters, draws, seed)
        estimates: list[Estimate] = []
        for measure in all_measures(self.of):
            values, samples = self._by_column(measure, total), self._by_column(measure, drawn)
            for column, value, sample in zip(self.columns(measure), values, samples):
                estimates.append(estimate_from(column.name, value, sample, column.n, self.resampled, measure.range))
        if details:
            estimates += self.details(total, drawn, draws, seed)
        return tuple(estimates)

    def details(self, total: Floats, drawn: Floats, draws: int, seed: int) -> list[Estimate]:
        """What is reported beside the measures; nothing by default."""
        return []

    def difference(
        self, before: BaseEvaluation, *, measure: str = "", draws: int = 1000, seed: int = 0
    ) -> tuple[Estimate, ...]:
        """This system's score minus that of `before` on the same utterances, with paired intervals.

        measure: by default the leading one. Rows are named "UA difference", "CCC arousal difference" ... Both systems
        see the same draw of speakers, so that what is hard about a speaker cancels.
        Errors: UserError where the two were not scored on the same utterances in the same order.
        """
        if not self.is_paired_with(before):
            raise UserError("a paired difference needs two evaluations of the same utterances, in the same order")
        formula = measure_named(measure, self.of) if measure else self.lead
        low, high = formula.range
        counts_before, counts_after = before.clusters(), self.clusters()
        values_before, values_after = (
            self._by_column(formula, counts.sum(1)).mean(-1) for counts in (counts_before, counts_after)
        )
        samples_before, samples_after = (
            self._by_column(formula, resample(counts, draws, seed)).mean(-1) for counts in (counts_before, counts_after)
        )
        gaps = zip(self.columns(formula), values_after - values_before, samples_after - samples_before)
        return tuple(
            estimate_from(
                f"{column.name}{DIFFERENCE}", value[None], sample[:, None], column.n, self.resampled,
                (low - high, high - low),
            )
            for column, value, sample in gaps
        )  # fmt: skip

    def per_subset(self, parts: Sequence[Sequence[int]], *, measure: str = "") -> dict[str, list[float]]:
        """A value for each seed and subset of the utterances (indices), seeds outermost, by row name; means left out.

        measure: by default the leading one. NaN of a subset on which it is not defined.
        Errors: UserError for an unknown measure.
        """
        formula = measure_named(measure, self.of) if measure else self.lead
        values = self._by_column(formula, self.parts(parts))
        columns = zip(self.columns(formula), values)
        return {column.name: value.ravel().tolist() for column, value in columns if not column.is_mean}

    def scores(self, condition: Condition, *, draws: int = 1000, seed: int = 0) -> list[Score]:
        """Rows of scores.json: for each seed ("0", "1" ...; its own interval), then for the mean over seeds ("all")."""
        shared = {**asdict(condition), "labels": ",".join(self.label_set)}
        evaluations = [*((str(number), part) for number, part in enumerate(self.seeds())), ("all", self)]
        return [
            Score(**shared, seed=title, measure=row.measure, value=row.value, low=row.low, high=row.high, n=row.n)
            for title, evaluation in evaluations
            for row in evaluation.estimates(draws=draws, seed=seed)
        ]

    def _by_column(self, measure: Measure, counts: Floats) -> Floats:
        """(columns, ...): the values of each column."""
        return np.moveaxis(self.column_values(measure, counts), -1, 0)


def resample(counts: Floats, draws: int, seed: int) -> Floats:
    """Counts (draws, S, ...) after drawing K of the K clusters of (S, K, ...) with replacement."""
    seeds, k, *shape = counts.shape
    flat, random = np.moveaxis(counts, 1, 0).reshape(k, -1), np.random.default_rng(seed)
    step = max(1, LARGEST_DRAW // k)
    sums = []
    for start in range(0, draws, step):
        count = min(step, draws - start)
        drawn = random.integers(k, size=(count, k)) + np.arange(count)[:, None] * k
        weights = np.bincount(drawn.ravel(), minlength=count * k).reshape(count, k).astype(float)
        sums.append(weights @ flat)
    return np.concatenate(sums).reshape(draws, seeds, *shape)


def estimate_from(
    measure: str, values: Floats, samples: Floats, n: int, resampled: str, limits: tuple[float, float] = (0.0, 1.0)
) -> Estimate:
    """From values (S,) and drawn values (draws, S); the interval is `limits` where no draw is defined."""
    means = samples.mean(1)
    means = means[~np.isnan(means)]
    low, high = np.percentile(means, (2.5, 97.5)) if means.size else limits
    return Estimate(measure, float(values.mean()), float(low), float(high), n, resampled)


def clusters_of(speakers: Sequence[str | None]) -> tuple[list[str], NDArray[np.int64]]:
    """The speakers who are known, in order, and (N,) each utterance's index among them; -1 where it is not known."""
    names = sorted({speaker for speaker in speakers if speaker is not None})
    index: dict[str | None, int] = {name: number for number, name in enumerate(names)}
    return names, np.fromiter((index.get(speaker, -1) for speaker in speakers), np.int64, len(speakers))
