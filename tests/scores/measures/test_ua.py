"""UA against scikit-learn and audmetric."""

from __future__ import annotations

import audmetric
import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, recall_score

from emobridge.errors import UserError
from emobridge.scores.measures.ua import Ua

ua = Ua()


def test_it_is_that_of_the_referees(truth, prediction, labels):
    value = ua(truth, prediction, labels=labels)
    assert value == pytest.approx(recall_score(truth, prediction, labels=labels, average="macro"))
    assert value == pytest.approx(audmetric.unweighted_average_recall(truth, prediction, labels))


def test_it_does_not_depend_on_which_labels_happened_to_be_predicted():
    # ([0, 0], [0, 1]): labels inferred from both sides give 0.25, and ([0, 0], [0, 0]) would give 1.0 over ONE label
    assert audmetric.unweighted_average_recall(["a", "a"], ["a", "b"]) == 0.25
    assert ua(["a", "a"], ["a", "b"], labels=["a", "b"]) == 0.5
    assert ua(["a", "a"], ["a", "b"], labels=["a", "b", "c"]) == 0.5
    assert ua(["a", "a"], ["a", "c"], labels=["a", "b", "c"]) == 0.5
    # a label that the truth holds and nobody predicted does count
    assert ua(["a", "b"], ["a", "a"], labels=["a", "b"]) == 0.5


@pytest.mark.filterwarnings("ignore")
def test_a_label_that_the_truth_lacks_is_left_out():
    truth, prediction = ["a", "a", "b", "b"], ["a", "c", "b", "b"]
    assert ua(truth, prediction, labels="abc") == pytest.approx(balanced_accuracy_score(truth, prediction))


def test_guessing_and_the_sizes_of_one():
    assert ua.chance(4) == 0.25 and ua.chance(1) == 1
    assert ua(["a"], ["a"], labels=["a"]) == 1
    assert ua(["a"], ["b"], labels=["a", "b"]) == 0
    assert np.isnan(ua([], [], labels=["a"]))


def test_mistakes_are_named():
    with pytest.raises(UserError, match="unknown true label 'angr': did you mean 'anger'"):
        ua(["angr"], ["anger"], labels=["anger", "neutral"])
