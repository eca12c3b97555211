"""What all evaluations share: estimates with intervals, paired differences, and rows of scores.json.

An evaluation holds what a system predicted beside the truth. All measures of its kind are arithmetic on counts or sums
over utterances, so that the jackknife over speakers is the same arithmetic on the counts without each speaker.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emobridge.errors import UserError
from emobridge.scores.jackknife import Clusters, Influence, Jackknife, jackknife
from emobridge.scores.measures.base import Floats, Measure, all_measures, leading_measure, measure_named
from emobridge.types import Score

DIFFERENCE = " difference"  # ends the measure of a difference


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value (the mean over seeds, in the measure's range) with its 95 % interval; NaN where there is none."""

    measure: str  # as rows of scores.json name it: "UA", "recall anger", "CCC arousal difference"
    value: float
    low: float
    high: float
    n: int  # utterances that it was computed over
    intervals_over: str  # what the interval takes as independent: see `BaseEvaluation.intervals_over`
    p: float | None = None  # of a difference: two-sided, that there is none; None where that cannot be judged


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
    seen: str = ""


class Column(NamedTuple):
    """A row of scores.json that a measure gives."""

    name: str  # "UA", "CCC arousal", "CCC mean"
    n: int  # utterances
    is_mean: bool = False  # over the others


class BaseEvaluation(ABC):
    """What a system predicted for N utterances, S times (once for each seed), beside the truth."""

    __slots__ = ()
    of: ClassVar[str]  # what the measures are of: one of measures.base.KINDS
    speakers: tuple[str | None, ...]  # N

    @property
    @abstractmethod
    def label_set(self) -> tuple[str, ...]:
        """The classes, the attributes or the emotions that are scored."""

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
    def clusters(self) -> Clusters:
        """Counts or sums of each speaker, and of each utterance whose speaker is not known."""

    @abstractmethod
    def influence(self, measure: Measure, total: Floats) -> Influence:
        """How the columns of a measure follow the utterances, where counts or sums are `total` (S, ...)."""

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
    def intervals_over(self) -> str:
        """What intervals take as independent: "speakers", "utterances" where none is known, else both.

        An utterance whose speaker is not known counts as a speaker of its own, so that intervals are too narrow where
        such utterances share speakers.
        """
        unknown = self.speakers.count(None)
        if not unknown:
            return "speakers"
        return "utterances" if unknown == len(self.speakers) else "speakers and utterances"

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
        total = self.clusters().total
        return {
            column.name: float(value)
            for measure in all_measures(self.of)
            for column, value in zip(self.columns(measure), self.column_values(measure, total).mean(0))
        }

    def estimates(self, *, details: bool = True) -> tuple[Estimate, ...]:
        """Every measure with its interval, then its details, such as recall by class.

        A value is the mean over seeds. Its interval is that of the jackknife over speakers with Student's t: where the
        value of other speakers, and of other seeds where there are several, may lie (see `jackknife`). Seeds score the
        same speakers, and do not count as independent. A single speaker leaves no interval (NaN).
        """
        clusters = self.clusters()
        estimates: list[Estimate] = []
        for measure in all_measures(self.of):
            scored = self._jackknife(measure, clusters)
            for index, column in enumerate(self.columns(measure)):
                interval = scored.interval(index, measure.range, column.n)
                estimates.append(
                    Estimate(column.name, float(scored.values[index]), *interval, column.n, self.intervals_over)
                )
        if details:
            estimates += self.details(clusters)
        return tuple(estimates)

    def details(self, clusters: Clusters) -> list[Estimate]:
        """What is reported beside the measures; nothing by default."""
        return []

    def difference(self, before: BaseEvaluation, *, measure: str = "") -> tuple[Estimate, ...]:
        """This system's score minus that of `before` on the same utterances, with paired intervals.

        measure: by default the leading one. Rows are named "UA difference", "CCC arousal difference" ... Both systems
        are without the same speaker, so that what is hard about a speaker cancels.
        Errors: UserError where the two were not scored on the same utterances in the same order.
        """
        if not self.is_paired_with(before):
            raise UserError("a paired difference needs two evaluations of the same utterances, in the same order")
        formula = measure_named(measure, self.of) if measure else self.lead
        low, high = formula.range
        gap = self._jackknife(formula, self.clusters()).minus(before._jackknife(formula, before.clusters()))
        return tuple(
            Estimate(
                f"{column.name}{DIFFERENCE}", float(gap.values[index]),
                *gap.interval(index, (low - high, high - low), None), column.n, self.intervals_over, gap.p(index),
            )
            for index, column in enumerate(self.columns(formula))
        )  # fmt: skip

    def per_subset(self, parts: Sequence[Sequence[int]], *, measure: str = "") -> dict[str, list[float]]:
        """A value for each seed and subset of the utterances (indices), seeds outermost, by row name; means left out.

        measure: by default the leading one. NaN of a subset on which it is not defined.
        Errors: UserError for an unknown measure.
        """
        formula = measure_named(measure, self.of) if measure else self.lead
        values = self.column_values(formula, self.parts(parts))
        columns = zip(self.columns(formula), np.moveaxis(values, -1, 0))
        return {column.name: value.ravel().tolist() for column, value in columns if not column.is_mean}

    def scores(self, condition: Condition) -> list[Score]:
        """Rows of scores.json: for each seed ("0", "1" ...; its own interval), then for the mean over seeds ("all")."""
        shared = {**asdict(condition), "labels": ",".join(self.label_set)}
        whole, seeds = self.estimates(), self.seeds()
        of_seeds = [seed.estimates() for seed in seeds] if len(seeds) > 1 else [whole]
        return [
            Score(**shared, seed=title, measure=row.measure, value=row.value, low=row.low, high=row.high, n=row.n)
            for title, estimates in [*((str(number), rows) for number, rows in enumerate(of_seeds)), ("all", whole)]
            for row in estimates
        ]

    def _jackknife(self, measure: Measure, clusters: Clusters) -> Jackknife:
        influence = self.influence(measure, clusters.total)
        return jackknife(clusters, lambda counts: self.column_values(measure, counts), influence)


def clusters_of(speakers: Sequence[str | None], utterances: Sequence[int] = ()) -> tuple[list[str], NDArray[np.int64]]:
    """The speakers who are known, in order, and (N,) the index of each row's cluster.

    Clusters are the speakers in that order, then the utterances whose speaker is not known. utterances: (N,) which of
    them each row is, where one has several rows; by default each row is one.
    """
    names = sorted({speaker for speaker in speakers if speaker is not None})
    index: dict[str | int, int] = {name: number for number, name in enumerate(names)}
    keys = [row if speaker is None else speaker for row, speaker in zip(utterances or range(len(speakers)), speakers)]
    for key in dict.fromkeys(key for key in keys if key not in index):
        index[key] = len(index)
    return names, np.fromiter(map(index.__getitem__, keys), np.int64, len(keys))
