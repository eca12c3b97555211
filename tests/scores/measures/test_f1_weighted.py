"""Weighted F1 against scikit-learn."""

from __future__ import annotations

import pytest
from sklearn.metrics import f1_score

from emobridge.scores.measures.f1_weighted import F1Weighted

f1_weighted = F1Weighted()


def test_it_is_that_of_scikit_learn(truth, prediction, labels):
    expected = f1_score(truth, prediction, labels=labels, average="weighted")
    assert f1_weighted(truth, prediction, labels=labels) == pytest.approx(expected)
    assert f1_weighted(["a"], ["a"], labels=["a"]) == 1
