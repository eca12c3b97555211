"""The batch nuclear norm, by hand."""

from __future__ import annotations

import math

import pytest

from emobridge.scores.validators.bnm import Bnm


def test_by_hand(judged, sure, unsure, collapsed):
    # Two orthogonal columns of length sqrt(2): singular values sqrt(2), sqrt(2); the bound is sqrt(8).
    assert judged(Bnm(), sure) == pytest.approx(2 * math.sqrt(2) / math.sqrt(8))
    assert judged(Bnm(), collapsed) == pytest.approx(2 / math.sqrt(8))
    assert judged(Bnm(), unsure) == pytest.approx(math.sqrt(2) / math.sqrt(8))
    assert judged(Bnm(), sure, collapsed) == pytest.approx((judged(Bnm(), sure) + judged(Bnm(), collapsed)) / 2)


def test_its_bounds(judged, random_probabilities):
    assert 0 < judged(Bnm(), random_probabilities) <= 1 + 1e-9
