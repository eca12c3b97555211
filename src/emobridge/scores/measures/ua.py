"""Unweighted accuracy (UA), also called unweighted average recall (UAR)."""

from __future__ import annotations

import numpy as np

from emobridge.scores.confusion import Counts, recall_by_class
from emobridge.scores.measures.base import ClassMeasure


class Ua(ClassMeasure):
    """UA = mean over classes of recall = 1/C sum_c n_cc / n_c, in [0, 1]; classes that the truth lacks are left out.

    The leading score of speech emotion recognition since Schuller et al. 2009 (the Interspeech Emotion Challenge).

    >>> Ua()(["a", "a"], ["a", "b"], labels=["a", "b"])
    0.5
    """

    name = "UA"
    long_name = "unweighted accuracy"
    order = 0

    def chance(self, classes: int) -> float:
        """1 / C, whatever the guesser prefers."""
        return 1 / classes

    def value(self, counts: Counts) -> Counts:
        """(..., C, C) -> (...)."""
        mean: Counts = np.nanmean(recall_by_class(counts), -1)
        return mean
