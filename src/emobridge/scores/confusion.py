"""Confusion counts, and recall and F1 of each class from them.

Labels are always explicit. The rule for a label that the truth lacks: its recall is 0/0, so it is left out of every
mean over labels, as scikit-learn's `balanced_accuracy_score` does. What was predicted never changes which labels count.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emobridge.errors import UserError, unknown

Counts = NDArray[np.float64]  # (..., C, C), rows truth, columns prediction


def confusion(truth: Sequence[str], prediction: Sequence[str], *, labels: Sequence[str]) -> Counts:
    """Counts (C, C), rows truth, columns prediction, in the order of `labels`.

    Errors: UserError for unequal lengths and for a label outside the set, on either side.

    >>> confusion(["a", "a", "b"], ["a", "b", "b"], labels=["a", "b"]).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    check_labels(truth, prediction, labels)
    return count_pairs(indices(truth, labels), indices(prediction, labels), len(labels))


def indices(names: Sequence[str], labels: Sequence[str]) -> NDArray[np.int64]:
    """(N,): the index in `labels` of each of N labels."""
    index = {label: number for number, label in enumerate(labels)}
    return np.fromiter((index[name] for name in names), np.int64, len(names))


def count_pairs(truth: NDArray[np.int64], prediction: NDArray[np.int64], classes: int) -> Counts:
    """Counts (C, C) of pairs of indices (N,) and (N,)."""
    pairs = np.bincount(truth * classes + prediction, minlength=classes * classes)
    return pairs.reshape(classes, classes).astype(np.float64)


def check_labels(truth: Sequence[str], prediction: Sequence[str], labels: Sequence[str]) -> None:
    """Errors: UserError for labels that are not distinct, for unequal lengths and for a label outside the set."""
    if len(set(labels)) != len(labels) or not labels:
        raise UserError(f"the label set {', '.join(map(str, labels)) or '(empty)'}: distinct labels are needed")
    if len(truth) != len(prediction):
        raise UserError(f"{len(truth)} true labels but {len(prediction)} predicted ones")
    for side, names in (("true", truth), ("predicted", prediction)):
        for label in dict.fromkeys(names):
            if label not in tuple(labels):
                raise unknown(f"{side} label", str(label), labels)


def recall_by_class(counts: Counts) -> Counts:
    """(..., C, C) -> (..., C) in [0, 1]; NaN where the truth lacks the label."""
    rows = counts.sum(-1)
    recalls: Counts = np.divide(np.diagonal(counts, 0, -2, -1), rows, out=np.full(rows.shape, np.nan), where=rows > 0)
    return recalls


def ua_against_rest(counts: Counts) -> Counts:
    """(..., C, C) -> (..., C) in [0, 1]: UA of each label against all others as one: the mean of both recalls.

    NaN where the truth lacks the label, or all others.

    >>> ua_against_rest(np.array([[3.0, 1.0, 0.0], [2.0, 2.0, 0.0], [0.0, 0.0, 4.0]])).tolist()
    [0.75, 0.6875, 1.0]
    """
    rows, hits = counts.sum(-1), np.diagonal(counts, 0, -2, -1)
    others = rows.sum(-1, keepdims=True) - rows
    right = others - (counts.sum(-2) - hits)  # of other labels, not taken for this one
    both = (rows > 0) & (others > 0)
    nan = np.full(rows.shape, np.nan)
    value: Counts = np.divide(hits, rows, out=nan.copy(), where=both) / 2
    value += np.divide(right, others, out=nan, where=both) / 2
    return value


def precision_by_class(counts: Counts) -> Counts:
    """(..., C, C) -> (..., C) in [0, 1]; NaN of a label that was never predicted."""
    columns = counts.sum(-2)
    hits = np.diagonal(counts, 0, -2, -1)
    precisions: Counts = np.divide(hits, columns, out=np.full(columns.shape, np.nan), where=columns > 0)
    return precisions


def f1_by_class(counts: Counts) -> Counts:
    """(..., C, C) -> (..., C) in [0, 1]; NaN where the truth lacks the label."""
    rows, both = counts.sum(-1), counts.sum(-1) + counts.sum(-2)
    f1: Counts = np.divide(2 * np.diagonal(counts, 0, -2, -1), both, out=np.full(rows.shape, np.nan), where=rows > 0)
    return f1
