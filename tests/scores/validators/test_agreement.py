"""Agreement between seeds, by hand."""

from __future__ import annotations

import math

import pytest

from emobridge.scores.validators.agreement import Agreement


def test_by_hand(judged, sure):
    other = sure.copy()
    other[0] = [0.0, 1.0]
    assert judged(Agreement(), sure, sure, other) == pytest.approx((1 + 0.75 + 0.75) / 3)


def test_where_it_is_not_defined(judged, sure):
    assert math.isnan(judged(Agreement(), sure)) and Agreement.least_seeds == 2
    assert math.isnan(judged(Agreement(), sure, sure[:2])), "seeds that hold out different utterances"
