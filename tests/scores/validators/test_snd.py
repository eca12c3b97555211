"""Soft neighbourhood density, by hand."""

from __future__ import annotations

import math

import pytest

from emobridge.scores.validators.snd import Snd


def test_by_hand(judged, sure, unsure):
    # Each has one neighbour like itself (cosine 1) and two at 0: the weight is e^20 against 1 and 1.
    near = math.exp(20) / (math.exp(20) + 2)
    far = (1 - near) / 2
    assert judged(Snd(), sure) == pytest.approx(-(near * math.log(near) + 2 * far * math.log(far)), abs=1e-9)
    assert judged(Snd(), unsure) == pytest.approx(math.log(3)), "all alike: as dense as can be"
    assert math.isnan(judged(Snd(), sure[:1])), "a single utterance has no neighbour"


def test_its_bounds(judged, random_probabilities):
    assert -1e-9 <= judged(Snd(), random_probabilities) <= math.log(len(random_probabilities) - 1) + 1e-9
