"""Consensus with other systems, by hand."""

from __future__ import annotations

import math

import pytest

from emobridge.scores.validators.base import View
from emobridge.scores.validators.consensus import Consensus


def test_by_hand(sure, unsure):
    # `unsure` predicts the first class everywhere: half of what `sure` predicts.
    view = View((sure, sure), ((sure, unsure), (unsure, unsure)))
    assert Consensus().judge(view) == pytest.approx((1 + 0.5 + 0.5 + 0.5) / 4)


def test_without_rivals(judged, sure):
    assert math.isnan(judged(Consensus(), sure))
