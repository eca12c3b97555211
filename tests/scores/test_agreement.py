"""Agreement against published tables, and against pairs of raters counted one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from emobridge.errors import UserError
from emobridge.scores.agreement import count_answers, fleiss_kappa, krippendorff_alpha

# Fleiss 1971, table 1: 30 patients, six psychiatrists, five diagnoses.
DIAGNOSES = """
0 0 0 6 0  0 3 0 0 3  0 1 4 0 1  0 0 0 0 6  0 3 0 3 0  2 0 4 0 0  0 0 4 0 2  2 0 3 1 0  2 0 0 4 0  0 0 0 0 6
1 0 0 5 0  1 1 0 4 0  0 3 3 0 0  1 0 0 5 0  0 2 0 3 1  0 0 5 0 1  3 0 0 1 2  5 1 0 0 0  0 2 0 4 0  1 0 2 0 3
0 0 0 0 6  0 1 0 5 0  0 2 0 1 3  2 0 0 4 0  1 0 0 4 1  0 5 0 1 0  4 0 0 0 2  0 2 0 4 0  1 0 5 0 0  0 0 0 0 6
"""
# Krippendorff 2011: four observers, twelve units, answers missing; Gwet 2014 prints Fleiss' kappa of the same table.
OBSERVERS = ("1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 .")


def test_the_table_of_fleiss():
    counts = np.array(DIAGNOSES.split(), dtype=float).reshape(30, 5)
    assert counts.sum(0).tolist() == [26, 26, 30, 55, 43] and set(counts.sum(1)) == {6}
    kappa = fleiss_kappa(counts)
    assert kappa.value == pytest.approx(0.430, abs=5e-4)
    assert (kappa.items, kappa.answers) == (30, 180)
    assert 0.3 < kappa.low < 0.43 < kappa.high < 0.57


def test_the_table_of_krippendorff():
    units = zip(*(line.split() for line in OBSERVERS))
    counts = count_answers([[None if answer == "." else answer for answer in unit] for unit in units], list("12345"))
    alpha = krippendorff_alpha(counts)
    assert alpha.value == pytest.approx(0.743, abs=5e-4)
    assert (alpha.items, alpha.answers) == (11, 40)
    assert fleiss_kappa(counts).value == pytest.approx(0.76117, abs=5e-6)


def test_two_raters_by_hand():
    counts = count_answers([["a", "a"], ["b", "b"], ["a", "b"]], ["a", "b"])
    assert fleiss_kappa(counts).value == pytest.approx((2 / 3 - 1 / 2) / (1 / 2))
    assert krippendorff_alpha(counts).value == pytest.approx(1 - (1 / 3) / (18 / 30))


def test_of_many_items_alpha_is_the_kappa_of_all_pairs():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 4000)
    raters = [np.where(rng.random(4000) < 0.7, truth, rng.integers(0, 3, 4000)) for _ in range(4)]
    counts = sum(np.eye(3)[rater] for rater in raters)
    pairs = np.mean([cohen_kappa_score(a, b) for a, b in itertools.combinations(raters, 2)])
    assert krippendorff_alpha(counts).value == pytest.approx(pairs, abs=2e-3)
    assert fleiss_kappa(counts).value == pytest.approx(pairs, abs=2e-3)


def test_intervals_hold_the_truth():
    rng = np.random.default_rng(1)
    held = []
    for _ in range(200):
        truth = rng.integers(0, 4, 48)
        raters = [np.where(rng.random(48) < 0.8, truth, rng.integers(0, 4, 48)) for _ in range(6)]
        alpha = krippendorff_alpha(sum(np.eye(4)[rater] for rater in raters))
        held.append(alpha.low <= 0.64 <= alpha.high)  # agreement of a pair beyond chance: 0.8 * 0.8
    assert 0.88 <= np.mean(held) <= 0.99


@pytest.mark.parametrize("coefficient", [fleiss_kappa, krippendorff_alpha])
@pytest.mark.parametrize("counts", [[[0, 0]], [[1, 0]], [[3, 0]], [[3, 0], [2, 0]], np.empty((0, 2))])
def test_without_two_raters_or_two_categories_nothing_is_claimed(coefficient, counts):
    agreement = coefficient(np.array(counts, dtype=float))
    assert np.isnan([agreement.value, agreement.low, agreement.high]).all()


@pytest.mark.parametrize("coefficient", [fleiss_kappa, krippendorff_alpha])
def test_a_single_item_has_no_interval_and_perfect_agreement_a_low_end(coefficient):
    lone = coefficient(np.array([[1.0, 2.0]]))
    assert lone.value <= 0 and np.isnan(lone.low) and lone.items == 1
    perfect = coefficient(np.array([[3.0, 0.0], [0.0, 3.0]] * 5))
    assert (perfect.value, perfect.high) == (1, 1) and 0 < perfect.low < 1


def test_items_that_nobody_rated_change_nothing():
    counts = np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    for coefficient in (fleiss_kappa, krippendorff_alpha):
        assert coefficient(np.concatenate([counts, np.zeros((4, 2))])) == coefficient(counts)


def test_an_unknown_answer():
    with pytest.raises(UserError, match="answer 'c': expected one of a, b"):
        count_answers([["c"]], ["a", "b"])
