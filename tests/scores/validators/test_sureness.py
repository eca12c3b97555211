"""How sure predictions are, by hand."""

from __future__ import annotations

import math

import pytest

from emobridge.scores.validators.sureness import Sureness


def test_by_hand(judged, sure, unsure):
    assert judged(Sureness(), sure) == pytest.approx(0)
    assert judged(Sureness(), unsure) == pytest.approx(-math.log(2))
    assert judged(Sureness(), sure, unsure) == pytest.approx(-math.log(2) / 2), "the mean over seeds"


def test_its_bounds(judged, random_probabilities):
    assert -math.log(random_probabilities.shape[1]) - 1e-9 <= judged(Sureness(), random_probabilities) <= 1e-9
