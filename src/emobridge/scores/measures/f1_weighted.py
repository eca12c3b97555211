"""F1 weighted by how many utterances each class has."""

from __future__ import annotations

import numpy as np

from emobridge.scores.confusion import Counts, f1_by_class
from emobridge.scores.measures.base import ClassMeasure


class F1Weighted(ClassMeasure):
    """sum_c n_c / n F1_c with F1 = 2 n_cc / (n_c + predicted_c), in [0, 1].

    >>> round(F1Weighted()(["a", "a", "b"], ["a", "b", "b"], labels=["a", "b"]), 4)
    0.6667
    """

    name = "F1 weighted"
    long_name = "weighted F1"
    order = 3

    def value(self, counts: Counts) -> Counts:
        """(..., C, C) -> (...)."""
        mean: Counts = np.nansum(f1_by_class(counts) * counts.sum(-1), -1) / counts.sum((-2, -1))
        return mean
