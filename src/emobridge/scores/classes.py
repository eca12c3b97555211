"""Evaluation of predicted classes: measures, recall by class and by speaker, and what a collapsed model predicts.

Truth first, prediction second, options by keyword, labels ALWAYS explicit: see `confusion`. scikit-learn and audmetric
are the referees in the tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emobridge.errors import UserError
from emobridge.scores.base import BaseEvaluation, Column, Estimate, clusters_of, estimate_from, resample
from emobridge.scores.confusion import Counts, check_labels, count_pairs, indices, recall_by_class
from emobridge.scores.measures.base import RECALL, Measure


@dataclass(frozen=True, slots=True)
class Evaluation(BaseEvaluation):
    """What a system predicted for N utterances, for each of S seeds. Checked when it is made.

    Errors: UserError for nothing to score, unequal lengths and for a label outside the set.
    """

    of: ClassVar[str] = "classes"

    labels: tuple[str, ...]  # C
    truth: tuple[str, ...]  # N
    predictions: tuple[tuple[str, ...], ...]  # S times N
    speakers: tuple[str | None, ...]  # N
    folds: tuple[int, ...] = ()  # N: the fold that each utterance was tested in, where that is known

    def __post_init__(self) -> None:
        if not self.truth or not self.predictions:
            raise UserError("nothing to score: no utterance, or no seed")
        for prediction in self.predictions:
            check_labels(self.truth, prediction, self.labels)
        for what, values in (("speakers", self.speakers), ("folds", self.folds or self.truth)):
            if len(values) != len(self.truth):
                raise UserError(f"{len(values)} {what} for {len(self.truth)} utterances: each needs its own")

    @property
    def label_set(self) -> tuple[str, ...]:
        """The classes."""
        return self.labels

    @property
    def collapsed(self) -> str | None:
        """Words where all utterances of a seed, or of a fold, are predicted as one class and are not of one class.

        >>> Evaluation(("a", "b"), ("a", "b"), (("b", "b"),), (None, None)).collapsed
        'b for all 2 utterances'
        """
        truth, predictions = self._indices()
        everything = np.arange(len(truth))
        classes = [_only_class(truth, prediction, everything) for prediction in predictions]
        collapsed = [index for index in classes if index is not None]
        if collapsed:
            share = "" if len(collapsed) == len(classes) else f" in {len(collapsed)} of {len(classes)} seeds"
            return f"{self._listed(collapsed)} for all {len(truth)} utterances{share}"
        groups = [np.flatnonzero(np.array(self.folds) == fold) for fold in sorted(set(self.folds))]
        classes = [_only_class(truth, prediction, rows) for prediction in predictions for rows in groups]
        collapsed = [index for index in classes if index is not None]
        if collapsed:
            return f"{self._listed(collapsed)} for all utterances of {len(collapsed)} of {len(classes)} folds"
        return None

    def seeds(self) -> tuple[Evaluation, ...]:
        """The evaluation of each seed by itself."""
        return tuple(replace(self, predictions=(prediction,)) for prediction in self.predictions)

    def is_paired_with(self, other: BaseEvaluation) -> bool:
        """Whether both hold predictions for the same utterances in the same order."""
        return isinstance(other, Evaluation) and (
            (self.labels, self.truth, self.speakers) == (other.labels, other.truth, other.speakers)
        )

    def confusion(self) -> Counts:
        """Counts (C, C) over all seeds, rows truth, columns prediction."""
        truth, predictions = self._indices()
        counts: Counts = np.sum([count_pairs(truth, row, len(self.labels)) for row in predictions], axis=0)
        return counts

    def clusters(self) -> Counts:
        """(S, K, C, C): counts of each speaker, or of each utterance where these are drawn."""
        truth, predictions = self._indices()
        if self.resampled == "utterances":
            return _one_hot(truth, predictions, len(self.labels))
        speakers, owner = clusters_of(self.speakers)
        return _grouped(truth, predictions, owner, len(speakers), len(self.labels))

    def parts(self, parts: Sequence[Sequence[int]]) -> Counts:
        """(S, P, C, C): counts of each of P subsets of the utterances."""
        truth, predictions = self._indices()
        rows = [np.asarray(part, dtype=np.int64) for part in parts]
        return np.stack(
            [
                np.stack([count_pairs(truth[part], prediction[part], len(self.labels)) for part in rows])
                for prediction in predictions
            ]
        )

    def columns(self, measure: Measure) -> tuple[Column, ...]:
        """One row a measure, over all utterances."""
        return (Column(measure.name, len(self.truth)),)

    def details(self, total: Counts, drawn: Counts, draws: int, seed: int) -> list[Estimate]:
        """Recall by class ("recall anger") and UA by speaker ("recall speaker f1").

        A speaker's own interval draws that speaker's utterances. A draw that lacks a class says nothing about it.
        """
        return [*self._by_class(total, drawn), *self._by_speaker(draws, seed)]

    def _by_class(self, total: Counts, drawn: Counts) -> Iterator[Estimate]:
        values, samples = recall_by_class(total), recall_by_class(drawn)
        for index, label in enumerate(self.labels):
            if n := self.truth.count(label):
                yield estimate_from(f"{RECALL} {label}", values[..., index], samples[..., index], n, self.resampled)

    def _by_speaker(self, draws: int, seed: int) -> Iterator[Estimate]:
        truth, predictions = self._indices()
        names, owner = clusters_of(self.speakers)
        order = np.argsort(owner, kind="stable")
        ends = np.searchsorted(owner[order], np.arange(len(names) + 1))
        for name, start, end in zip(names, ends, ends[1:]):
            rows = order[start:end]
            cells = _one_hot(truth[rows], predictions[:, rows], len(self.labels))
            values = self.lead.value(cells.sum(1)), self.lead.value(resample(cells, draws, seed))
            yield estimate_from(f"{RECALL} speaker {name}", *values, len(rows), "utterances")

    def _indices(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(N,) of the truth and (S, N) of the predictions, as indices in `labels`."""
        predictions = [indices(prediction, self.labels) for prediction in self.predictions]
        return indices(self.truth, self.labels), np.stack(predictions)

    def _listed(self, classes: Sequence[int]) -> str:
        return ", ".join(self.labels[index] for index in sorted(set(classes)))


def _only_class(truth: NDArray[np.int64], prediction: NDArray[np.int64], rows: NDArray[np.int64]) -> int | None:
    """The class that is predicted for all of `rows`, where the truth holds several; else None."""
    predicted = np.unique(prediction[rows])
    return int(predicted[0]) if len(predicted) == 1 and len(np.unique(truth[rows])) > 1 else None


def _one_hot(truth: NDArray[np.int64], predictions: NDArray[np.int64], classes: int) -> Counts:
    """(S, N, C, C): a single 1 for each utterance."""
    cells = np.zeros((*predictions.shape, classes * classes))
    np.put_along_axis(cells, (truth * classes + predictions)[..., None], 1.0, axis=-1)
    return cells.reshape(*predictions.shape, classes, classes)


def _grouped(
    truth: NDArray[np.int64], predictions: NDArray[np.int64], owner: NDArray[np.int64], groups: int, classes: int
) -> Counts:
    """(S, groups, C, C): counts of the utterances of each group."""
    size = classes * classes
    cells = owner * size + truth * classes + predictions
    counts = [np.bincount(row, minlength=groups * size) for row in cells]
    return np.stack(counts).reshape(len(counts), groups, classes, classes).astype(np.float64)
