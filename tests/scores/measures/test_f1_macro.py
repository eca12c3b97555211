"""Macro F1 against scikit-learn."""

from __future__ import annotations

import pytest
from sklearn.metrics import f1_score

from emobridge.scores.measures.f1_macro import F1Macro

f1_macro = F1Macro()


def test_it_is_that_of_scikit_learn(truth, prediction, labels):
    expected = f1_score(truth, prediction, labels=labels, average="macro")
    assert f1_macro(truth, prediction, labels=labels) == pytest.approx(expected)


def test_a_label_that_the_truth_lacks_is_left_out_whether_it_was_predicted_or_not():
    truth, prediction = ["a", "a", "b", "b"], ["a", "c", "b", "b"]
    expected = f1_score(truth, prediction, labels=["a", "b"], average="macro")  # the misses still count against a
    assert f1_macro(truth, prediction, labels="abc") == pytest.approx(expected)
    assert f1_macro(truth, prediction, labels="abc") == f1_macro(truth, prediction, labels="abcd")
    assert f1_macro(["a"], ["a"], labels=["a"]) == 1
