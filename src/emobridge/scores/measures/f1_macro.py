"""Macro F1."""

from __future__ import annotations

import numpy as np

from emobridge.scores.confusion import Counts, f1_by_class
from emobridge.scores.measures.base import ClassMeasure


class F1Macro(ClassMeasure):
    """Mean over classes of F1 = 2 n_cc / (n_c + predicted_c), in [0, 1]; classes that the truth lacks are left out.

    >>> round(F1Macro()(["a", "a", "b"], ["a", "b", "b"], labels=["a", "b"]), 4)
    0.6667
    """

    name = "F1 macro"
    long_name = "macro F1"
    order = 2

    def value(self, counts: Counts) -> Counts:
        """(..., C, C) -> (...)."""
        mean: Counts = np.nanmean(f1_by_class(counts), -1)
        return mean
