"""Confusion counts and what is told of each class, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, recall_score

from emobridge.errors import UserError
from emobridge.scores.confusion import confusion, count_pairs, f1_by_class, recall_by_class, ua_against_rest

LABELS = ("anger", "happiness", "neutral", "sadness")


def test_counts_recall_and_f1_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    truth, prediction = rng.choice(LABELS, 100).tolist(), rng.choice(LABELS, 100).tolist()
    counts = confusion(truth, prediction, labels=LABELS)
    assert counts.tolist() == confusion_matrix(truth, prediction, labels=LABELS).tolist()
    for formula, referee in ((recall_by_class, recall_score), (f1_by_class, f1_score)):
        expected = referee(truth, prediction, labels=LABELS, average=None)
        assert formula(counts) == pytest.approx(expected)
        assert formula(np.stack([counts, counts])).shape == (2, 4)


def test_a_class_that_the_truth_lacks_has_neither():
    counts = confusion(["a", "a"], ["a", "b"], labels="abc")
    assert recall_by_class(counts)[0] == 0.5 and np.isnan(recall_by_class(counts)[1:]).all()
    assert f1_by_class(counts)[0] == pytest.approx(2 / 3) and np.isnan(f1_by_class(counts)[1:]).all()


def test_a_single_utterance_of_a_single_class():
    assert confusion(["a"], ["a"], labels=["a"]).tolist() == [[1]]
    assert confusion([], [], labels=["a"]).tolist() == [[0]]


@pytest.mark.parametrize(
    ("truth", "prediction", "labels", "message"),
    [
        (["a"], ["a", "b"], "ab", "1 true labels but 2 predicted"),
        (["angr"], ["anger"], ["anger", "neutral"], "unknown true label 'angr': did you mean 'anger'"),
        (["anger"], ["joy"], ["anger", "neutral"], "unknown predicted label 'joy'"),
        (["a"], ["a"], "aa", "distinct labels"),
        (["a"], ["a"], "", r"the label set \(empty\)"),
        ([None], ["a"], "a", "unknown true label 'None'"),
    ],
)
def test_mistakes_are_named(truth, prediction, labels, message):
    with pytest.raises(UserError, match=message):
        confusion(truth, prediction, labels=labels)


def test_one_label_against_the_rest_is_the_balanced_accuracy_of_two_classes():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 4, (2, 200))
    values = ua_against_rest(count_pairs(truth, predicted, 4))
    expected = [balanced_accuracy_score(truth == label, predicted == label) for label in range(4)]
    np.testing.assert_allclose(values, expected)
    alone = ua_against_rest(count_pairs(np.zeros(3, int), np.array([0, 1, 0]), 2))
    assert np.isnan(alone).all(), "a label has no rest, the other no utterance"
