"""How sure the predictions are."""

from __future__ import annotations

from emobridge.scores.entropy import entropy
from emobridge.scores.validators.base import Floats, Validator, View, mean_over_seeds


class Sureness(Validator):
    """Minus the mean entropy of the predictions: nats, in [-log C, 0]; the mean over seeds."""

    name = "sureness"

    def judge(self, view: View) -> float:
        """In [-log C, 0]."""
        return mean_over_seeds(_sureness, view)


def _sureness(p: Floats) -> float:
    return float(-entropy(p).mean())
