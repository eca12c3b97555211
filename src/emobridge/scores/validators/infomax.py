"""Mutual information of utterance and prediction (Krause et al. 2010, Shi & Sha 2012)."""

from __future__ import annotations

from emobridge.scores.entropy import entropy
from emobridge.scores.validators.base import Floats, Validator, View, mean_over_seeds


class Infomax(Validator):
    """Entropy of the mean prediction less the mean entropy: nats, in [0, log C]; the mean over seeds."""

    name = "infomax"

    def judge(self, view: View) -> float:
        """In [0, log C]."""
        return mean_over_seeds(_information, view)


def _information(p: Floats) -> float:
    return float(entropy(p.mean(0)) - entropy(p).mean())
