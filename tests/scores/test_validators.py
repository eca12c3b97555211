"""Validators: by hand, and that they order what they should."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emobridge.scores.validators import agreement, bnm, consensus, infomax, judged, snd, sureness

SURE = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
UNSURE = np.full((4, 2), 0.5)
ONE_CLASS = np.tile([1.0, 0.0], (4, 1))


def test_infomax_and_sureness_by_hand():
    assert infomax(SURE) == pytest.approx(math.log(2))
    assert infomax(UNSURE) == pytest.approx(0)
    assert infomax(ONE_CLASS) == pytest.approx(0), "sure, and of one class"
    assert (sureness(SURE), sureness(UNSURE)) == (pytest.approx(0), pytest.approx(-math.log(2)))
    p = np.array([[0.9, 0.1], [0.3, 0.7]])
    h = [-(0.9 * math.log(0.9) + 0.1 * math.log(0.1)), -(0.3 * math.log(0.3) + 0.7 * math.log(0.7))]
    assert infomax(p) == pytest.approx(-(0.6 * math.log(0.6) + 0.4 * math.log(0.4)) - sum(h) / 2)


def test_nuclear_norm_by_hand():
    # Two orthogonal columns of length sqrt(2): singular values sqrt(2), sqrt(2); the bound is sqrt(8).
    assert bnm(SURE) == pytest.approx(2 * math.sqrt(2) / math.sqrt(8))
    assert bnm(ONE_CLASS) == pytest.approx(2 / math.sqrt(8))
    assert bnm(UNSURE) == pytest.approx(math.sqrt(2) / math.sqrt(8))


def test_neighbourhoods_by_hand():
    # Each has one neighbour like itself (cosine 1) and two at 0: the weight is e^20 against 1 and 1.
    near = math.exp(20) / (math.exp(20) + 2)
    far = (1 - near) / 2
    assert snd(SURE) == pytest.approx(-(near * math.log(near) + 2 * far * math.log(far)), abs=1e-9)
    assert snd(UNSURE) == pytest.approx(math.log(3)), "all alike: as dense as can be"
    assert math.isnan(snd(SURE[:1]))


def test_agreement_by_hand():
    other = SURE.copy()
    other[0] = [0.0, 1.0]
    assert agreement(np.stack([SURE, SURE, other])) == pytest.approx((1 + 0.75 + 0.75) / 3)
    assert math.isnan(agreement(SURE[None]))


def test_consensus_by_hand():
    # UNSURE says the first class everywhere: half of what SURE says.
    assert consensus([SURE, SURE], [[SURE, UNSURE], [UNSURE, UNSURE]]) == pytest.approx((1 + 0.5 + 0.5 + 0.5) / 4)
    assert math.isnan(consensus([SURE], []))


def test_all_of_them_at_once():
    found = judged([SURE, SURE], [[SURE, UNSURE]], 0.8)
    assert found["source"] == 0.8 and found["agreement"] == 1 and found["infomax"] == pytest.approx(math.log(2))
    assert set(found) == {"snd", "bnm", "infomax", "sureness", "agreement", "consensus", "source"}
    assert math.isnan(judged([SURE, SURE[:2]], [], 0.8)["agreement"]), "seeds that hold out different utterances"


@given(st.integers(2, 12), st.integers(2, 6), st.floats(0.1, 8), st.integers(0, 99))
def test_bounds(n, classes, scale, seed):
    z = scale * np.random.default_rng(seed).normal(size=(n, classes))
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    assert -1e-9 <= infomax(p) <= math.log(classes) + 1e-9
    assert -math.log(classes) - 1e-9 <= sureness(p) <= 1e-9
    assert 0 < bnm(p) <= 1 + 1e-9
    assert -1e-9 <= snd(p) <= math.log(n - 1) + 1e-9
