"""Soft neighbourhood density (Saito et al. 2021)."""

from __future__ import annotations

import numpy as np

from emobridge.scores.entropy import entropy
from emobridge.scores.validators.base import Floats, Validator, View, mean_over_seeds

TEMPERATURE = 0.05  # that of the paper


class Snd(Validator):
    """The mean entropy of each utterance's similarities to the others: nats, in [0, log(N-1)]; the mean over seeds.

    Similarity is the cosine between rows of P over TEMPERATURE, softmax over the others. Dense neighbourhoods, as an
    adapted model makes them, have high entropy, and so has a model that predicts one class. NaN of one utterance.
    """

    name = "snd"

    def judge(self, view: View) -> float:
        """In [0, log(N-1)]."""
        return mean_over_seeds(_density, view)


def _density(p: Floats) -> float:
    if len(p) < 2:
        return float("nan")
    unit = p / np.linalg.norm(p, axis=1, keepdims=True)
    similarity = unit @ unit.T / TEMPERATURE
    np.fill_diagonal(similarity, -np.inf)
    return float(entropy(_softmax(similarity)).mean())


def _softmax(x: Floats) -> Floats:
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    shares: Floats = exponentials / exponentials.sum(-1, keepdims=True)
    return shares
