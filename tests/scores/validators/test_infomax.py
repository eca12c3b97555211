"""Mutual information of utterance and prediction, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from emobridge.scores.validators.infomax import Infomax


def test_by_hand(judged, sure, unsure, collapsed):
    assert judged(Infomax(), sure) == pytest.approx(math.log(2))
    assert judged(Infomax(), unsure) == pytest.approx(0)
    assert judged(Infomax(), collapsed) == pytest.approx(0), "sure, and of one class"
    p = np.array([[0.9, 0.1], [0.3, 0.7]])
    h = [-(0.9 * math.log(0.9) + 0.1 * math.log(0.1)), -(0.3 * math.log(0.3) + 0.7 * math.log(0.7))]
    assert judged(Infomax(), p) == pytest.approx(-(0.6 * math.log(0.6) + 0.4 * math.log(0.4)) - sum(h) / 2)


def test_its_bounds(judged, random_probabilities):
    assert -1e-9 <= judged(Infomax(), random_probabilities) <= math.log(random_probabilities.shape[1]) + 1e-9
    assert judged(Infomax(), random_probabilities[:1]) == pytest.approx(0), "a single utterance"
