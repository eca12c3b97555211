"""Weighted accuracy (WA), also called accuracy."""

from __future__ import annotations

import numpy as np

from emobridge.scores.confusion import Counts
from emobridge.scores.measures.base import ClassMeasure


class Wa(ClassMeasure):
    """WA = sum_c n_cc / n, the share of utterances that are right, in [0, 1].

    >>> Wa()(["a", "a", "b", "a"], ["a", "b", "b", "a"], labels=["a", "b"])
    0.75
    """

    name = "WA"
    long_name = "weighted accuracy"
    order = 1

    def value(self, counts: Counts) -> Counts:
        """(..., C, C) -> (...)."""
        accuracy: Counts = np.trace(counts, axis1=-2, axis2=-1) / counts.sum((-2, -1))
        return accuracy
