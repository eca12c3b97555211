"""WA against scikit-learn and audmetric."""

from __future__ import annotations

import audmetric
import pytest
from sklearn.metrics import accuracy_score

from emobridge.scores.measures.wa import Wa

wa = Wa()


def test_it_is_that_of_the_referees(truth, prediction, labels):
    value = wa(truth, prediction, labels=labels)
    assert value == pytest.approx(accuracy_score(truth, prediction))
    assert value == pytest.approx(audmetric.accuracy(truth, prediction, labels))


def test_guessing_depends_on_the_data():
    assert wa.chance(4) is None
    assert wa(["a"], ["a"], labels=["a"]) == 1
