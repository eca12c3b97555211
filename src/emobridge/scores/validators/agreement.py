"""Agreement between seeds."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from emobridge.scores.validators.base import Validator, View


class Agreement(Validator):
    """Share of utterances for which two seeds predict the same class, over all pairs of seeds, in [0, 1].

    NaN for a single seed, and where seeds hold out different utterances.
    """

    name = "agreement"
    least_seeds = 2

    def judge(self, view: View) -> float:
        """In [0, 1]."""
        classes = [p.argmax(-1) for p in view.probabilities]
        if len({len(predicted) for predicted in classes}) > 1:
            return float("nan")
        shares = [float((first == second).mean()) for first, second in combinations(classes, 2)]
        return float(np.mean(shares)) if shares else float("nan")
