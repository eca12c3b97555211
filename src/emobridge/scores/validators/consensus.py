"""Consensus with the other systems. Ours."""

from __future__ import annotations

import numpy as np

from emobridge.scores.validators.base import Validator, View


class Consensus(Validator):
    """Share of utterances for which a system predicts the same class as another, over all others and seeds, in [0, 1].

    Ours, and the best of those here on ten pairs of corpora (docs/results/semi-supervised.md). It depends on which the
    others are: NaN where there are none.
    """

    name = "consensus"

    def judge(self, view: View) -> float:
        """In [0, 1]."""
        shares = [
            float((p.argmax(1) == other.argmax(1)).mean())
            for rival in view.rivals
            for other, p in zip(rival, view.probabilities)
        ]
        return float(np.mean(shares)) if shares else float("nan")
