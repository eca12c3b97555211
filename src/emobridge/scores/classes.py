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
from emobridge.scores.base import BaseEvaluation, Column, Estimate, clusters_of
from emobridge.scores.confusion import Counts, check_labels, count_pairs, indices, recall_by_class, ua_against_rest
from emobridge.scores.jackknife import Clusters, Floats, Formula, Influence, jackknife
from emobridge.scores.measures.base import RECALL, Measure
from emobridge.scores.measures.ua import Ua
from emobridge.types import short_repr

NUDGE = 1e-3  # of an utterance, by which counts are changed to see how a measure follows
TINY = 1e-30  # variance: that of a measure which does not follow a class


@short_repr
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
    utterances: tuple[int, ...] = ()  # N: which utterance each row is, where one was scored several times

    def __post_init__(self) -> None:
        if not self.truth or not self.predictions:
            raise UserError("nothing to score: no utterance, or no seed")
        for prediction in self.predictions:
            check_labels(self.truth, prediction, self.labels)
        optional = (("folds", self.folds or self.truth), ("utterances", self.utterances or self.truth))
        for what, values in (("speakers", self.speakers), *optional):
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

    def clusters(self) -> Clusters:
        """Counts of each speaker, and of each utterance whose speaker is not known; groups are the true classes."""
        truth, predictions = self._indices()
        return _clusters(truth, predictions, clusters_of(self.speakers, self.utterances)[1], len(self.labels))

    def influence(self, measure: Measure, total: Floats) -> Influence:
        """From how a measure follows the count of each cell of the confusion counts."""
        return _influence(lambda counts: self.column_values(measure, counts), total)

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

    def sizes_of(self, counts: Floats) -> Floats:
        """(S, P, C, C) -> (P, C): the utterances of each true class in each of P counts."""
        sizes: Floats = counts[0].sum(-1)
        return sizes

    def columns(self, measure: Measure) -> tuple[Column, ...]:
        """One row a measure, over all utterances."""
        return (Column(measure.name, len(self.truth)),)

    def details(self, clusters: Clusters) -> list[Estimate]:
        """Recall by class ("recall anger"), of three or more each against the rest ("UA anger"), and UA by speaker
        ("recall speaker f1").

        Who lacks a class says nothing about its recall; a class of a single speaker has no interval. A speaker's own
        interval is over that speaker's utterances.
        """
        recalls = self._by_class(clusters, recall_by_class, RECALL)
        against_rest = self._by_class(clusters, ua_against_rest, Ua.name) if len(self.labels) > 2 else ()
        return [*recalls, *against_rest, *self._by_speaker()]

    def _by_class(self, clusters: Clusters, formula: Formula, name: str) -> Iterator[Estimate]:
        scored = jackknife(clusters, formula, _influence(formula, clusters.total))
        for index, label in enumerate(self.labels):
            if (n := self.truth.count(label)) and np.isfinite(scored.values[index]):
                value, interval = float(scored.values[index]), scored.interval(index, (0.0, 1.0), n)
                yield Estimate(f"{name} {label}", value, *interval, n, self.intervals_over)

    def _by_speaker(self) -> Iterator[Estimate]:
        truth, predictions = self._indices()
        names, owner = clusters_of(self.speakers)
        lead = self.lead  # looked up once, and not for each speaker
        utterances = np.array(self.utterances, dtype=np.int64)
        order = np.argsort(owner, kind="stable")
        ends = np.searchsorted(owner[order], np.arange(len(names) + 1))
        for name, start, end in zip(names, ends, ends[1:]):
            rows = order[start:end]
            of_speaker = (
                np.unique(utterances[rows], return_inverse=True)[1] if self.utterances else np.arange(len(rows))
            )
            clusters = _clusters(truth[rows], predictions[:, rows], of_speaker, len(self.labels))
            scored = self._jackknife(lead, clusters)
            value, interval = float(scored.values[0]), scored.interval(0, lead.range, len(rows))
            yield Estimate(f"{RECALL} speaker {name}", value, *interval, len(rows), "utterances")

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


def _clusters(
    truth: NDArray[np.int64], predictions: NDArray[np.int64], owner: NDArray[np.int64], classes: int
) -> Clusters:
    """(N,) of the truth, (S, N) of the predictions and (N,) of the clusters; clusters of one row are alike or not."""
    size = classes * classes
    cells = truth * classes + predictions  # (S, N)
    single = np.bincount(owner)[owner] == 1
    groups, group_index = np.unique(owner[~single], return_inverse=True)
    flat = [np.bincount(group_index * size + row, minlength=len(groups) * size) for row in cells[:, ~single]]
    several = np.stack(flat).reshape(len(cells), len(groups), size)
    patterns, copies = np.unique(cells[:, single], axis=1, return_counts=True)  # (S, P)
    alone = np.zeros((*patterns.shape, size))
    np.put_along_axis(alone, patterns[..., None], 1.0, axis=-1)
    counts = np.concatenate([several, alone], 1).reshape(len(cells), -1, classes, classes)
    return Clusters(counts, counts[0].sum(-1), np.concatenate([np.ones(len(groups)), copies]))


def _influence(formula: Formula, total: Floats) -> Influence:
    """Of the classes: n_c (sum_j p_cj s_cj^2 - (sum_j p_cj s_cj)^2), the variance if utterances are independent.

    s_cj is how the formula follows the count of class c taken for j; p_cj is its share, with an utterance more of each
    class that is shared out evenly. An utterance changes a value by the largest s_cj of a class that is there.
    """
    seeds, classes, _ = total.shape
    cells = np.eye(classes * classes).reshape(-1, classes, classes)
    changes = formula(total[:, None] + NUDGE * cells) - formula(total)[:, None]  # (S, C C, columns)
    slopes = np.nan_to_num(changes / NUDGE).reshape(seeds, classes, classes, -1)
    rows = total.sum(-1)[..., None, None]
    shares = (total[..., None] + 1 / classes) / (rows + 1)
    variances = (shares * slopes**2).sum(2) - (shares * slopes).sum(2) ** 2  # (S, C, columns)
    steps = np.where(rows > 0, np.abs(slopes), 0).max((1, 2))  # (S, columns)
    return Influence((rows[:, :, 0] * np.maximum(variances, TINY)).mean(0), steps.mean(0))
